//! `page_rank_step`: x ← (1−d)·u + d·(Pᵀx + dangling mass), on the rows of some blocks.
//!
//! Rows pull along the edges that enter them, so each row has one owner and tasks return parts of
//! the next x that follow one another: nothing is added up between tasks. A task that holds all
//! rows may take several steps.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::job::graph::Dangling;
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
    /// Their part of ‖x − previous x‖₁.
    pub change: f64,
    /// Their part of a bound of what rounding did to ‖x‖₁ in the last step.
    pub rounding: f64,
    /// Their part of Σx.
    pub mass: f64,
    /// Steps that were taken.
    pub steps: u32,
}

impl PageRankStep {
    pub(super) fn memory(&self) -> u64 {
        // x, two scaled copies of it, the inverse strengths, and a reading buffer.
        let largest = self.blocks.iter().map(|block| block.object.size).max();
        TASK_OVERHEAD + 40 * self.vertices + largest.unwrap_or(0)
    }
}
