//! `push_scores`: personalized PageRank of some sources by forward push, one source per thread.

use serde::{Deserialize, Serialize};

use super::power_scores::Personal;
use super::read_index::IndexShard;
use crate::matrix::{BlockFormat, BlockRef};

/// Parameters of `push_scores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushScores {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// All blocks of the graph, in row order; rows are outgoing edges.
    pub blocks: Vec<BlockRef>,
    /// Number of vertices.
    pub vertices: u64,
    /// Sources that are worked on at a time, each in a workspace as large as the graph has
    /// vertices.
    pub lanes: u32,
    /// Edges to follow for one source at most.
    pub max_edges: u64,
    /// Fingerprints of all vertices, by index, that complete what is left.
    pub index: Option<Vec<IndexShard>>,
    /// What all methods need.
    pub personal: Personal,
}

/// Bytes per vertex of a workspace.
const WORKSPACE: u64 = 26;
/// Bytes per vertex of completed scores.
const COMPLETION: u64 = 12;

impl PushScores {
    pub(super) fn memory(&self) -> u64 {
        // Besides the workspaces, a row's span and strength per vertex.
        let shared = 24 * self.vertices;
        let lane = WORKSPACE + self.index.as_ref().map_or(0, |_| COMPLETION);
        self.personal.result_memory() + shared + u64::from(self.lanes) * lane * self.vertices
    }
}
