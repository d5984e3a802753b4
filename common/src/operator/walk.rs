//! `walk`: walks from a range of vertices; their fingerprints go straight into the result.

use serde::{Deserialize, Serialize};

use super::{TASK_OVERHEAD, WrittenFile};
use crate::job::graph::Dangling;
use crate::matrix::{BlockFormat, BlockRef, RowRange};

/// Parameters of `walk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// All blocks of the graph, in row order; rows are outgoing edges.
    pub blocks: Vec<BlockRef>,
    /// Number of vertices.
    pub vertices: u64,
    /// Indices of the vertices to walk from.
    pub rows: RowRange,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where walks go from vertices without out-edges.
    pub dangling: Dangling,
    /// Walks from each vertex.
    pub walks: u32,
    /// Visits of the walks from one vertex, on average.
    pub visits: u64,
    /// Most entries of a fingerprint.
    pub entries: u32,
    /// What decides the random numbers.
    pub seed: u64,
    /// Where the index goes.
    pub output: String,
    /// File name below it.
    pub path: String,
}

/// Fingerprints of a range of vertices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Walked {
    /// `targets`, `counts`, `unit`, `returned`, `missing`; one row per vertex, by index.
    pub file: WrittenFile,
    /// Entries of all fingerprints.
    pub entries: u64,
    /// Σ over vertices of the mass that did not fit into their entries.
    pub missing: f64,
}

/// Bytes of a fingerprint in a file, at most, before compression.
pub fn fingerprint_bytes(entries: u32) -> u64 {
    6 * u64::from(entries) + 32
}

/// Vertices of one file of fingerprints: the larger they may be, the fewer.
pub fn vertices_per_file(entries: u32) -> u64 {
    const FILE_BYTES: u64 = 64 << 20;
    const MOST: u64 = 1 << 16;
    (FILE_BYTES / fingerprint_bytes(entries)).clamp(1, MOST)
}

impl Walk {
    pub(super) fn memory(&self) -> u64 {
        // Visits are counted by as many threads as a machine may have.
        const THREADS: u64 = 32;
        const VISIT_BYTES: u64 = 16;
        // Running sums of the weights of blocks that have any: those are as large as that.
        const WEIGHTED_EDGE_BYTES: u64 = 6;
        let weighted = |block: &&BlockRef| block.object.size >= WEIGHTED_EDGE_BYTES * block.nnz;
        let blocks = self.blocks.iter().filter(weighted);
        let sums: u64 = blocks.map(|block| 8 * block.nnz).sum();
        // As they are made, as columns, and as the bytes of a file.
        let fingerprints = 3 * self.rows.count * (fingerprint_bytes(self.entries) + 64);
        TASK_OVERHEAD
            + 16 * self.vertices
            + sums
            + fingerprints
            + THREADS * VISIT_BYTES * self.visits
    }
}
