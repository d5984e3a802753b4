//! Forward push: personalized PageRank of one source, as far as needed.
//!
//! With reserve p and residual r, π = p + Σ r(v)·π_v holds after every push, all terms are
//! non-negative and mass is conserved, so p ≤ π and ‖π − p‖₁ = ‖r‖₁: the answer carries its own
//! error. A vertex is pushed while r(v) exceeds a threshold times its out-edges (Andersen, Chung &
//! Lang, FOCS 2006), in the order of a queue; once a quarter of the vertices take part, in scans of
//! the graph, which read it sequentially (PowerPush: Wu et al., SIGMOD 2021), with a threshold that
//! follows the residual that is left. The threshold is lowered until ‖r‖₁ is small enough or, where
//! that is enough, the set of the k best is proven.

use std::collections::VecDeque;

use super::top::{Ranked, Top};
use super::{ROUNDOFF, share_rounding};
use crate::sparse::{Columns, Segment, SparseBlock};
use rayon::prelude::*;

/// The threshold falls by this factor from one epoch to the next.
const FALL: f64 = 0.25;
/// Scans start once more than one in so many vertices was touched.
const DENSE_SHARE: usize = 4;
/// A scan pushes vertices with more than this share of the average residual per edge.
const SCANNED_SHARE: f64 = 0.25;

/// A graph by outgoing edges, with the strength of every vertex.
pub struct OutEdges<'a> {
    blocks: Vec<&'a Segment<'a>>,
    /// First vertex of each block; one more than there are blocks.
    starts: Vec<usize>,
    /// Vertices with the same leading bits share a slot: the block of the first of them.
    slots: Vec<u32>,
    shift: u32,
    strengths: Vec<f64>,
    edges: usize,
    /// Vertices without edges.
    dangling: usize,
}

impl<'a> OutEdges<'a> {
    const SLOTS: usize = 1 << 16;

    /// The graph whose rows `blocks` hold in order.
    ///
    /// # Panics
    /// If a block has several segments.
    pub fn new(blocks: &'a [SparseBlock<'a>]) -> Self {
        let mut starts = vec![0];
        for block in blocks {
            starts.push(starts[starts.len() - 1] + block.nrows);
        }
        let vertices = starts[blocks.len()];
        let mut shift = 0;
        while vertices >> shift >= Self::SLOTS {
            shift += 1;
        }
        let block_of = |vertex| starts.partition_point(|&start| start <= vertex) - 1;
        let slots = (0..=(vertices >> shift))
            .map(|slot| block_of(slot << shift) as u32)
            .collect();
        let segments: Vec<&Segment<'_>> = blocks.iter().map(super::edges).collect();
        let strengths = segments
            .iter()
            .flat_map(|segment| row_strengths(segment))
            .collect();
        let empty = |segment: &&Segment<'_>| {
            let rows = segment.offsets.windows(2);
            rows.filter(|pair| pair[0] == pair[1]).count()
        };
        let dangling = segments.iter().map(empty).sum();
        Self {
            blocks: segments,
            starts,
            slots,
            shift,
            strengths,
            edges: blocks.iter().map(SparseBlock::nnz).sum(),
            dangling,
        }
    }

    /// Number of vertices.
    pub fn vertices(&self) -> usize {
        self.strengths.len()
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.edges
    }

    /// Σ of the weights of the edges that leave each vertex.
    pub fn strengths(&self) -> &[f64] {
        &self.strengths
    }

    /// The blocks in the order of their vertices.
    pub(super) fn blocks(&self) -> &[&'a Segment<'a>] {
        &self.blocks
    }

    /// The block that holds a vertex.
    #[inline]
    pub(super) fn block_of(&self, vertex: usize) -> usize {
        let mut block = self.slots[vertex >> self.shift] as usize;
        while self.starts[block + 1] <= vertex {
            block += 1;
        }
        block
    }

    #[inline]
    pub(super) fn row(&self, vertex: usize) -> (&'a Segment<'a>, std::ops::Range<usize>) {
        let block = self.block_of(vertex);
        let segment = self.blocks[block];
        (segment, segment.row(vertex - self.starts[block]))
    }

    /// Σ of the weights of a vertex's edges.
    #[inline]
    pub(super) fn strength(&self, vertex: usize) -> f64 {
        self.strengths[vertex]
    }

    #[inline]
    fn degree(&self, vertex: usize) -> usize {
        self.row(vertex).1.len()
    }
}

