//! `transform_block`: a transform that needs column statistics, then the local ones behind it.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::build_block::{Names, Statistics};
use crate::ObjectRef;
use crate::input::Transform;
use crate::matrix::BlockRef;

/// Parameters of `transform_block`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformBlock {
    /// The block as it is.
    pub block: BlockRef,
    /// Columns of the whole matrix.
    pub ncols: u64,
    /// Rows of the whole matrix.
    pub nrows: u64,
    /// Sum of all entries of the whole matrix.
    pub sum: f64,
    /// Column statistics of every block (see [`super::BuiltBlock::statistics`]), in order; the
    /// task adds them up.
    pub column_statistics: Vec<ObjectRef>,
    /// The transform that needs them.
    pub transform: Transform,
    /// Local transforms behind it.
    pub then: Vec<Transform>,
    /// Whether a later transform needs statistics in its turn.
    pub statistics: Statistics,
    /// What messages call an entry.
    pub names: Names,
}

impl TransformBlock {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD + 3 * self.block.object.size + 12 * self.block.nnz + 96 * self.ncols
    }
}
