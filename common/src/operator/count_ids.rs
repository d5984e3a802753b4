//! `count_ids`: how often each id occurs in some pieces, where ids are coded as distances.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::ObjectRef;

/// Parameters of `count_ids`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountIds {
    /// Encoded entries; together fewer than 2³¹.
    pub entries: Vec<ObjectRef>,
    /// Which codes to count.
    pub ends: Ends,
    /// Number of codes.
    pub span: u64,
}

/// Ends of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// Row codes.
    Rows,
    /// Column codes.
    Columns,
    /// Both, where they mean the same: vertices of a graph.
    Both,
}

/// How often each id occurs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountedIds {
    /// Arrow IPC: `count: u32` of every code.
    pub object: ObjectRef,
}

impl CountIds {
    /// Tables that are filled side by side, at most.
    pub const LANES: u64 = 4;

    /// Entries that one task counts, about, of ids in a range of `span`. Every task writes a table of
    /// the whole range, so a wide one has fewer tasks; the widest leaves counts below 2³¹.
    pub fn entries_of_task(span: u64) -> u64 {
        const LEAST: u64 = 1 << 24;
        const PER_ID: u64 = 8;
        LEAST.max(span.saturating_mul(PER_ID))
    }

    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD + Self::LANES * 4 * self.span
    }
}
