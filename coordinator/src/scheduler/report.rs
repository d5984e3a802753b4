//! What a report means: a commit, a retry, a repair, or the end of the job.

use rankmill_common::operator::Report;
use rankmill_common::{AttemptId, Error, ErrorKind, JobId, StageId, TaskIndex, WorkerId};

use super::event::{Effect, Outcome, RequestId};
use super::state::{Repair, Scheduler, TaskKey};
use crate::log::{Committed, JobEntry, TaskCost};

/// First pause after a transient failure; doubled by each further one.
const FIRST_BACKOFF_MS: u64 = 250;
const LONGEST_BACKOFF_MS: u64 = 30_000;

/// Which attempt a report is about.
pub(super) struct Place {
    pub(super) job: JobId,
    pub(super) stage: StageId,
    pub(super) task: TaskIndex,
    pub(super) attempt: AttemptId,
}

impl Place {
    fn key(&self) -> TaskKey {
        TaskKey {
            job: self.job.clone(),
            stage: self.stage,
            task: self.task,
        }
    }
}

impl Scheduler {
    pub(super) fn report(
        &mut self,
        now: u64,
        request: RequestId,
        worker: &WorkerId,
        place: Place,
        outcome: Outcome,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(state) = self.workers.get_mut(worker) {
            state.last_seen = now;
            state.leases.remove(&place.attempt);
        }
        let key = place.key();
        let current = self
            .task_mut(&key)
            .is_some_and(|task| task.attempt.as_ref() == Some(&place.attempt));
        if !current {
            // The lease expired, the job ended or another attempt won: nobody wants this output.
            effects.push(Effect::Acknowledge { request });
            return;
        }
        match outcome {
            Outcome::Done { report, cost } => {
                self.succeed(request, worker, &place, *report, cost, effects);
            }
            Outcome::Failed(error) => {
                effects.push(Effect::Acknowledge { request });
                self.fail(now, worker, &key, error, effects);
            }
        }
    }

    fn succeed(
        &mut self,
        request: RequestId,
        worker: &WorkerId,
        place: &Place,
        report: Report,
        cost: TaskCost,
        effects: &mut Vec<Effect>,
    ) {
        let key = place.key();
        let Some(root) = self.root(&key) else { return };
        let Some(task) = self.task_mut(&key) else {
            return;
        };
        task.attempt = None;
        task.failures = 0;
        if let Some(committed) = &task.committed {
            let same = committed.report == report;
            task.repair = Repair::NotNeeded;
            effects.push(Effect::Acknowledge { request });
            if same {
                self.unblock(&key);
            } else {
                effects.push(Effect::FailJob {
                    job: key.job.clone(),
                    error: Error::internal(format!(
                        "task {} of stage {} made other bytes when it was repeated: the worker \
                         {worker} has faulty hardware or another instruction set",
                        key.task, key.stage
                    )),
                });
            }
            return;
        }
        let output_prefix = format!(
            "{root}/a/{}/{}/{}/{}",
            key.job, key.stage, key.task, place.attempt
        );
        task.committed = Some(Committed {
            report: report.clone(),
            cost,
            output_prefix: output_prefix.clone(),
        });
        effects.push(Effect::Commit {
            job: key.job.clone(),
            entry: JobEntry::TaskCommitted {
                stage: key.stage,
                task: key.task,
                attempt: place.attempt.clone(),
                worker: worker.clone(),
                output_prefix,
                report: Box::new(report),
                cost,
            },
            request: Some(request),
        });
        self.finish_stage(&key.job, key.stage, effects);
    }

    fn fail(
        &mut self,
        now: u64,
        worker: &WorkerId,
        key: &TaskKey,
        error: Error,
        effects: &mut Vec<Effect>,
    ) {
        let limit = self.limits.task_failures;
        // Inputs come from earlier stages, so that tasks never wait for one another in a circle.
        let producer = error
            .lost_key
            .as_deref()
            .and_then(|lost| self.producer(&key.job, lost))
            .filter(|producer| producer.stage < key.stage);
        let Some(task) = self.task_mut(key) else {
            return;
        };
        task.attempt = None;
        if !error.kind.is_retryable() {
            effects.push(fail_job(key, error));
            return;
        }
        if let Some(producer) = producer {
            self.repair(key, producer);
            return;
        }
        task.failures += 1;
        let failures = task.failures;
        task.not_before = now + backoff(failures);
        if failures >= limit {
            let error = error.context(format!("{} failed {failures} times", task.name));
            effects.push(fail_job(key, error));
            return;
        }
        if error.kind != ErrorKind::Unavailable
            && let Some(state) = self.workers.get_mut(worker)
        {
            *state
                .failures
                .entry((key.job.clone(), key.stage))
                .or_default() += 1;
        }
    }

    /// Lets `consumer` wait until the task that made its lost input has made it again.
    fn repair(&mut self, consumer: &TaskKey, producer: TaskKey) {
        if let Some(task) = self.task_mut(&producer) {
            task.repair = Repair::Needed;
        }
        if let Some(task) = self.task_mut(consumer) {
            task.blocked_on = Some(producer);
        }
    }

    fn unblock(&mut self, producer: &TaskKey) {
        let Some(job) = self.jobs.get_mut(&producer.job) else {
            return;
        };
        for task in job.stages.values_mut().flat_map(|stage| &mut stage.tasks) {
            if task.blocked_on.as_ref() == Some(producer) {
                task.blocked_on = None;
            }
        }
    }

    /// The task of this job that wrote the object `lost`.
    fn producer(&self, job: &JobId, lost: &str) -> Option<TaskKey> {
        self.jobs
            .get(job)?
            .stages
            .iter()
            .find_map(|(stage, state)| {
                let index = state.tasks.iter().position(|task| {
                    task.committed.as_ref().is_some_and(|committed| {
                        lost.strip_prefix(&committed.output_prefix)
                            .is_some_and(|rest| rest.starts_with('/'))
                    })
                })?;
                Some(TaskKey {
                    job: job.clone(),
                    stage: *stage,
                    task: TaskIndex(index as u32),
                })
            })
    }

    fn root(&self, key: &TaskKey) -> Option<String> {
        Some(
            self.jobs
                .get(&key.job)?
                .stages
                .get(&key.stage)?
                .root
                .clone(),
        )
    }
}

pub(super) fn fail_job(key: &TaskKey, error: Error) -> Effect {
    Effect::FailJob {
        job: key.job.clone(),
        error,
    }
}

fn backoff(failures: u32) -> u64 {
    FIRST_BACKOFF_MS
        .saturating_mul(1 << failures.saturating_sub(1).min(20))
        .min(LONGEST_BACKOFF_MS)
}