fn row_strengths(segment: &Segment<'_>) -> Vec<f64> {
    (0..segment.offsets.len().saturating_sub(1))
        .into_par_iter()
        .with_min_len(1024)
        .map(|row| {
            let span = segment.row(row);
            match segment.values {
                None => span.len() as f64,
                Some(values) => values[span].iter().map(|&weight| f64::from(weight)).sum(),
            }
        })
        .collect()
}

/// When a source is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAt {
    /// ‖r‖₁ is small enough.
    Bound,
    /// ‖r‖₁ is small enough or the set of the best is proven.
    BoundOrProven,
}

/// What to compute.
#[derive(Clone, Copy, Debug)]
pub struct Pushing {
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// Whether dangling vertices keep their mass; otherwise it starts anew at the seeds.
    pub self_loops: bool,
    /// ‖r‖₁ at which to stop.
    pub tol: f64,
    /// Whether a proven set of the best is enough.
    pub stop: StopAt,
    /// How many best vertices are wanted.
    pub top_k: usize,
    /// Edges to follow at most, but for those of the last vertex. No scan begins without room for it.
    pub max_edges: u64,
    /// Σr² at which to stop, besides ‖r‖₁; infinite where it does not matter. See [`super::complete`].
    pub spread: f64,
}

/// The best vertices of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// At most `top_k`, best first.
    pub best: Vec<Ranked>,
    /// Bound of ‖π − p‖₁, rounding included.
    pub residual: f64,
    /// Whether no other vertex can belong to the `top_k` best.
    pub proven: bool,
    /// Edges that were followed.
    pub edges: u64,
    /// Edges of the scan that would come next, if that is what there was no room for.
    pub lacking: u64,
}

/// What comes next for a source.
enum Move {
    /// The queue.
    Epoch,
    /// A scan of the graph.
    Scan,
    /// Nothing: a scan would come, of more edges than are left.
    Stop { scan: u64 },
}

/// The numbers of one source at a time, reused from source to source.
#[derive(Debug)]
pub struct Workspace {
    reserve: Vec<f64>,
    residual: Vec<f64>,
    /// Bit 0: touched, bit 1: in the queue.
    marks: Vec<u8>,
    touched: Vec<u32>,
    queue: VecDeque<u32>,
    edges: u64,
    /// Bound of what rounding did to ‖p‖₁ + ‖r‖₁, in units of [`ROUNDOFF`]: a worst case, each
    /// operation's own (Higham 2002, §2.2), to first order.
    rounding: f64,
    /// ‖r‖₁ at the last count.
    left: f64,
}

const TOUCHED: u8 = 1;
const QUEUED: u8 = 2;

impl Workspace {
    /// Room for a graph of so many vertices.
    pub fn new(vertices: usize) -> Self {
        Self {
            reserve: vec![0.0; vertices],
            residual: vec![0.0; vertices],
            marks: vec![0; vertices],
            touched: Vec::new(),
            queue: VecDeque::new(),
            edges: 0,
            rounding: 0.0,
            left: 1.0,
        }
    }

    /// Personalized PageRank of the walks that start at `seeds` (vertices, shares that sum to one).
    /// `place` says where a vertex stands among the ids.
    pub fn push(
        &mut self,
        graph: &OutEdges<'_>,
        seeds: &[(u32, f64)],
        pushing: &Pushing,
        place: &dyn Fn(u32) -> u32,
    ) -> Pushed {
        self.start(seeds);
        let mut threshold = self.first_threshold(graph);
        loop {
            let mut lacking = 0;
            match self.next_move(graph, seeds, pushing) {
                Move::Epoch => self.epoch(graph, seeds, pushing, threshold),
                Move::Scan => {
                    threshold = SCANNED_SHARE * self.left / graph.edges.max(1) as f64;
                    self.scan(graph, seeds, pushing, threshold);
                }
                Move::Stop { scan } => lacking = scan,
            }
            self.left = self
                .touched
                .iter()
                .map(|&v| self.residual[v as usize])
                .sum();
            // The count is a sum of as many terms as there are touched vertices.
            let rounding = self.rounding + self.touched.len() as f64 * self.left;
            let residual = self.left + rounding * ROUNDOFF;
            // What was rounded stays; the count's own rounding falls with what is counted.
            let hopeless =
                self.rounding * ROUNDOFF >= pushing.tol && self.left <= rounding * ROUNDOFF;
            let exhausted = lacking > 0 || self.edges >= pushing.max_edges || hopeless;
            let done = residual <= pushing.tol && self.is_spread(pushing.spread);
            if done || exhausted {
                let pushed = self.finish(pushing.top_k, residual, place);
                return Pushed { lacking, ..pushed };
            }
            // Not worth a look while much more is left than the best can have.
            if pushing.stop == StopAt::BoundOrProven && residual < 0.5 {
                let pushed = self.finish(pushing.top_k, residual, place);
                if pushed.proven {
                    return pushed;
                }
            }
            threshold *= FALL;
        }
    }

