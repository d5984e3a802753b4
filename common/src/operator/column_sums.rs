//! `column_sums`: sums of the columns of some blocks, in f64; their mean centres the matrix.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{BlockFormat, BlockRef, TallMatrix};

/// Parameters of `column_sums`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSums {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The blocks.
    pub blocks: Vec<BlockRef>,
    /// Columns of the matrix.
    pub ncols: u64,
}

/// Sums over the blocks of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSumsParts {
    /// ncols × 1, f64.
    pub sums: TallMatrix,
}

impl ColumnSums {
    pub(super) fn memory(&self) -> u64 {
        let largest = self.blocks.iter().map(|block| block.object.size).max();
        TASK_OVERHEAD + 16 * self.ncols + largest.unwrap_or(0)
    }
}
