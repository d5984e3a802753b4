//! Settings of a coordinator, as its TOML file holds them.

use serde::{Deserialize, Serialize};

use crate::scheduler::Limits;

/// Settings; every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CoordinatorConfig {
    /// Milliseconds between a worker's heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds of silence after which a worker counts as lost.
    pub lease_ms: u64,
    /// Milliseconds for which a worker's request for a task waits.
    pub poll_ms: u64,
    /// Failures of one task after which its job fails.
    pub task_failures: u32,
    /// Workers that may die of one task before its job fails.
    pub lost_workers: usize,
    /// Failures of one worker in one stage after which it gets no more tasks of it.
    pub worker_failures: u32,
    /// Seconds for which jobs wait for a worker before they fail.
    pub no_workers_seconds: u64,
    /// Jobs that may run at once; more are refused.
    pub max_jobs: usize,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 2_000,
            lease_ms: 15_000,
            poll_ms: 5_000,
            task_failures: 4,
            lost_workers: 2,
            worker_failures: 2,
            no_workers_seconds: 900,
            max_jobs: 64,
        }
    }
}

impl CoordinatorConfig {
    /// The bounds that the scheduler keeps.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            lease_ms: self.lease_ms,
            poll_ms: self.poll_ms,
            task_failures: self.task_failures,
            lost_workers: self.lost_workers,
            worker_failures: self.worker_failures,
            no_workers_ms: self.no_workers_seconds * 1_000,
        }
    }
}
