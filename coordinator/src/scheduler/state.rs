//! What the scheduler remembers.

use std::collections::{BTreeMap, VecDeque};

use rankmill_common::{AttemptId, Epoch, JobId, StageId, TaskIndex, WorkerId};

use super::event::{Need, RequestId, TaskPlan};
use super::stragglers::Durations;
use crate::log::Committed;
use crate::metrics::Totals;

/// First pause after a failure; doubled by each further one.
const FIRST_BACKOFF_MS: u64 = 250;
const LONGEST_BACKOFF_MS: u64 = 30_000;

/// Bounds on patience.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Silence after which a worker counts as lost.
    pub lease_ms: u64,
    /// How long a request for work waits.
    pub poll_ms: u64,
    /// Failures of one task after which its job fails.
    pub task_failures: u32,
    /// As many times a store or network may be out of reach for one task.
    pub transient_failures: u32,
    /// Workers lost by one task after which it is quarantined.
    pub lost_workers: usize,
    /// How long a task is quarantined before its job fails: time for workers that were only cut
    /// off to come back.
    pub quarantine_ms: u64,
    /// Failures of one worker in one stage after which it gets no more tasks of it, and in any
    /// after which it rests.
    pub worker_failures: u32,
    /// How long jobs wait for a worker.
    pub no_workers_ms: u64,
    /// Running time below which no attempt counts as a straggler.
    pub straggler_ms: u64,
}

/// The state of the cluster.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) limits: Limits,
    pub(super) epoch: Epoch,
    pub(super) attempts: u64,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) no_workers_since: Option<u64>,
    pub(super) totals: Totals,
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) memory: u64,
    /// The process behind it.
    pub(super) instance: String,
    pub(super) last_seen: u64,
    pub(super) leases: BTreeMap<AttemptId, Held>,
    pub(super) failures: BTreeMap<(JobId, StageId), u32>,
    /// Failures that no success has made up for.
    pub(super) strikes: u32,
    /// Until then others go first: it keeps failing.
    pub(super) rests_until: u64,
}

/// A lease in a worker's hands.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) key: TaskKey,
    /// When the worker last said that it runs the attempt, or was told to.
    pub(super) named: u64,
    /// Bytes that it has moved, as far as it has said.
    pub(super) bytes: u64,
}

/// A worker that waits for a task.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: RequestId,
    pub(super) worker: WorkerId,
    pub(super) free_memory: u64,
    pub(super) since: u64,
}

/// A job's stages, and who holds which of its data.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) stages: BTreeMap<StageId, Stage>,
    /// Who last ran the task of this operator and index: it has the inputs mapped.
    pub(super) affinity: BTreeMap<(&'static str, TaskIndex), WorkerId>,
    /// Running times of each operator's committed tasks.
    pub(super) durations: BTreeMap<&'static str, Durations>,
}

/// One stage.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) root: String,
    pub(super) tasks: Vec<Task>,
    /// The most that a task of the stages behind it is known to need.
    pub(super) foreseen: Option<Need>,
    pub(super) reported_done: bool,
    /// Tasks whose output has to be made again.
    pub(super) repairs: usize,
}

/// Which task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskKey {
    pub(super) job: JobId,
    pub(super) stage: StageId,
    pub(super) task: TaskIndex,
}

/// One task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) memory: u64,
    pub(super) committed: Option<Committed>,
    /// The output was lost: the task runs again and must make the same bytes at the same place.
    pub(super) repair: Repair,
    /// Attempts whose reports are awaited: one, or two where the first is a straggler.
    pub(super) attempts: Vec<Running>,
    pub(super) failures: u32,
    pub(super) transient_failures: u32,
    /// Processes that fell silent while they ran it and have not come back, with their names.
    pub(super) lost_workers: BTreeMap<String, WorkerId>,
    /// Since when too many were lost.
    pub(super) quarantined: Option<u64>,
    /// Not before this instant, after a failure.
    pub(super) not_before: u64,
    /// Not before this task's output is repaired.
    pub(super) blocked_on: Option<TaskKey>,
}

/// An attempt in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) since: u64,
}

/// Whether a committed output has to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    NotNeeded,
    Needed,
}

