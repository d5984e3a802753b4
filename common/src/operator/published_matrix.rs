//! `find_matrix` and `publish_matrix`: blocks that outlive their job.
//!
//! A matrix is known by the digest of what made it, so a second job on the same input starts at
//! once and a resumed job never ingests twice.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::Digest;
use crate::matrix::BlockedMatrix;

/// Parameters of `find_matrix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindMatrix {
    /// Digest of the pinned inputs and ingest options.
    pub digest: Digest,
}

/// The blocks of an earlier job, if all of them are still there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundMatrix {
    /// The matrix.
    pub matrix: Option<BlockedMatrix>,
}

/// Parameters of `publish_matrix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishMatrix {
    /// The matrix to make known.
    pub matrix: BlockedMatrix,
}

impl FindMatrix {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD
    }
}

impl PublishMatrix {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD
    }
}
