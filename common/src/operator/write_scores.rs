//! `write_scores`: one Parquet file of vertex scores, with the users' own ids.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{RowRange, TallMatrix, VertexOrder};
use crate::table::IdTable;

/// Parameters of `write_scores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteScores {
    /// Places of the vertices that go into the file: they are written in the order of their ids.
    pub places: RowRange,
    /// All vertices.
    pub ids: IdTable,
    /// Their numbering.
    pub order: Option<VertexOrder>,
    /// Scores by index, n × 1 f64.
    pub scores: TallMatrix,
    /// Where the result goes.
    pub output: String,
    /// File name below it.
    pub path: String,
}

impl WriteScores {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD + 8 * self.scores.nrows + 160 * self.places.count
    }
}
