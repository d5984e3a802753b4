//! `partition_entries`: replaces a piece's codes by indices and sorts its entries by block, and
//! within a block by buckets of rows.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::encode_entries::{EncodedEntries, PieceIds};
use crate::ObjectRef;
use crate::matrix::{RowRange, VertexOrder};
use crate::table::IdTable;

/// Parameters of `partition_entries`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionEntries {
    /// The encoded piece.
    pub piece: EncodedEntries,
    /// All row ids.
    pub row_ids: IdTable,
    /// All column ids.
    pub column_ids: IdTable,
    /// The index of every row code, where codes are distances; see `index_ids`.
    pub row_indices: Option<ObjectRef>,
    /// The index of every column code, where codes are distances.
    pub column_indices: Option<ObjectRef>,
    /// Rows of each block, in order.
    pub blocks: Vec<RowBuckets>,
    /// The numbering of rows and columns, where it is not that of the ids; tables of indices have
    /// it in them already.
    pub order: Option<VertexOrder>,
    /// Whether an entry also stands at its mirrored place.
    pub mirror: Mirror,
}

/// A block's rows, cut into buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowBuckets {
    /// The rows.
    pub rows: RowRange,
    /// Binary logarithm of the rows in a bucket; the last may have fewer.
    pub bits: u32,
}

impl RowBuckets {
    /// How many buckets there are.
    pub fn count(&self) -> u64 {
        self.rows.count.div_ceil(1 << self.bits)
    }
}

/// Whether an entry also stands at its mirrored place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mirror {
    /// No.
    Off,
    /// Yes, unless that is the same place; right behind the entry itself.
    On,
}

impl Mirror {
    /// Places at which an entry stands, at most.
    pub fn copies(self) -> u64 {
        match self {
            Self::Off => 1,
            Self::On => 2,
        }
    }
}

/// A piece's entries, sorted by bucket and, within a bucket, kept in file order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionedEntries {
    /// Arrow IPC, one record batch per bucket, block after block: `row: u32` (within the block),
    /// `col: u32` and, where there are values, `value: f32`.
    pub entries: ObjectRef,
    /// Entries per bucket.
    pub counts: Vec<u64>,
}

impl PartitionEntries {
    pub(super) fn memory(&self) -> u64 {
        let ids = |ids: &Option<PieceIds>| ids.as_ref().map_or(0, |ids| 16 * ids.count);
        let order = self.order.as_ref().map_or(0, |order| order.object.size);
        let indices = self.row_indices.iter().chain(&self.column_indices);
        let indices: u64 = indices.map(|object| object.size).sum();
        TASK_OVERHEAD
            + order
            + indices
            + 40 * self.mirror.copies() * self.piece.count
            + ids(&self.piece.row_ids)
            + ids(&self.piece.column_ids)
    }
}
