//! `find_index` and `read_index`: the index of an earlier job, checked and made an object that
//! tasks can map.

use serde::{Deserialize, Serialize};

use super::walk::fingerprint_bytes;
use super::{TASK_OVERHEAD, WrittenFile};
use crate::job::graph::Dangling;
use crate::matrix::RowRange;
use crate::{Digest, ObjectRef};

/// Parameters of `find_index`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindIndex {
    /// Where the index lies.
    pub index: String,
    /// The graph that it has to be of.
    pub graph: Digest,
    /// Number of its vertices.
    pub vertices: u64,
    /// The damping that it has to have.
    pub damping: f64,
    /// The dangling policy that it has to have.
    pub dangling: Dangling,
}

/// The files of an index that fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundIndex {
    /// In the order of the vertices.
    pub files: Vec<IndexFile>,
    /// Most entries of a fingerprint.
    pub entries: u32,
    /// Walks from each vertex.
    pub walks: u32,
}

/// One file of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexFile {
    /// Indices of its vertices.
    pub rows: RowRange,
    /// The file.
    pub file: WrittenFile,
}

/// Parameters of `read_index`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadIndex {
    /// Where the index lies.
    pub index: String,
    /// What to read of it.
    pub file: IndexFile,
    /// Number of vertices.
    pub vertices: u64,
    /// Most entries of a fingerprint.
    pub entries: u32,
}

/// Fingerprints of a range of vertices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexShard {
    /// Indices of the vertices.
    pub rows: RowRange,
    /// Arrow IPC, one batch with the columns of [`super::Walked`].
    pub object: ObjectRef,
}

impl FindIndex {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD
    }
}

impl ReadIndex {
    pub(super) fn memory(&self) -> u64 {
        let rows = self.file.rows.count * (fingerprint_bytes(self.entries) + 64);
        TASK_OVERHEAD + self.file.file.size + 3 * rows
    }
}
