//! `merge_ids`: merges the ids of all pieces into one shard of the id table.
//!
//! Shards are ranges of ids. Every task finds the same splitters from the same pieces (evenly
//! spaced ids of each piece, weighted, sorted), so no task waits for another.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::encode_entries::PieceIds;
use crate::ObjectRef;

/// Parameters of `merge_ids`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeIds {
    /// The ids of every piece.
    pub pieces: Vec<PieceIds>,
    /// Which shard this task makes.
    pub shard: u32,
    /// How many shards there are.
    pub shards: u32,
    /// Entries after which a block of rows should end; absent for columns.
    pub block_entries: Option<u64>,
    /// Whether the table keeps how many entries each id has.
    pub counts: Counts,
}

/// Whether an id table keeps how many entries each id has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// No.
    Drop,
    /// As `count: u64` beside the ids.
    Keep,
}

/// One shard of an id table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedIds {
    /// Arrow IPC: `id` in the users' type, ascending, and `count: u64` where it was asked for.
    pub object: ObjectRef,
    /// Number of ids.
    pub count: u64,
    /// Places within the shard, ascending, at which a block of rows should end.
    pub cuts: Vec<u64>,
    /// Entries before, between and behind those places; empty where they were not counted.
    pub entries: Vec<u64>,
}

impl MergeIds {
    pub(super) fn memory(&self) -> u64 {
        let bytes: u64 = self.pieces.iter().map(|piece| piece.object.size).sum();
        TASK_OVERHEAD + 3 * bytes / u64::from(self.shards.max(1))
    }
}
