//! The nouns that cross a process boundary in rankmill.
//!
//! Identifiers, job specifications, operator descriptions, descriptors of matrices, the manifest
//! and the kinds of error. No I/O, no async, no arrow, no tonic: everything here is plain data,
//! serializable, and validated where it is made.
//!
//! Invariant: a type lives here only while at least two crates need it.

// Closed enums are matched without a catch-all, so that the compiler walks whoever adds a variant
// through the house.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod digest;
pub mod error;
pub mod estimate;
pub mod id;
pub mod input;
pub mod job;
pub mod manifest;
pub mod matrix;
pub mod object;
pub mod operator;
pub mod size;
pub mod status;
pub mod table;

pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use id::{AttemptId, Epoch, JobId, StageId, TaskIndex, WorkerId};
pub use object::ObjectRef;
pub use size::ByteSize;
