//! Decides who runs which task, and what a report, a silence or a lost output means.
//!
//! Pure: `step(now, event)` changes the state and returns effects; no clock, no randomness, no
//! I/O, ordered maps only. `now` is milliseconds on the coordinator's monotonic clock. It never
//! reads algorithms (see [`crate::stages`]) and never persists (see [`crate::log`]).
//!
//! Invariants: a task is committed at most once; at most one unexpired lease per attempt, at most
//! two attempts at a task; a task whose job has ended is never leased.
//!
//! ```text
//! task:  Pending ──lease──► Leased ──report ok──► Committed ──output lost──► Pending (repair)
//!           ▲                 │ failed, expired, worker gone, input lost
//!           ├─────────────────┘
//!           └─ Quarantined: two workers died of it; until one comes back, or the job fails
//! ```

mod assign;
mod event;
mod expiry;
mod report;
mod state;
mod stragglers;
#[cfg(test)]
mod tests;

pub use event::{Effect, Event, Lease, Need, Outcome, RequestId, TaskPlan};
pub use state::{Limits, Scheduler};

use rankmill_common::{JobId, StageId};

use crate::metrics::Metrics;
use state::{Job, Stage, Task, Worker};

impl Scheduler {
    /// Takes one event into account and says what is to be done about it.
    pub fn step(&mut self, now: u64, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::WorkerJoined {
                worker,
                memory,
                instance,
            } => {
                self.come_back(now, &instance, &mut effects);
                self.no_workers_since = None;
                self.workers
                    .insert(worker, Worker::new(now, memory, instance));
            }
            Event::WorkerLeft { worker } => self.leave(now, &worker, &mut effects),
            Event::WorkRequested {
                request,
                worker,
                free_memory,
            } => self.enqueue_request(now, request, worker, free_memory, &mut effects),
            Event::Heartbeat {
                request,
                worker,
                attempts,
                bytes,
            } => {
                self.note_progress(&worker, &attempts, &bytes);
                self.heartbeat(now, request, &worker, attempts, &mut effects);
            }
            Event::TaskReported {
                request,
                worker,
                attempt,
                job,
                stage,
                task,
                outcome,
            } => {
                let place = report::Place {
                    job,
                    stage,
                    task,
                    attempt,
                };
                self.report(now, request, &worker, place, outcome, &mut effects);
            }
            Event::StageAsked {
                job,
                stage,
                root,
                tasks,
                foreseen,
            } => self.add_stage(&job, stage, root, tasks, foreseen, &mut effects),
            Event::JobAdded { job } => {
                self.jobs.insert(job, Job::default());
            }
            Event::JobEnded { job } => {
                self.jobs.remove(&job);
            }
            Event::Tick => self.expire(now, &mut effects),
        }
        self.drop_failed(&effects);
        self.assign(now, &mut effects);
        self.drop_failed(&effects);
        effects
    }

    /// A job that fails gets no more leases, even before the shell says that it has ended.
    fn drop_failed(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::FailJob { job, .. } = effect {
                self.jobs.remove(job);
            }
        }
    }

    /// Number of registered workers.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What there is to count of workers and tasks.
    pub(crate) fn metrics(&self) -> Metrics {
        let stages = self.jobs.values().flat_map(|job| job.stages.values());
        let unfinished = stages.filter(|stage| stage.has_open_tasks());
        let (mut pending, mut running) = (0, 0);
        for task in unfinished.flat_map(|stage| &stage.tasks) {
            running += task.attempts.len();
            pending += usize::from(!task.is_settled() && task.attempts.is_empty());
        }
        Metrics {
            workers: self.workers.len(),
            tasks_pending: pending,
            tasks_running: running,
            totals: self.totals.clone(),
            ..Metrics::default()
        }
    }

    fn add_stage(
        &mut self,
        job: &JobId,
        stage: StageId,
        root: String,
        tasks: Vec<TaskPlan>,
        foreseen: Option<Need>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entry) = self.jobs.get_mut(job) else {
            return;
        };
        let stage_state = Stage {
            root,
            tasks: tasks.into_iter().map(Task::new).collect(),
            foreseen,
            reported_done: false,
            repairs: 0,
        };
        entry.stages.insert(stage, stage_state);
        self.finish_stage(job, stage, effects);
    }

    /// Tells the algorithm once, when the last task of a stage is committed.
    fn finish_stage(&mut self, job: &JobId, stage: StageId, effects: &mut Vec<Effect>) {
        let Some(state) = self
            .jobs
            .get_mut(job)
            .and_then(|job| job.stages.get_mut(&stage))
        else {
            return;
        };
        if state.reported_done || !state.tasks.iter().all(Task::is_committed) {
            return;
        }
        state.reported_done = true;
        let reports = state
            .tasks
            .iter()
            .filter_map(|task| task.committed.as_ref().map(|done| done.report.clone()))
            .collect();
        effects.push(Effect::StageDone {
            job: job.clone(),
            stage,
            reports,
        });
    }
}
