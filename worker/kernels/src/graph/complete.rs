//! What push left, completed from fingerprints (VERD, PowerWalk: Liu et al., CIKM 2016, with a
//! residual that was pushed adaptively).
//!
//! Walks that leave a vertex without out-edges for the source s make π_v,s = q_v + ℓ_v·π_s, where
//! q_v are the visits before the first return and ℓ_v the mass that returns. With reserve p and
//! residual r, π_s = p + Σ r(v)·π_v,s = (p + Σ r(v)·q_v) / (1 − Σ r(v)·ℓ_v).
//!
//! Each fingerprint is an average over R walks, and those of different vertices are independent, so
//! what they add varies as Σr(v)²/R: as an estimate from R/Σr(v)² walks from the source would. That
//! is what to push for, not a small ‖r‖₁: once the residual has spread over many vertices, few walks
//! from each are many from the source.
//!
//! Fingerprints are estimates of q and ℓ, so what they add proves nothing. But π ≥ p and e ≥ p for
//! the completed e, with ‖π − p‖₁ = ‖r‖₁ and ‖e‖₁ ≤ 1, so ‖e − π‖₁ ≤ ‖r‖₁ + ‖e − p‖₁ ≤ 2·‖r‖₁
//! whatever the walks met: that is the bound reported here.

use std::collections::HashSet;

use super::ROUNDOFF;
use super::push::{OutEdges, Pushed, Pushing, Workspace};
use super::top::{Ranked, Top};

/// A residual below this share of the average one is not worth its fingerprint: its vertex keeps
/// what surely stays there.
const WORTH: f64 = 0.05;

/// Fingerprints of a run of vertices.
#[derive(Clone, Copy, Debug)]
pub struct FingerprintShard<'a> {
    /// Where the entries of each vertex begin; one more than there are vertices.
    pub offsets: &'a [i32],
    /// Vertices.
    pub targets: &'a [u32],
    /// Their units of score.
    pub counts: &'a [u16],
    /// The score of one unit, by vertex.
    pub units: &'a [f64],
    /// Mass that returned, by vertex.
    pub returned: &'a [f64],
}

/// Fingerprints of all vertices of a graph.
#[derive(Debug)]
pub struct Fingerprints<'a> {
    shards: Vec<FingerprintShard<'a>>,
    /// First vertex of each shard.
    starts: Vec<usize>,
}

/// One vertex's fingerprint.
struct Stored<'a> {
    targets: &'a [u32],
    counts: &'a [u16],
    unit: f64,
    returned: f64,
}

impl<'a> Fingerprints<'a> {
    /// Those of `shards`, which follow one another.
    pub fn new(shards: Vec<FingerprintShard<'a>>) -> Self {
        let mut starts = Vec::with_capacity(shards.len());
        let mut next = 0;
        for shard in &shards {
            starts.push(next);
            next += shard.units.len();
        }
        Self { shards, starts }
    }

    /// Number of vertices.
    pub fn vertices(&self) -> usize {
        self.shards.iter().map(|shard| shard.units.len()).sum()
    }

    fn of(&self, vertex: u32) -> Stored<'a> {
        let vertex = vertex as usize;
        let place = self.starts.partition_point(|&start| start <= vertex) - 1;
        let (shard, row) = (&self.shards[place], vertex - self.starts[place]);
        let span = shard.offsets[row] as usize..shard.offsets[row + 1] as usize;
        Stored {
            targets: &shard.targets[span.clone()],
            counts: &shard.counts[span],
            unit: shard.units[row],
            returned: shard.returned[row],
        }
    }
}

/// The completed scores of one source at a time, reused from source to source.
#[derive(Debug)]
pub struct Completion {
    scores: Vec<f64>,
    reached: Vec<u32>,
}

impl Completion {
    /// Room for a graph of so many vertices.
    pub fn new(vertices: usize) -> Self {
        Self {
            scores: vec![0.0; vertices],
            reached: Vec::new(),
        }
    }

    /// Pushes as [`Workspace::push`] does, until half of the tolerance is left and the residual is
    /// spread as wanted, and completes the scores: with what fingerprints add, that meets it.
    pub fn push(
        &mut self,
        workspace: &mut Workspace,
        graph: &OutEdges<'_>,
        index: &Fingerprints<'_>,
        (seeds, pushing): (&[(u32, f64)], &Pushing),
        place: &dyn Fn(u32) -> u32,
    ) -> Pushed {
        let half = Pushing {
            tol: pushing.tol / 2.0,
            ..*pushing
        };
        let pushed = workspace.push(graph, seeds, &half, place);
        for vertex in self.reached.drain(..) {
            self.scores[vertex as usize] = 0.0;
        }
        let (returned, additions) = self.add(workspace, index, pushing.damping, pushed.residual);
        let scale = 1.0 / (1.0 - returned);
        let mut top = Top::new(pushing.top_k);
        let (mut mass, settled) = (0.0, workspace.reached().map(|(_, p, _)| p).sum::<f64>());
        for &vertex in &self.reached {
            let score = scale * self.scores[vertex as usize];
            mass += score;
            if score >= top.threshold() {
                top.offer(Ranked {
                    index: vertex,
                    place: place(vertex),
                    score,
                });
            }
        }
        let best = top.into_sorted();
        let rounding = 4.0 * (additions + self.reached.len()) as f64 * ROUNDOFF;
        Pushed {
            // What push alone proves holds for this answer where it is the same set.
            proven: pushed.proven && same_set(&best, &pushed.best),
            best,
            residual: pushed.residual + (mass - settled).max(0.0) + rounding,
            edges: pushed.edges,
            lacking: pushed.lacking,
        }
    }

    /// Sums p + Σ r(v)·q_v; returns Σ r(v)·ℓ_v and the number of additions.
    fn add(
        &mut self,
        workspace: &Workspace,
        index: &Fingerprints<'_>,
        damping: f64,
        residual: f64,
    ) -> (f64, usize) {
        let left = workspace.reached().filter(|&(_, _, r)| r > 0.0).count();
        let worth = WORTH * residual / left.max(1) as f64;
        let (mut returned, mut additions) = (0.0, 0);
        for (vertex, settled, r) in workspace.reached() {
            if r <= worth {
                self.receive(vertex, settled + (1.0 - damping) * r);
                continue;
            }
            self.receive(vertex, settled);
            let fingerprint = index.of(vertex);
            let share = r * fingerprint.unit;
            for (&target, &count) in fingerprint.targets.iter().zip(fingerprint.counts) {
                self.receive(target, share * f64::from(count));
            }
            returned += r * fingerprint.returned;
            additions += fingerprint.targets.len();
        }
        (returned, additions)
    }

    #[inline]
    fn receive(&mut self, vertex: u32, mass: f64) {
        let score = &mut self.scores[vertex as usize];
        if *score == 0.0 && mass > 0.0 {
            self.reached.push(vertex);
        }
        *score += mass;
    }
}

fn same_set(a: &[Ranked], b: &[Ranked]) -> bool {
    let set: HashSet<u32> = a.iter().map(|ranked| ranked.index).collect();
    a.len() == b.len() && b.iter().all(|ranked| set.contains(&ranked.index))
}
