//! Under construction.

mod context;
mod storage;

pub use context::{Counters, TaskContext};
pub use storage::Objects;
