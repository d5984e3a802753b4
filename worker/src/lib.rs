//! The data plane of rankmill: a process that pulls tasks, computes and reports.
//!
//! `session` talks to the coordinator, `executor` runs a task, `operator` holds one file per
//! operator, `storage` reads and writes, `rankmill-kernels` computes. Workers know no algorithm
//! and keep no state that matters: any of them may vanish at any time.

mod cancellation;
mod context;
mod executor;
mod ids;
mod inspection;
mod limits;
mod memory;
mod operator;
mod session;
mod storage;
mod stripes;

pub use context::{Counters, TaskContext};
pub use inspection::{InputVersion, input_versions, inspect};
pub use limits::Limits;
pub use session::{WorkerConfig, run};
pub use storage::{HandOver, Objects};
