//! Forward push on a part of a graph: the rows of some vertices.
//!
//! As [`super::Workspace`], for one source at a time and in rounds. What is pushed to a vertex of
//! the part is pushed on while it exceeds the threshold; what is pushed to any other vertex is added
//! up in an outbox and travels to the part that has it. With reserve p and residual r, of which some
//! is on the way, π = p + Σ r(v)·π_v holds after every push, whatever is pushed where and when, so
//! ‖π − p‖₁ = ‖r‖₁ as on the whole graph.

use std::collections::VecDeque;
use std::ops::Range;

use super::push::OutEdges;
use super::share_rounding;
use super::top::{Ranked, Top};
use crate::sparse::Columns;

/// Roundings of a flow besides those of its receivers and its vertex's strength: damping, strength,
/// weight, and two to spare.
const FLOW: f64 = 5.0;

/// The smallest positive number.
const SMALLEST: f64 = f64::from_bits(1);

/// What a round does for one source.
#[derive(Clone, Copy, Debug)]
pub struct PartPush<'a> {
    /// Where walks start: vertices, and shares that sum to one.
    pub seeds: &'a [(u32, f64)],
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// Whether dangling vertices keep their mass; otherwise it starts anew at the seeds.
    pub self_loops: bool,
    /// Residual per edge above which a vertex is pushed.
    pub threshold: f64,
    /// Bound of ‖r‖₁ over all parts and what is on the way.
    pub left: f64,
    /// Edges to follow at most.
    pub max_edges: u64,
}

/// What a part knows of a vertex that a source has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartEntry {
    /// The vertex.
    pub vertex: u32,
    /// Its score so far.
    pub reserve: f64,
    /// Mass that was not pushed.
    pub residual: f64,
}

/// What a round did for one source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartSums {
    /// Σ residual that stays.
    pub kept: f64,
    /// Σ mass in the outbox.
    pub sent: f64,
    /// Edges of the vertices that have any residual.
    pub volume: u64,
    /// Edges that were followed.
    pub edges: u64,
    /// Bound of what rounding did to ‖p‖₁ + ‖r‖₁, in units of the roundoff of f64.
    pub rounding: f64,
    /// Vertices with a positive score.
    pub positive: u64,
    /// Vertices that were reached but have none.
    pub untouched: u64,
    /// Vertices of other parts that mass is sent to.
    pub receivers: u64,
}

/// The numbers of one source at a time, reused from source to source.
#[derive(Debug)]
pub struct PartWorkspace {
    /// The vertices of the part.
    vertices: Range<usize>,
    reserve: Vec<f64>,
    residual: Vec<f64>,
    /// Bit 0: touched, bit 1: in the queue.
    marks: Vec<u8>,
    /// Counted from the first vertex of the part, as all above.
    touched: Vec<u32>,
    queue: VecDeque<u32>,
    /// Mass by vertex of the whole graph, and where there is any.
    outbox: Vec<f64>,
    sent: Vec<u32>,
    edges: u64,
    rounding: f64,
}

const TOUCHED: u8 = 1;
const QUEUED: u8 = 2;

impl PartWorkspace {
    /// Room for the part `part` of a graph of `vertices` vertices.
    pub fn new(part: Range<usize>, vertices: usize) -> Self {
        let rows = part.len();
        Self {
            vertices: part,
            reserve: vec![0.0; rows],
            residual: vec![0.0; rows],
            marks: vec![0; rows],
            // As large as they can get: what is not used takes no memory.
            touched: Vec::with_capacity(rows),
            queue: VecDeque::with_capacity(rows + 1),
            outbox: vec![0.0; vertices],
            sent: Vec::with_capacity(vertices),
            edges: 0,
            rounding: 0.0,
        }
    }

