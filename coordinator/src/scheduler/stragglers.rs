//! Second attempts at tasks that take far longer than their like.
//!
//! A worker that would otherwise idle tries a straggler's task again. The first attempt to commit
//! wins; where the other one reports as well, both must have made the same bytes.

use std::collections::VecDeque;

use rankmill_common::{JobId, TaskIndex};

use super::state::{Job, Scheduler, Stage, Task, TaskKey, Waiting};

/// Share of a stage that must be done before its stragglers are tried again (Spark 4's value).
const DONE_SHARE: f64 = 0.9;

/// A straggler takes more than this many times the median (Spark 4's value).
const SLOWER: u64 = 3;

/// Running times that must be known before any attempt counts as slow.
const ENOUGH: usize = 3;

/// Running times that are remembered per operator.
const MEMORY: usize = 128;

/// Running times of one operator's tasks in milliseconds, the latest ones.
#[derive(Debug, Default)]
pub(super) struct Durations {
    latest: VecDeque<u64>,
}

impl Durations {
    fn add(&mut self, duration: u64) {
        self.latest.push_back(duration);
        if self.latest.len() > MEMORY {
            self.latest.pop_front();
        }
    }

    fn median(&self) -> Option<u64> {
        let mut sorted: Vec<u64> = self.latest.iter().copied().collect();
        sorted.sort_unstable();
        (sorted.len() >= ENOUGH).then(|| sorted[sorted.len() / 2])
    }
}

impl Job {
    /// Notes how long a task took.
    pub(super) fn learn(&mut self, key: &TaskKey, duration: u64) {
        let task = self
            .stages
            .get(&key.stage)
            .and_then(|stage| stage.tasks.get(key.task.0 as usize));
        if let Some(task) = task {
            self.durations.entry(task.name).or_default().add(duration);
        }
    }
}

impl Scheduler {
    /// A task that another worker has been running for far too long.
    pub(super) fn straggler(&mut self, now: u64, waiting: &Waiting) -> Option<TaskKey> {
        let found = self
            .jobs
            .iter()
            .find_map(|(id, job)| self.straggler_of(now, id, job, waiting));
        if found.is_some() {
            self.totals.attempts_speculated += 1;
        }
        found
    }

    fn straggler_of(&self, now: u64, id: &JobId, job: &Job, waiting: &Waiting) -> Option<TaskKey> {
        let nearly_done = job.stages.iter().filter(|(_, stage)| is_nearly_done(stage));
        for (stage, state) in nearly_done {
            let known = state
                .tasks
                .first()
                .and_then(|task| job.durations.get(task.name));
            let Some(median) = known.and_then(Durations::median) else {
                continue;
            };
            let limit = (median * SLOWER).max(self.limits.straggler_ms);
            for (index, task) in (0..).zip(&state.tasks) {
                if is_slow(task, now, limit)
                    && task.memory <= waiting.free_memory
                    && task.attempts[0].worker != waiting.worker
                {
                    return Some(TaskKey {
                        job: id.clone(),
                        stage: *stage,
                        task: TaskIndex(index),
                    });
                }
            }
        }
        None
    }
}

fn is_nearly_done(stage: &Stage) -> bool {
    if stage.reported_done {
        return false;
    }
    let done = stage
        .tasks
        .iter()
        .filter(|task| task.is_committed())
        .count();
    done >= (stage.tasks.len() as f64 * DONE_SHARE) as usize
}

/// Whether its only attempt has been running for longer than `limit`.
fn is_slow(task: &Task, now: u64, limit: u64) -> bool {
    !task.is_committed()
        && matches!(&task.attempts[..], [only] if now.saturating_sub(only.since) > limit)
}
