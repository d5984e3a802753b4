//! How long a job's stages took and what they moved: the clock's side of a manifest.

use rankmill_common::manifest::StageTiming;
use rankmill_common::operator::Work;
use tokio::time::Instant;

use crate::log::TaskCost;

/// A stage as the clock sees it.
pub(super) struct Timing {
    pub(super) name: String,
    pub(super) tasks: u32,
    pub(super) done: u32,
    pub(super) asked: Instant,
    pub(super) wall_ms: Option<u64>,
    pub(super) busy_ms: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) work: Work,
}

impl Timing {
    pub(super) fn new(name: String, tasks: u32) -> Self {
        Self {
            name,
            tasks,
            done: 0,
            asked: Instant::now(),
            wall_ms: None,
            busy_ms: 0,
            bytes_read: 0,
            bytes_written: 0,
            work: Work::default(),
        }
    }

    pub(super) fn add(&mut self, cost: TaskCost, work: Option<Work>) {
        let work = work.unwrap_or_default();
        self.work.flops += work.flops;
        self.work.bytes_gathered += work.bytes_gathered;
        self.done += 1;
        self.busy_ms += cost.busy_ms;
        self.bytes_read += cost.bytes_read;
        self.bytes_written += cost.bytes_written;
    }

    pub(super) fn to_stage(&self) -> StageTiming {
        StageTiming {
            stage: self.name.clone(),
            tasks: self.tasks,
            wall_ms: self.wall_ms.unwrap_or(0),
            busy_ms: self.busy_ms,
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            bytes_gathered: self.work.bytes_gathered,
            flops: self.work.flops,
        }
    }
}
