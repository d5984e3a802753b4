//! Descriptors of matrices: blocked inputs, tall matrices in shards, small matrices.

use serde::{Deserialize, Serialize};

use crate::table::IdTable;
use crate::{Digest, ObjectRef};

/// An input matrix, cut into blocks of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockedMatrix {
    /// Digest of the pinned inputs and ingest options that made it.
    pub digest: Digest,
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// Number of rows.
    pub nrows: u64,
    /// Number of columns.
    pub ncols: u64,
    /// Number of stored entries.
    pub nnz: u64,
    /// ‖A‖²_F, in f64.
    pub frobenius2: f64,
    /// Σ over rows of (entries in the row)²: what a sparse AᵀA costs in multiplications.
    pub row_nnz2: f64,
    /// Blocks in row order; together they hold every row once.
    pub blocks: Vec<BlockRef>,
    /// Row index → id; of a graph with an order, place → id.
    pub row_ids: IdTable,
    /// Column index → id; of a graph with an order, place → id.
    pub column_ids: IdTable,
    /// Where a graph's vertices are not numbered in the order of their ids.
    #[serde(default)]
    pub order: Option<VertexOrder>,
    /// Rows of the input that were left out under `--on-bad-row skip`.
    pub skipped_rows: u64,
}

impl BlockedMatrix {
    /// Bytes of all blocks.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.object.size).sum()
    }
}

/// The numbering of a graph's vertices. A vertex's place is where its id stands among all ids in
/// ascending order; its index is its row and column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VertexOrder {
    /// Arrow IPC, in batches: `index: u32` of every place and `place: u32` of every index.
    pub object: ObjectRef,
}

/// How a block stores its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockFormat {
    /// One record batch per column segment; lists of column indices and values (CSR).
    Sparse,
    /// Fixed-size lists of f32.
    Dense,
}

/// A range of consecutive rows of an input matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockRef {
    /// Index of the first row.
    pub start: u64,
    /// Number of rows.
    pub nrows: u64,
    /// Stored entries.
    pub nnz: u64,
    /// The Arrow IPC file.
    pub object: ObjectRef,
}

/// Width of a stored floating point number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    Single,
    /// 64 bits.
    Double,
}

impl Precision {
    /// Bytes of one number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Single => 4,
            Self::Double => 8,
        }
    }
}

/// A tall dense matrix, row-major, in shards of consecutive rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TallMatrix {
    /// Number of rows.
    pub nrows: u64,
    /// Number of columns.
    pub ncols: u32,
    /// Width of the stored numbers.
    pub precision: Precision,
    /// Shards in row order; together they hold every row once.
    pub shards: Vec<Shard>,
}

impl TallMatrix {
    /// The row ranges of a matrix's shards, from its shape alone: whoever reads a shard's rows of
    /// several matrices of that shape reads no object of which others need the rest.
    pub fn cut(nrows: u64, ncols: u32, precision: Precision) -> Vec<RowRange> {
        /// Most bytes of one shard.
        const SHARD_BYTES: u64 = 64 << 20;
        /// Shards that a matrix of fewer bytes than so many is cut into, as far as each has the
        /// least bytes: so many workers can share the work.
        const SMALL_SHARDS: u64 = 8;
        const LEAST_SHARD_BYTES: u64 = 4 << 20;
        let row_bytes = precision.bytes() * u64::from(ncols.max(1));
        let parts = even_parts(nrows.saturating_mul(row_bytes), LEAST_SHARD_BYTES);
        let rows = nrows.div_ceil(parts.min(SMALL_SHARDS));
        RowRange::cut(nrows, rows.min(SHARD_BYTES / row_bytes))
    }

    /// The objects of all shards.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.shards.iter().map(|shard| &shard.object)
    }
}

/// A range of consecutive rows of a tall matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Its rows.
    pub rows: RowRange,
    /// Arrow IPC with one column of fixed-size lists.
    pub object: ObjectRef,
}

/// Consecutive rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRange {
    /// First row.
    pub start: u64,
    /// Number of rows.
    pub count: u64,
}

impl RowRange {
    /// The row after the last.
    pub fn end(self) -> u64 {
        self.start + self.count
    }

    /// Cuts `nrows` rows into ranges of `size` rows, the last one shorter.
    pub fn cut(nrows: u64, size: u64) -> Vec<Self> {
        let size = size.max(1);
        (0..nrows.div_ceil(size))
            .map(|i| Self {
                start: i * size,
                count: size.min(nrows - i * size),
            })
            .collect()
    }
}

/// How many parts of at least `least` bytes there are in `bytes`: a power of two, so that two, four
/// or eight workers have equal shares.
pub fn even_parts(bytes: u64, least: u64) -> u64 {
    ((bytes / least + 1).next_power_of_two() / 2).max(1)
}

/// A small dense f64 matrix in one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmallMatrix {
    /// Number of rows.
    pub nrows: u32,
    /// Number of columns.
    pub ncols: u32,
    /// Arrow IPC with one column of fixed-size lists of f64.
    pub object: ObjectRef,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cut_ranges_cover_every_row_once(nrows in 0u64..10_000, size in 0u64..3_000) {
            let ranges = RowRange::cut(nrows, size);
            let mut next = 0;
            for range in &ranges {
                prop_assert_eq!(range.start, next);
                prop_assert!(range.count > 0);
                next = range.end();
            }
            prop_assert_eq!(next, nrows);
        }
    }
}
