//! `find_sources`: finds the sources of personalized PageRank among a graph's vertices.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::ObjectRef;
use crate::job::ppr::{OnMissingSource, Seeds};
use crate::matrix::VertexOrder;
use crate::table::IdTable;

/// Parameters of `find_sources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindSources {
    /// What was asked for; never all vertices, which need no search.
    pub seeds: Seeds,
    /// All vertices.
    pub ids: IdTable,
    /// Their numbering.
    pub order: Option<VertexOrder>,
    /// What to do with sources that are not in the graph.
    pub on_missing: OnMissingSource,
}

/// Sources in the order of their names, and where their walks start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundSources {
    /// Arrow IPC, one row per source: `vertices: List<UInt32>` (indices, ascending) and
    /// `weights: List<Float64>`, which sum to one.
    pub object: ObjectRef,
    /// Names of the sources: ids of vertices, or what a seed table calls them.
    pub names: IdTable,
    /// Number of sources.
    pub count: u64,
    /// Sources, or rows of a seed table, that were left out.
    pub skipped: u64,
}

impl FindSources {
    pub(super) fn memory(&self) -> u64 {
        // Files are read in batches, but the sources themselves are held: tables of tens of
        // millions of rows are the largest that make sense.
        const TABLE: u64 = 512 << 20;
        match &self.seeds {
            Seeds::All => TASK_OVERHEAD,
            Seeds::Ids { ids } => TASK_OVERHEAD + 64 * ids.len() as u64,
            Seeds::Sources { .. } | Seeds::Table { .. } => TASK_OVERHEAD + TABLE,
        }
    }
}
