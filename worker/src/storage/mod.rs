//! Where bytes come from and go to: immutable objects, Arrow IPC, Parquet inputs.
//!
//! The only home of arrow, parquet and memory maps. Nothing here computes.
//!
//! Invariant: what is read from the state store is checked against its digest before anyone sees
//! it, and what is written there is never changed.

pub(crate) mod block;
pub(crate) mod by_source;
mod cache;
pub(crate) mod fingerprints;
mod hand_over;
pub(crate) mod id_rows;
pub(crate) mod input;
pub(crate) mod ipc;
mod mapped;
pub(crate) mod matrix_file;
mod objects;
mod open_blocks;
pub(crate) mod order;
pub(crate) mod result;
pub(crate) mod small;
pub(crate) mod tall;
mod vectors;
mod writer;

pub use hand_over::HandOver;
pub(crate) use mapped::Mapped;
pub use objects::Objects;
pub(crate) use writer::ObjectWriter;
