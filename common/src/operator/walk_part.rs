//! `walk_part` and `gather_walks`: walks on a part of a graph, and the fingerprints that come of
//! them.
//!
//! Walks from some vertices go on in rounds. In a round a part takes the walks that have come to it
//! as far as they stay there, and sends the others to where they are. Visits are added up per start
//! before they are kept.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::walk::fingerprint_bytes;
use crate::ObjectRef;
use crate::job::graph::Dangling;
use crate::matrix::{BlockFormat, BlockRef, RowRange};

/// Parameters of `walk_part`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkPart {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The blocks that hold any row of the part, in row order; rows are outgoing edges.
    pub blocks: Vec<BlockRef>,
    /// Number of vertices of the graph.
    pub vertices: u64,
    /// The vertices of every part, in order.
    pub parts: Vec<RowRange>,
    /// Which of them this task works on.
    pub part: u32,
    /// The vertices whose walks are under way.
    pub starts: RowRange,
    /// Walks that have come to the part; absent before the first round, in which those start whose
    /// vertices belong to it.
    pub arrived: Option<Vec<ObjectRef>>,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where walks go from vertices without out-edges.
    pub dangling: Dangling,
    /// Walks from each vertex.
    pub walks: u32,
    /// Visits of the walks from one vertex, on average.
    pub visits: u64,
    /// What decides the random numbers.
    pub seed: u64,
}

/// What a round leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalkedPart {
    /// Arrow IPC: `source: u32` (the start), `vertex: u32`, `count: u32`, by start and vertex. The
    /// vertex [`RETURNED`] counts walks that returned. Absent where there is nothing.
    pub visits: Option<ObjectRef>,
    /// Arrow IPC: `source` (where a walk is), `start: u32`, `walk: u32`, `step: u32`, by all of
    /// them; batch b is for part b modulo their number.
    pub frontier: Option<ObjectRef>,
    /// Walks in the frontier by part.
    pub sent: Vec<u64>,
}

/// Stands for the source of whoever uses a fingerprint. No graph has such a vertex.
pub const RETURNED: u32 = u32::MAX;

/// Parameters of `gather_walks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatherWalks {
    /// The vertices whose fingerprints are made.
    pub rows: RowRange,
    /// What rounds have left of their visits, in any order.
    pub visits: Vec<ObjectRef>,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Walks from each vertex.
    pub walks: u32,
    /// Most entries of a fingerprint.
    pub entries: u32,
    /// Where the index goes.
    pub output: String,
    /// File name below it.
    pub path: String,
}

/// Bytes of a visit in a task: as it is made, among all of them, and as they are added up.
pub const VISIT_BYTES: u64 = 24;
/// Bytes of a walk in a task: as it comes, as it leaves, and sorted.
pub const WALK_BYTES: u64 = 48;
/// Bytes of a vertex of the part: its strength.
pub const WALK_ROW_BYTES: u64 = 8;

/// Bytes that the walks from one vertex take in a task at most.
pub fn start_bytes(walks: u32, visits: u64) -> u64 {
    VISIT_BYTES * visits + WALK_BYTES * u64::from(walks)
}

/// Bytes of a block for walks: mapped, and running sums of weights where it has any.
pub fn block_bytes(block: &BlockRef) -> u64 {
    const WEIGHTED_EDGE_BYTES: u64 = 6;
    let weighted = block.object.size >= WEIGHTED_EDGE_BYTES * block.nnz;
    block.object.size + if weighted { 8 * block.nnz } else { 0 }
}

impl WalkPart {
    /// The vertices of the part.
    pub fn rows(&self) -> Option<RowRange> {
        self.parts.get(self.part as usize).copied()
    }

    pub(super) fn memory(&self) -> u64 {
        let rows = self.rows().map_or(0, |rows| rows.count);
        TASK_OVERHEAD
            + self.blocks.iter().map(block_bytes).sum::<u64>()
            + WALK_ROW_BYTES * rows
            + self.starts.count * start_bytes(self.walks, self.visits)
    }
}

impl GatherWalks {
    pub(super) fn memory(&self) -> u64 {
        // As they are made, as columns, and as the bytes of a file.
        TASK_OVERHEAD + 3 * self.rows.count * (fingerprint_bytes(self.entries) + 64)
    }
}
