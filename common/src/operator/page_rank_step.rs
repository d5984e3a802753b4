//! `page_rank_step`: x ← (1−d)·u + d·(Pᵀx + dangling mass), on the rows of some blocks.
//!
//! Rows pull along the edges that enter them, so each row has one owner and tasks return parts of
//! the next x that follow one another: nothing is added up between tasks but sums block by block, in
//! their order. So the scores have the same bits however blocks are shared out. A task that holds
//! all rows may take several steps.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::job::graph::{Dangling, error_bound};
use crate::matrix::{BlockFormat, BlockRef, Shard, TallMatrix};

/// Parameters of `page_rank_step`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRankStep {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The task's blocks, in row order; rows are incoming edges.
    pub blocks: Vec<BlockRef>,
    /// Number of vertices.
    pub vertices: u64,
    /// Out-strength of every vertex, n × 1 f64.
    pub strengths: TallMatrix,
    /// x, n × 1 f64; absent before the first step, where it is uniform.
    pub scores: Option<TallMatrix>,
    /// Σx over vertices without out-edges; absent before the first step.
    pub dangling_mass: Option<f64>,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where the mass of vertices without out-edges goes.
    pub dangling: Dangling,
    /// Steps to take at most; more than one only where the task holds all blocks.
    pub steps: u32,
    /// The error bound at which to stop.
    pub tol: f64,
}

/// The task's rows of x after its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRankStepped {
    /// The rows, n × 1 f64.
    pub scores: Shard,
    /// Sums of the last step over the rows of each block.
    pub sums: Vec<BlockSums>,
    /// The dangling mass that the last step spread over all vertices.
    pub spread: f64,
    /// Steps that were taken.
    pub steps: u32,
}

/// Sums of a step over some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockSums {
    /// ‖x − previous x‖₁.
    pub change: f64,
    /// Bound of what rounding did to ‖x‖₁.
    pub rounding: f64,
    /// Σx.
    pub mass: f64,
    /// Σx over vertices without out-edges.
    pub dangling: f64,
}

/// Terms of a chunk at most, in units of rounding: chunks' sums are added up without loss.
const CHUNKED_SUM: f64 = 16384.0;
/// What rounding of out-strengths may cost, in the same units: sums of columns are compensated.
const STRENGTHS: f64 = 4.0;

impl BlockSums {
    /// Sums of a step over all rows, from those of the blocks in their order; the step spread
    /// `spread` of dangling mass.
    pub fn total<'a>(spread: f64, blocks: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        let mut count = 0.0;
        for block in blocks {
            count += 1.0;
            total.change += block.change;
            total.rounding += block.rounding;
            total.mass += block.mass;
            total.dangling += block.dangling;
        }
        // Sums over vertices are rounded within chunks and from block to block, and so are those of
        // strengths where several tasks take them, of a block each at least.
        let sums = (CHUNKED_SUM + count) * (spread + total.change);
        total.rounding += (sums + STRENGTHS + count) * f64::EPSILON;
        total
    }

    /// Bound of ‖x − x*‖₁.
    pub fn bound(&self, damping: f64) -> f64 {
        // x and x* are not negative, and x* sums to one: they are no farther apart than that.
        let farthest = 1.0 + self.mass * (1.0 + CHUNKED_SUM * f64::EPSILON) + self.rounding;
        error_bound(damping, self.change, self.rounding).min(farthest)
    }

    /// Whether no further step is of use: the bound is met, or rounding alone exceeds it and is
    /// most of what there is.
    pub fn is_final(&self, damping: f64, tol: f64) -> bool {
        let hopeless =
            error_bound(damping, 0.0, self.rounding) > tol && self.change <= self.rounding;
        self.bound(damping) <= tol || hopeless
    }
}

/// Bytes per vertex of the graph: x, two scaled copies of it, the inverse strengths, and a reading
/// buffer.
pub const STEP_VERTEX_BYTES: u64 = 40;

impl PageRankStep {
    pub(super) fn memory(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(|block| block.object.size).sum();
        TASK_OVERHEAD + STEP_VERTEX_BYTES * self.vertices + blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAMPING: f64 = 0.85;

    fn sums(change: f64, rounding: f64) -> BlockSums {
        BlockSums {
            change,
            rounding,
            mass: 1.0,
            dangling: 0.0,
        }
    }

    #[test]
    fn it_is_final_once_rounding_is_what_is_left() {
        let last = |change, tol| sums(change, 1e-12).is_final(DAMPING, tol);
        assert!(last(1e-13, 1e-9), "met");
        assert!(last(1e-13, 1e-13), "hopeless");
        assert!(!last(1e-6, 1e-13), "more steps would tell");
        assert!(!last(1e-6, 1e-9));
    }

    #[test]
    fn two_distributions_are_no_farther_apart_than_two() {
        let bound = sums(1.9, 1e-12).bound(0.9999);
        assert!((2.0..2.0 + 1e-9).contains(&bound), "{bound}");
        let plain = error_bound(DAMPING, 1e-3, 1e-12);
        assert_eq!(sums(1e-3, 1e-12).bound(DAMPING), plain);
    }

    #[test]
    fn every_block_may_round_a_sum() {
        let rounding =
            |blocks: usize| BlockSums::total(0.25, &vec![sums(0.0, 0.0); blocks]).rounding;
        let each = (rounding(2048) - rounding(1024)) / 1024.0;
        assert!(each >= 1.25 * f64::EPSILON * 0.999, "{each}");
    }
}
