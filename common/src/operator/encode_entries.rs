//! `encode_entries`: reads one piece of triplets and replaces ids by codes local to the piece.
//!
//! Each distinct id of the piece is kept once, in ascending order; its code is its place in that
//! order. Where all ids of the input lie in a narrow range, a code is the distance from the lowest
//! one; where ids are indices already, codes are the indices. Then no ids are kept.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::inspect::Piece;
use crate::ObjectRef;
use crate::input::{OnBadRow, SparseLayout};
use crate::table::IdRange;

/// Parameters of `encode_entries`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodeEntries {
    /// What to read.
    pub piece: Piece,
    /// Which columns.
    pub layout: SparseLayout,
    /// What to do with a bad row.
    pub on_bad_row: OnBadRow,
    /// Which values make sense.
    pub sign: Sign,
    /// Where all row ids lie, if they are to be coded as distances.
    pub row_range: Option<IdRange>,
    /// Where all column ids lie, if they are to be coded as distances.
    pub column_range: Option<IdRange>,
    /// Binary logarithm of the row codes in a bucket, if entries are to be sorted by bucket: for
    /// row codes that are distances.
    pub bucket_bits: Option<u32>,
}

/// Which values make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// All that the transforms can take.
    Any,
    /// Positive ones: weights of edges.
    Positive,
}

/// An encoded piece.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodedEntries {
    /// Arrow IPC: `row: u32`, `col: u32` (codes) and, where there are values, `value: f32`; in file
    /// order, within a bucket where they are sorted by bucket, one record batch for each.
    pub entries: ObjectRef,
    /// Number of entries.
    pub count: u64,
    /// The piece's row ids; absent where codes are indices or distances.
    pub row_ids: Option<PieceIds>,
    /// The piece's column ids; absent where codes are indices or distances.
    pub column_ids: Option<PieceIds>,
    /// Largest row code plus one.
    pub row_codes: u64,
    /// Largest column code plus one.
    pub column_codes: u64,
    /// Rows that were left out.
    pub skipped: u64,
}

/// Distinct ids of one piece, ascending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PieceIds {
    /// Arrow IPC: `id` in the users' type, `count: u32` (entries with this id).
    pub object: ObjectRef,
    /// Number of ids.
    pub count: u64,
}

impl EncodedEntries {
    /// Everything that was written of the piece.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let ids = self.row_ids.iter().chain(&self.column_ids);
        ids.map(|ids| &ids.object).chain([&self.entries])
    }
}

impl EncodeEntries {
    pub(super) fn memory(&self) -> u64 {
        let sorted = self.bucket_bits.map_or(0, |_| 12);
        // Decoded ids, their sort order and the codes live side by side.
        TASK_OVERHEAD + self.piece.bytes * 3 + self.piece.rows * (24 + sorted)
    }
}