    /// Every vertex that the last source reached, with its reserve and its residual, in an order
    /// that depends on the source alone.
    pub(super) fn reached(&self) -> impl Iterator<Item = (u32, f64, f64)> + '_ {
        self.touched.iter().map(|&vertex| {
            let place = vertex as usize;
            (vertex, self.reserve[place], self.residual[place])
        })
    }

    /// Forgets the source before.
    fn start(&mut self, seeds: &[(u32, f64)]) {
        for &vertex in &self.touched {
            self.reserve[vertex as usize] = 0.0;
            self.residual[vertex as usize] = 0.0;
            self.marks[vertex as usize] = 0;
        }
        self.touched.clear();
        self.queue.clear();
        (self.edges, self.rounding, self.left) = (0, share_rounding(seeds.len()), 1.0);
        for &(vertex, share) in seeds {
            self.touch(vertex);
            self.residual[vertex as usize] += share;
        }
    }

    #[inline]
    fn touch(&mut self, vertex: u32) {
        let mark = &mut self.marks[vertex as usize];
        if *mark & TOUCHED == 0 {
            *mark |= TOUCHED;
            self.touched.push(vertex);
        }
    }

    /// A threshold that the seeds exceed.
    fn first_threshold(&self, graph: &OutEdges<'_>) -> f64 {
        let each = self.touched.iter().map(|&vertex| {
            self.residual[vertex as usize] / graph.degree(vertex as usize).max(1) as f64
        });
        FALL * each.fold(0.0, f64::max)
    }

    /// Whether Σr² is at most `spread`.
    fn is_spread(&self, spread: f64) -> bool {
        let residuals = || self.touched.iter().map(|&v| self.residual[v as usize]);
        spread.is_infinite() || residuals().map(|r| r * r).sum::<f64>() <= spread
    }

    fn next_move(&self, graph: &OutEdges<'_>, seeds: &[(u32, f64)], pushing: &Pushing) -> Move {
        if !self.is_dense(graph) {
            return Move::Epoch;
        }
        let back = if pushing.self_loops { 1 } else { seeds.len() };
        let scan = (graph.edges + back * graph.dangling) as u64;
        match self.edges.saturating_add(scan) <= pushing.max_edges {
            true => Move::Scan,
            false => Move::Stop { scan },
        }
    }

    fn is_dense(&self, graph: &OutEdges<'_>) -> bool {
        self.touched.len() > graph.vertices() / DENSE_SHARE
    }

    /// Pushes until no residual exceeds the threshold, or until scans are better.
    fn epoch(
        &mut self,
        graph: &OutEdges<'_>,
        seeds: &[(u32, f64)],
        pushing: &Pushing,
        threshold: f64,
    ) {
        for place in 0..self.touched.len() {
            self.enqueue(graph, self.touched[place], threshold);
        }
        while let Some(vertex) = self.queue.pop_front() {
            self.marks[vertex as usize] &= !QUEUED;
            self.push_vertex(graph, seeds, pushing, vertex, Some(threshold));
            if self.edges >= pushing.max_edges || self.is_dense(graph) {
                break;
            }
        }
        for vertex in std::mem::take(&mut self.queue) {
            self.marks[vertex as usize] &= !QUEUED;
        }
    }

    /// Pushes every vertex that exceeds the threshold, once, in the order of the graph.
    fn scan(
        &mut self,
        graph: &OutEdges<'_>,
        seeds: &[(u32, f64)],
        pushing: &Pushing,
        threshold: f64,
    ) {
        for vertex in 0..graph.vertices() {
            let residual = self.residual[vertex];
            if residual > threshold && residual > threshold * graph.degree(vertex).max(1) as f64 {
                self.push_vertex(graph, seeds, pushing, vertex as u32, None);
            }
        }
    }

    #[inline]
    fn enqueue(&mut self, graph: &OutEdges<'_>, vertex: u32, threshold: f64) {
        let place = vertex as usize;
        if self.marks[place] & QUEUED == 0
            && self.residual[place] > threshold
            && self.residual[place] > threshold * graph.degree(place).max(1) as f64
        {
            self.marks[place] |= QUEUED;
            self.queue.push_back(vertex);
        }
    }

    /// Moves the residual of a vertex to its reserve and along its edges. With a threshold, vertices
    /// that now exceed it join the queue.
    fn push_vertex(
        &mut self,
        graph: &OutEdges<'_>,
        seeds: &[(u32, f64)],
        pushing: &Pushing,
        vertex: u32,
        threshold: Option<f64>,
    ) {
        let mass = std::mem::take(&mut self.residual[vertex as usize]);
        let (segment, span) = graph.row(vertex as usize);
        if span.is_empty() && pushing.self_loops {
            self.keep(vertex, mass);
            self.edges += 1;
            return;
        }
        self.keep(vertex, (1.0 - pushing.damping) * mass);
        let flow = pushing.damping * mass;
        if span.is_empty() {
            for &(seed, share) in seeds {
                self.receive(graph, seed, flow * share, threshold);
            }
            self.edges += seeds.len() as u64;
            // As below; the flow is rounded by the damping and by its product with a share.
            self.rounding += seeds.len() as f64 * self.left;
            self.rounding += (3.0 + share_rounding(seeds.len())) * mass;
            return;
        }
        self.edges += span.len() as u64;
        // Every receiver's sum is rounded, and none exceeds what was left at the last count. What
        // flows is rounded by the damping, the division and, where edges have weights, by their
        // product and by the strength, a sum of as many terms.
        let terms = segment.values.map_or(0, |_| span.len());
        self.rounding += span.len() as f64 * self.left + (5 + terms) as f64 * mass;
        let flow = flow / graph.strengths[vertex as usize];
        match (segment.columns, segment.values) {
            (Columns::U16(columns), None) => {
                for &target in &columns[span] {
                    self.receive(graph, u32::from(target), flow, threshold);
                }
            }
            (Columns::U32(columns), None) => {
                for &target in &columns[span] {
                    self.receive(graph, target, flow, threshold);
                }
            }
            (_, Some(values)) => {
                for k in span {
                    let target = segment.columns.get(k) as u32;
                    self.receive(graph, target, flow * f64::from(values[k]), threshold);
                }
            }
        }
    }

    #[inline]
    fn keep(&mut self, vertex: u32, mass: f64) {
        let reserve = &mut self.reserve[vertex as usize];
        *reserve += mass;
        self.rounding += *reserve + 2.0 * mass;
    }

    #[inline]
    fn receive(&mut self, graph: &OutEdges<'_>, vertex: u32, mass: f64, threshold: Option<f64>) {
        self.touch(vertex);
        self.residual[vertex as usize] += mass;
        if let Some(threshold) = threshold {
            self.enqueue(graph, vertex, threshold);
        }
    }

    fn finish(&self, top_k: usize, residual: f64, place: &dyn Fn(u32) -> u32) -> Pushed {
        let mut top = Top::new(top_k + 1);
        let (mut positive, mut untouched) = (0, 0);
        for &vertex in &self.touched {
            let score = self.reserve[vertex as usize];
            if score > 0.0 {
                positive += 1;
                if score >= top.threshold() {
                    top.offer(Ranked {
                        index: vertex,
                        place: place(vertex),
                        score,
                    });
                }
            } else {
                untouched += 1;
            }
        }
        let mut best = top.into_sorted();
        let next = best.get(top_k).map_or(0.0, |ranked| ranked.score);
        best.truncate(top_k);
        // Every vertex that was reached was pushed: no other one can ever be.
        let closed = untouched == 0 && positive <= top_k;
        let gap = best.len() == top_k && best[top_k - 1].score - next > residual;
        Pushed {
            best,
            residual,
            proven: closed || gap,
            edges: self.edges,
            lacking: 0,
        }
    }
}
