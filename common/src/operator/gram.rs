//! `gram`: AᵀA over some blocks, in f64, for matrices of few columns.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{BlockFormat, BlockRef, SmallMatrix, TallMatrix};

/// Parameters of `gram`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gram {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The blocks.
    pub blocks: Vec<BlockRef>,
    /// Columns of the matrix.
    pub ncols: u64,
    /// μ, where the columns are centred.
    pub mean: Option<TallMatrix>,
}

/// This task's part of AᵀA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GramPart {
    /// ncols × ncols.
    pub gram: SmallMatrix,
}

impl Gram {
    pub(super) fn memory(&self) -> u64 {
        let largest = self.blocks.iter().map(|block| block.object.size).max();
        TASK_OVERHEAD + 16 * self.ncols * self.ncols + largest.unwrap_or(0)
    }
}
