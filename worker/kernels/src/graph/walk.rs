//! Walks: fingerprints of vertices by Monte Carlo full paths (PowerWalk: Liu et al., CIKM 2016).
//!
//! Every vertex that a walk visits counts, not only its last one. A walk that wants to leave a
//! vertex without out-edges returns to the source of whoever uses the fingerprint, which is not
//! known here: it ends, and the fingerprint says how much mass returned so.
//!
//! Invariant: a fingerprint depends on the graph, its vertex and the seed alone. Step s of walk w
//! from v takes word s of the random sequence (seed, v, w), whoever walks.

use super::push::OutEdges;
use crate::random::Philox;
use crate::sparse::Segment;
use rayon::prelude::*;

/// Words of one random block: steps that a walk takes before the next walk has its turn, so that
/// the reads of several walks are under way at a time.
pub(super) const TURN: u32 = 4;
/// What tells these random numbers from others under the same seed.
const STREAM: u32 = 0x7761_6c6b;
/// Numbers that a word of 32 bits has.
const WORDS: f64 = 4_294_967_296.0;

/// What to walk.
#[derive(Clone, Copy, Debug)]
pub struct Walking {
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// Whether walks stay at vertices without out-edges; otherwise they return.
    pub self_loops: bool,
    /// Walks from each vertex.
    pub walks: u32,
    /// Most entries of a fingerprint.
    pub entries: usize,
    /// What decides the random numbers.
    pub seed: u64,
}

/// An estimate of the scores of the walks from one vertex.
///
/// Shares, what returned and what is missing sum to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fingerprint {
    /// Vertices, ascending, and how many units of score they have.
    pub entries: Vec<(u32, u16)>,
    /// The score of one unit.
    pub unit: f64,
    /// Mass of walks that returned from vertices without out-edges.
    pub returned: f64,
    /// Mass of the visits that did not fit into the entries.
    pub missing: f64,
}

impl Walking {
    /// What decides the words of a walk's turn.
    pub(super) fn counter(start: u32, walk: u32, turn: u32) -> [u32; 4] {
        [start, walk, turn, STREAM]
    }
}

impl Fingerprint {
    /// Visits over all visits, those that walks would have made after their return included: they
    /// are 1/(1−d) each, as from any start.
    ///
    /// `counts` are the vertices, ascending, and how often walks visited each; `returned` walks did.
    pub fn of_visits(counts: &mut Vec<(u32, u32)>, returned: u64, walking: &Walking) -> Self {
        let visits: u64 = counts.iter().map(|&(_, count)| u64::from(count)).sum();
        let returned = returned as f64 / (1.0 - walking.damping);
        let all = visits as f64 + returned;
        if counts.len() > walking.entries {
            let rank = |&(vertex, count): &(u32, u32)| (std::cmp::Reverse(count), vertex);
            counts.select_nth_unstable_by_key(walking.entries, rank);
            counts.truncate(walking.entries);
            counts.sort_unstable_by_key(|&(vertex, _)| vertex);
        }
        let most = counts.iter().map(|&(_, count)| count).max();
        let bits = 32 - most.unwrap_or(0).leading_zeros();
        let shift = bits.saturating_sub(u16::BITS);
        let entries: Vec<(u32, u16)> = counts
            .iter()
            .map(|&(vertex, count)| (vertex, (count >> shift) as u16))
            .filter(|&(_, units)| units > 0)
            .collect();
        let units: u64 = entries.iter().map(|&(_, units)| u64::from(units)).sum();
        Self {
            entries,
            unit: f64::from(1u32 << shift) / all,
            returned: returned / all,
            missing: (visits - (units << shift)) as f64 / all,
        }
    }
}

/// Running sums of the weights of each row: where a weighted step goes.
#[derive(Debug)]
pub struct Cumulative {
    /// By block; none where edges weigh one.
    blocks: Vec<Option<Vec<f64>>>,
}

impl Cumulative {
    /// Sums the weights of a graph.
    pub fn new(graph: &OutEdges<'_>) -> Self {
        let blocks = graph.blocks().par_iter();
        Self {
            blocks: blocks.map(|segment| running_sums(segment)).collect(),
        }
    }
}