    /// Forgets the source before.
    pub fn clear(&mut self) {
        for &row in &self.touched {
            self.reserve[row as usize] = 0.0;
            self.residual[row as usize] = 0.0;
            self.marks[row as usize] = 0;
        }
        for &vertex in &self.sent {
            self.outbox[vertex as usize] = 0.0;
        }
        self.touched.clear();
        self.sent.clear();
        (self.edges, self.rounding) = (0, 0.0);
    }

    /// Takes up what an earlier round knew of a vertex of the part.
    pub fn restore(&mut self, entry: PartEntry) {
        let row = self.row_of(entry.vertex);
        self.touch(row);
        self.reserve[row as usize] = entry.reserve;
        self.residual[row as usize] = entry.residual;
    }

    /// Takes mass that arrives at a vertex of the part.
    pub fn arrive(&mut self, vertex: u32, mass: f64) {
        let row = self.row_of(vertex);
        self.touch(row);
        let residual = &mut self.residual[row as usize];
        if *residual == 0.0 {
            // Nothing to be rounded: else many seeds would cost what only sums of them do.
            *residual = mass;
            return;
        }
        *residual += mass;
        self.rounding += *residual;
    }

    /// Lets walks start at a vertex of the part, one of so many `seeds`, with its share of them.
    pub fn start(&mut self, vertex: u32, share: f64, seeds: usize) {
        self.arrive(vertex, share);
        self.rounding += share_rounding(seeds) * share;
    }

    /// The residual per edge of the vertices that have any; zero where none has.
    pub fn density(&self, graph: &OutEdges<'_>) -> f64 {
        let (mass, volume) = self.mass_and_volume(graph);
        if volume == 0 {
            return 0.0;
        }
        mass / volume as f64
    }

    /// Pushes until no residual of the part exceeds the threshold. `graph` holds the rows of the
    /// part.
    pub fn push(&mut self, graph: &OutEdges<'_>, push: &PartPush<'_>) {
        for place in 0..self.touched.len() {
            self.enqueue(graph, self.touched[place], push.threshold);
        }
        while let Some(row) = self.queue.pop_front() {
            self.marks[row as usize] &= !QUEUED;
            self.push_row(graph, push, row);
            if self.edges >= push.max_edges {
                break;
            }
        }
        while let Some(row) = self.queue.pop_front() {
            self.marks[row as usize] &= !QUEUED;
        }
    }

    /// What the round did.
    pub fn sums(&self, graph: &OutEdges<'_>) -> PartSums {
        let (kept, volume) = self.mass_and_volume(graph);
        let scores = self.touched.iter().map(|&row| self.reserve[row as usize]);
        let positive = scores.filter(|&score| score > 0.0).count() as u64;
        PartSums {
            kept,
            sent: self.sent.iter().map(|&v| self.outbox[v as usize]).sum(),
            volume,
            edges: self.edges,
            rounding: self.rounding,
            positive,
            untouched: self.touched.len() as u64 - positive,
            receivers: self.sent.len() as u64,
        }
    }

