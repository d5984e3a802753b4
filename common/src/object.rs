//! References to immutable objects in the state store.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// One immutable object: where it lies, how large it is and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Key relative to the root of the state store.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// blake3 of the content; readers refuse anything else.
    pub digest: Digest,
}