fn running_sums(segment: &Segment<'_>) -> Option<Vec<f64>> {
    let weights = segment.values?;
    let mut sums = vec![0.0; weights.len()];
    for row in 0..segment.offsets.len().saturating_sub(1) {
        let mut sum = 0.0;
        for k in segment.row(row) {
            sum += f64::from(weights[k]);
            sums[k] = sum;
        }
    }
    Some(sums)
}

/// The walks of one vertex at a time; its memory is reused from vertex to vertex.
#[derive(Debug, Default)]
pub struct Walker {
    /// Walks that go on, and where they are.
    walks: Vec<(u32, u32)>,
    visits: Vec<u32>,
    /// Visited vertices and how often they were.
    counts: Vec<(u32, u32)>,
    returned: u64,
}

/// Where one walk is after its turn.
enum Turn {
    At(u32),
    Ended,
    Returned,
}

impl Walker {
    /// The fingerprint of `vertex`.
    pub fn fingerprint(
        &mut self,
        graph: &OutEdges<'_>,
        cumulative: &Cumulative,
        vertex: u32,
        walking: &Walking,
    ) -> Fingerprint {
        let philox = Philox::new(walking.seed);
        let stepping = Stepping::new(graph, cumulative, walking);
        self.returned = 0;
        self.visits.clear();
        self.walks.clear();
        self.walks
            .extend((0..walking.walks).map(|walk| (walk, vertex)));
        self.visits
            .extend(std::iter::repeat_n(vertex, walking.walks as usize));
        let mut turn = 0;
        while !self.walks.is_empty() {
            let (visits, returned) = (&mut self.visits, &mut self.returned);
            self.walks.retain_mut(|(walk, at)| {
                let words = philox.block(Walking::counter(vertex, *walk, turn));
                match stepping.turn(*at, words, visits) {
                    Turn::At(vertex) => {
                        *at = vertex;
                        true
                    }
                    Turn::Ended => false,
                    Turn::Returned => {
                        *returned += 1;
                        false
                    }
                }
            });
            turn += 1;
        }
        self.count();
        Fingerprint::of_visits(&mut self.counts, self.returned, walking)
    }

    fn count(&mut self) {
        self.visits.sort_unstable();
        self.counts.clear();
        let runs = self.visits.chunk_by(|a, b| a == b);
        self.counts
            .extend(runs.map(|run| (run[0], run.len() as u32)));
    }
}

pub(super) struct Stepping<'a, 'b> {
    graph: &'b OutEdges<'a>,
    cumulative: &'b Cumulative,
    pub(super) self_loops: bool,
    limit: u32,
    scale: f64,
}

impl<'a, 'b> Stepping<'a, 'b> {
    pub(super) fn new(
        graph: &'b OutEdges<'a>,
        cumulative: &'b Cumulative,
        walking: &Walking,
    ) -> Self {
        // A step is taken by words below this; how far below says along which edge.
        let limit = (walking.damping * WORDS).clamp(1.0, WORDS - 1.0);
        Self {
            graph,
            cumulative,
            self_loops: walking.self_loops,
            limit: limit as u32,
            scale: 1.0 / limit.floor(),
        }
    }

    /// Which edge a word takes, as a share of the strength of its vertex; none where the walk ends.
    #[inline]
    pub(super) fn share(&self, word: u32) -> Option<f64> {
        (word < self.limit).then(|| f64::from(word) * self.scale)
    }

    #[inline]
    fn turn(&self, mut at: u32, words: [u32; TURN as usize], visits: &mut Vec<u32>) -> Turn {
        for word in words {
            let Some(share) = self.share(word) else {
                return Turn::Ended;
            };
            match self.step(at, share) {
                Some(next) => at = next,
                None if self.self_loops => {}
                None => return Turn::Returned,
            }
            visits.push(at);
        }
        Turn::At(at)
    }

    /// The vertex that the edge at `share` of the strength of `at` leads to, if there are edges.
    #[inline]
    pub(super) fn step(&self, at: u32, share: f64) -> Option<u32> {
        let block = self.graph.block_of(at as usize);
        let (segment, span) = self.graph.row(at as usize);
        let last = span.len().checked_sub(1)?;
        let chosen = match &self.cumulative.blocks[block] {
            None => (share * span.len() as f64) as usize,
            Some(sums) => {
                let sums = &sums[span.clone()];
                let wanted = share * sums[last];
                sums.partition_point(|&sum| sum <= wanted)
            }
        };
        Some(segment.columns.get(span.start + chosen.min(last)) as u32)
    }
}
