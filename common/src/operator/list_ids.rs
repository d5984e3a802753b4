//! `list_ids`: one shard of an id table, from how often each id of a range occurs.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::merge_ids::Counts;
use crate::ObjectRef;
use crate::matrix::RowRange;
use crate::table::{IdRange, IdType};

/// Parameters of `list_ids`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListIds {
    /// Counts by code; an id occurs as often as all of them say.
    pub counts: Vec<ObjectRef>,
    /// The ids behind the codes.
    pub range: IdRange,
    /// The users' type.
    pub id_type: IdType,
    /// Codes of this shard.
    pub codes: RowRange,
    /// Entries after which a block of rows should end; absent for columns.
    pub block_entries: Option<u64>,
    /// Whether the table keeps how many entries each id has.
    pub keep: Counts,
}

impl ListIds {
    pub(super) fn memory(&self) -> u64 {
        // Sums, and growing lists of ids and of their counts.
        TASK_OVERHEAD + 40 * self.codes.count
    }
}
