//! `partition_entries`: replaces a piece's codes by indices and sorts its entries by block.

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
    pub blocks: Vec<RowRange>,
    /// The numbering of rows and columns, where it is not that of the ids; tables of indices have
    /// it in them already.
    pub order: Option<VertexOrder>,
    /// Whether an entry also stands at its mirrored place.
    pub mirror: Mirror,
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

/// A piece's entries, sorted by block and, within a block, kept in file order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionedEntries {
    /// Arrow IPC, one record batch per block: `row: u32` (within the block), `col: u32` and,
    /// where there are values, `value: f32`.
    pub entries: ObjectRef,
    /// Entries per block.
    pub counts: Vec<u64>,
}

impl PartitionEntries {
    pub(super) fn memory(&self) -> u64 {
        let ids = |ids: &Option<PieceIds>| ids.as_ref().map_or(0, |ids| 16 * ids.count);
        let order = self.order.as_ref().map_or(0, |order| order.object.size);
        let indices = self.row_indices.iter().chain(&self.column_indices);
        let indices: u64 = indices.map(|object| object.size).sum();
        let copies = match self.mirror {
            Mirror::Off => 1,
            Mirror::On => 2,
        };
        TASK_OVERHEAD
            + order
            + indices
            + 40 * copies * self.piece.count
            + ids(&self.piece.row_ids)
            + ids(&self.piece.column_ids)
    }
}
