//! `push_scores`: personalized PageRank of some sources by forward push, one source per thread.
//!
//! Where that is allowed, sources that push does not answer within its edges are handed over to
//! power iteration in the same task, along the edges turned round in memory.

use serde::{Deserialize, Serialize};

use super::power_scores::{Personal, panel_bytes};
use super::read_index::IndexShard;
use crate::matrix::{BlockFormat, BlockRef, Precision};

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
    /// What completes what is left.
    pub index: Option<Completing>,
    /// How sources go on that reach `max_edges`, or have no room for a scan; absent, they are left
    /// as they are.
    pub hand_over: Option<HandOver>,
    /// What all methods need.
    pub personal: Personal,
}

/// Fingerprints that complete what push leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completing {
    /// Of all vertices, by index.
    pub shards: Vec<IndexShard>,
    /// Σr² of the residual r at which fingerprints are good enough.
    pub spread: f64,
}

/// Power iteration of the sources that push does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandOver {
    /// Sources that are pushed first: where they need too many edges, the others are not pushed.
    pub probes: u32,
    /// Sources that iterate side by side.
    pub width: u32,
    /// The numbers in which residuals and estimates are kept.
    pub kept: Precision,
    /// Most iterations.
    pub max_iterations: u32,
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
        let workspaces = u64::from(self.lanes) * lane * self.vertices;
        self.personal.result_memory() + shared + workspaces.max(self.iterating())
    }

    /// Bytes of the edges turned round, of what turning them takes, and of panels.
    fn iterating(&self) -> u64 {
        let Some(power) = &self.hand_over else {
            return 0;
        };
        // As many columns, and values at most, as the blocks have; columns of four bytes.
        let narrow = self.vertices <= 1 << 16;
        let bytes = |block: &BlockRef| block.object.size + if narrow { 2 * block.nnz } else { 0 };
        let edges: u64 = self.blocks.iter().map(bytes).sum();
        edges + 40 * self.vertices + panel_bytes(self.vertices, power.width, power.kept)
    }
}