    /// All that is known of the part's vertices, by ascending vertex.
    pub fn entries(&mut self) -> impl Iterator<Item = PartEntry> + '_ {
        self.touched.sort_unstable();
        self.touched.iter().map(|&row| PartEntry {
            vertex: self.vertices.start as u32 + row,
            reserve: self.reserve[row as usize],
            residual: self.residual[row as usize],
        })
    }

    /// What travels to other parts, by ascending vertex.
    pub fn outbox(&mut self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.sent.sort_unstable();
        let mass = |&vertex: &u32| (vertex, self.outbox[vertex as usize]);
        self.sent.iter().map(mass)
    }

    /// The `limit` best vertices of the part, best first.
    pub fn best(&self, limit: usize, place: &dyn Fn(u32) -> u32) -> Vec<Ranked> {
        let mut top = Top::new(limit);
        for &row in &self.touched {
            let score = self.reserve[row as usize];
            if score >= top.threshold() {
                let index = self.vertices.start as u32 + row;
                top.offer(Ranked {
                    index,
                    place: place(index),
                    score,
                });
            }
        }
        top.into_sorted()
    }

    fn mass_and_volume(&self, graph: &OutEdges<'_>) -> (f64, u64) {
        let (mut mass, mut volume) = (0.0, 0);
        for &row in &self.touched {
            let residual = self.residual[row as usize];
            if residual > 0.0 {
                mass += residual;
                volume += degree(graph, row).max(1) as u64;
            }
        }
        (mass, volume)
    }

    #[inline]
    fn row_of(&self, vertex: u32) -> u32 {
        vertex - self.vertices.start as u32
    }

    #[inline]
    fn touch(&mut self, row: u32) {
        let mark = &mut self.marks[row as usize];
        if *mark & TOUCHED == 0 {
            *mark |= TOUCHED;
            self.touched.push(row);
        }
    }

    #[inline]
    fn enqueue(&mut self, graph: &OutEdges<'_>, row: u32, threshold: f64) {
        let residual = self.residual[row as usize];
        if self.marks[row as usize] & QUEUED == 0
            && residual > threshold
            && residual > threshold * degree(graph, row).max(1) as f64
        {
            self.marks[row as usize] |= QUEUED;
            self.queue.push_back(row);
        }
    }

    /// Moves the residual of a vertex to its reserve and along its edges.
    fn push_row(&mut self, graph: &OutEdges<'_>, push: &PartPush<'_>, row: u32) {
        let mass = std::mem::take(&mut self.residual[row as usize]);
        let (segment, span) = graph.row(row as usize);
        if span.is_empty() && push.self_loops {
            self.keep(row, mass);
            self.edges += 1;
            return;
        }
        self.keep(row, (1.0 - push.damping) * mass);
        let flow = push.damping * mass;
        let receivers = if span.is_empty() {
            push.seeds.len()
        } else {
            span.len()
        };
        self.edges += receivers as u64;
        // Every receiver's sum is rounded; none exceeds what is left. A strength is a sum of as many
        // terms as there are edges with weights.
        let terms = segment.values.map_or(0, |_| span.len());
        self.rounding += receivers as f64 * push.left + (FLOW + terms as f64) * mass;
        if span.is_empty() {
            self.rounding += share_rounding(receivers) * mass;
            for &(seed, share) in push.seeds {
                self.deliver(graph, seed, flow * share, push.threshold);
            }
            return;
        }
        let flow = flow / graph.strength(row as usize);
        match (segment.columns, segment.values) {
            (Columns::U16(columns), None) => {
                for &target in &columns[span] {
                    self.deliver(graph, u32::from(target), flow, push.threshold);
                }
            }
            (Columns::U32(columns), None) => {
                for &target in &columns[span] {
                    self.deliver(graph, target, flow, push.threshold);
                }
            }
            (_, Some(values)) => {
                for k in span {
                    let target = segment.columns.get(k) as u32;
                    let mass = flow * f64::from(values[k]);
                    self.deliver(graph, target, mass, push.threshold);
                }
            }
        }
    }

    #[inline]
    fn keep(&mut self, row: u32, mass: f64) {
        let reserve = &mut self.reserve[row as usize];
        *reserve += mass;
        self.rounding += *reserve + 2.0 * mass;
    }

    #[inline]
    fn deliver(&mut self, graph: &OutEdges<'_>, vertex: u32, mass: f64, threshold: f64) {
        if self.vertices.contains(&(vertex as usize)) {
            let row = self.row_of(vertex);
            self.touch(row);
            self.residual[row as usize] += mass;
            self.enqueue(graph, row, threshold);
            return;
        }
        let waiting = &mut self.outbox[vertex as usize];
        if *waiting == 0.0 {
            self.sent.push(vertex);
        }
        // A flow too small for a number still says that its receiver was reached.
        *waiting += mass.max(SMALLEST);
    }
}

#[inline]
fn degree(graph: &OutEdges<'_>, row: u32) -> usize {
    graph.row(row as usize).1.len()
}