impl Scheduler {
    /// No workers, no jobs. `epoch` makes attempt ids unique.
    pub fn new(epoch: Epoch, limits: Limits) -> Self {
        Self {
            limits,
            epoch,
            attempts: 0,
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            waiting: VecDeque::new(),
            no_workers_since: None,
            totals: Totals::default(),
        }
    }

    pub(super) fn next_attempt(&mut self) -> AttemptId {
        self.attempts += 1;
        AttemptId::new(format!("{}-{}", self.epoch, self.attempts))
    }

    pub(super) fn task(&self, key: &TaskKey) -> Option<&Task> {
        let stage = self.jobs.get(&key.job)?.stages.get(&key.stage)?;
        stage.tasks.get(key.task.0 as usize)
    }

    pub(super) fn task_mut(&mut self, key: &TaskKey) -> Option<&mut Task> {
        self.jobs
            .get_mut(&key.job)?
            .stages
            .get_mut(&key.stage)?
            .tasks
            .get_mut(key.task.0 as usize)
    }
}

impl Stage {
    /// Whether a look at its tasks may find one to lease.
    pub(super) fn has_open_tasks(&self) -> bool {
        !self.reported_done || self.repairs > 0
    }

    /// What its open tasks need, and what is known to follow.
    pub(super) fn needs(&self) -> impl Iterator<Item = Need> {
        let open = self.tasks.iter().filter(|task| !task.is_committed());
        let open = open.map(|task| Need {
            name: task.name,
            memory: task.memory,
        });
        let later = self.foreseen.filter(|_| !self.reported_done);
        open.chain(later)
    }
}

impl Worker {
    pub(super) fn new(now: u64, memory: u64, instance: String) -> Self {
        Self {
            memory,
            instance,
            last_seen: now,
            leases: BTreeMap::new(),
            failures: BTreeMap::new(),
            strikes: 0,
            rests_until: 0,
        }
    }

    /// A worker that keeps failing, in whatever stage, rests longer each time: else every stage
    /// would find out anew, and pause for it.
    pub(super) fn failed(&mut self, now: u64, key: &TaskKey, patience: u32) {
        let of_stage = self.failures.entry((key.job.clone(), key.stage));
        *of_stage.or_default() += 1;
        self.strikes += 1;
        if let Some(beyond) = self.strikes.checked_sub(patience) {
            // Longer than the task's own first pause: another is to take it.
            self.rests_until = now + backoff(beyond + 2);
        }
    }

    /// One success makes up for one failure: who manages small tasks alone is not well yet.
    pub(super) fn succeeded(&mut self) {
        self.strikes = self.strikes.saturating_sub(1);
        self.rests_until = 0;
    }
}

impl Task {
    pub(super) fn new(plan: TaskPlan) -> Self {
        Self {
            name: plan.name,
            memory: plan.memory,
            committed: plan.committed,
            repair: Repair::NotNeeded,
            attempts: Vec::new(),
            failures: 0,
            transient_failures: 0,
            lost_workers: BTreeMap::new(),
            quarantined: None,
            not_before: 0,
            blocked_on: None,
        }
    }

    pub(super) fn is_committed(&self) -> bool {
        self.committed.is_some()
    }

    pub(super) fn runs(&self, attempt: &AttemptId) -> bool {
        self.attempts
            .iter()
            .any(|running| running.attempt == *attempt)
    }

    /// Ends an attempt; it, if it was awaited.
    pub(super) fn take_attempt(&mut self, attempt: &AttemptId) -> Option<Running> {
        let index = self
            .attempts
            .iter()
            .position(|running| running.attempt == *attempt)?;
        Some(self.attempts.remove(index))
    }

    /// Whether its output counts and is where it should be.
    pub(super) fn is_settled(&self) -> bool {
        self.is_committed() && self.repair == Repair::NotNeeded
    }

    /// Whether a worker could take it now.
    pub(super) fn is_open(&self, now: u64) -> bool {
        (self.committed.is_none() || self.repair == Repair::Needed)
            && self.attempts.is_empty()
            && self.blocked_on.is_none()
            && self.quarantined.is_none()
            && self.not_before <= now
    }
}

/// Milliseconds to wait after so many failures.
pub(super) fn backoff(failures: u32) -> u64 {
    FIRST_BACKOFF_MS
        .saturating_mul(1 << failures.saturating_sub(1).min(20))
        .min(LONGEST_BACKOFF_MS)
}
