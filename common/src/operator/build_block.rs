//! `build_block` and `build_dense_block`: one block of the input matrix, ready for kernels.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::inspect::Piece;
use crate::ObjectRef;
use crate::input::{DenseLayout, Duplicates, OnBadRow, Transform};
use crate::matrix::{BlockRef, RowRange, VertexOrder};
use crate::table::IdTable;

/// Parameters of `build_block`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildBlock {
    /// The block's rows.
    pub rows: RowRange,
    /// Columns of the whole matrix.
    pub ncols: u64,
    /// Width of a column segment; up to 65,536 local indices have 16 bits, above 32.
    pub segment_width: u32,
    /// Its entries.
    pub entries: BlockEntries,
    /// What becomes of several entries at one place.
    pub duplicates: Duplicates,
    /// Local transforms, applied in order once duplicates are merged.
    pub transforms: Vec<Transform>,
    /// Whether a later transform needs the statistics of this block's columns.
    pub statistics: Statistics,
    /// Whether values are stored or are all one.
    pub values: Values,
    /// What messages call an entry.
    pub names: Names,
}

/// What users call the entries of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Names {
    /// By row and column.
    Matrix {
        /// Ids of all rows.
        rows: IdTable,
        /// Ids of all columns.
        columns: IdTable,
    },
    /// As edges, which lead from columns to rows.
    Graph {
        /// Ids of all vertices.
        vertices: IdTable,
        /// Their numbering.
        order: Option<VertexOrder>,
    },
}

/// Where the entries of a block are, in file order within each of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BlockEntries {
    /// At their places: of the pieces that have some in this block.
    Placed {
        /// Sorted by bucket of rows.
        pieces: Vec<PieceEntries>,
        /// The block's first bucket.
        first_bucket: u64,
        /// Binary logarithm of the rows in a bucket.
        bucket_bits: u32,
    },
    /// Among others, by codes that are distances.
    Coded {
        /// Entries of every piece, sorted by bucket: one record batch for each.
        pieces: Vec<ObjectRef>,
        /// Binary logarithm of the row codes in a bucket.
        bucket_bits: u32,
        /// The index of every row code; see `index_ids`.
        row_indices: ObjectRef,
        /// The index of every column code.
        column_indices: ObjectRef,
        /// Entries of the block, at most.
        count: u64,
    },
}

/// What one piece has of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PieceEntries {
    /// All of the piece's entries, one record batch per bucket.
    pub entries: ObjectRef,
    /// Those of this block.
    pub count: u64,
}

/// Whether a task also makes column statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistics {
    /// No.
    Skip,
    /// Yes: entries, sums and sums of squares per column.
    Collect,
}

/// Whether entries carry values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// Every entry is one as long as no transform says otherwise.
    Ones,
    /// Entries carry f32 values.
    Stored,
}

/// Rows of a dense block that are written at a time: the `BATCH_ROWS` of `rankmill-kernels`.
const DENSE_BATCH_ROWS: u64 = 4096;

/// Parameters of `build_dense_block`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuildDenseBlock {
    /// What to read: the block's rows are the piece's rows.
    pub piece: Piece,
    /// Which columns.
    pub layout: DenseLayout,
    /// Length of the vectors.
    pub ncols: u64,
    /// What to do with a bad row.
    pub on_bad_row: OnBadRow,
}

/// A block and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BuiltBlock {
    /// The block. Its `start` counts from the first row of the task's own rows where rows may
    /// have been left out before it; the algorithm adds them up.
    pub block: BlockRef,
    /// Arrow IPC `id` of a dense block's rows, where the input has ids.
    pub ids: Option<ObjectRef>,
    /// ‖block‖²_F.
    pub frobenius2: f64,
    /// Σ over rows of (entries in the row)².
    pub row_nnz2: f64,
    /// Σ over all entries.
    pub sum: f64,
    /// Tall f64 matrix ncols × 4, where it was asked for. Per column: number of entries, their
    /// sum, sum of absolute values, sum of squares.
    pub statistics: Option<ObjectRef>,
    /// Rows that were left out.
    pub skipped: u64,
}

impl BuildBlock {
    pub(super) fn memory(&self) -> u64 {
        let (entries, tables) = match &self.entries {
            BlockEntries::Placed { pieces, .. } => {
                (pieces.iter().map(|piece| piece.count).sum::<u64>(), 0)
            }
            BlockEntries::Coded {
                row_indices,
                column_indices,
                count,
                ..
            } => (*count, row_indices.size + column_indices.size),
        };
        let statistics = match self.statistics {
            Statistics::Skip => 0,
            Statistics::Collect => 64 * self.ncols,
        };
        TASK_OVERHEAD + 40 * entries + tables + 8 * self.rows.count + statistics
    }
}

impl BuildDenseBlock {
    pub(super) fn memory(&self) -> u64 {
        // Rows that wait to be written, and as many while they are decoded.
        let held = self.piece.rows.min(DENSE_BATCH_ROWS) * self.ncols * 8;
        TASK_OVERHEAD + held + self.piece.rows * 64
    }
}
