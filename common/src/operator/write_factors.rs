//! `write_factors`: one Parquet file of a factor, with the users' own ids.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::Digest;
use crate::matrix::{RowRange, SmallMatrix, TallMatrix};
use crate::table::IdTable;

/// Parameters of `write_factors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteFactors {
    /// Rows that go into the file.
    pub rows: RowRange,
    /// The factor.
    pub factor: TallMatrix,
    /// Ids of its rows.
    pub ids: IdTable,
    /// Extremes of the left factor's shards, in row order: they decide each column's sign.
    pub extremes: Vec<SmallMatrix>,
    /// Where the result goes.
    pub output: String,
    /// File name below it.
    pub path: String,
}

/// A file of the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Path below the output.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Number of Parquet rows.
    pub rows: u64,
    /// Digest of the content.
    pub blake3: Digest,
}

impl WriteFactors {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD + self.rows.count * (12 * u64::from(self.factor.ncols) + 128)
    }
}
