//! What a report means: a commit, a retry, a repair, or the end of the job.

use rankmill_common::operator::Report;
use rankmill_common::{AttemptId, Error, ErrorKind, JobId, StageId, TaskIndex, WorkerId};

use super::event::{Effect, Outcome, RequestId};
use super::state::{Repair, Scheduler, Task, TaskKey, backoff};
use crate::log::{Committed, JobEntry, TaskCost};

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
        let running = self
            .task_mut(&key)
            .and_then(|task| task.take_attempt(&place.attempt));
        match (running, outcome) {
            (Some(running), Outcome::Done { report, cost }) => {
                if let Some(state) = self.workers.get_mut(worker) {
                    state.succeeded();
                }
                if let Some(job) = self.jobs.get_mut(&key.job) {
                    job.learn(&key, now.saturating_sub(running.since));
                }
                self.succeed(request, worker, &place, *report, cost, effects);
            }
            (Some(_), Outcome::Failed(error)) => {
                effects.push(Effect::Acknowledge { request });
                self.totals.attempts_failed += 1;
                self.fail(now, worker, &key, error, effects);
            }
            // The lease expired or the job ended: nobody wants this output.
            (None, _) => effects.push(Effect::Acknowledge { request }),
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
        task.failures = 0;
        if let Some(committed) = &task.committed {
            let same = same_outputs(committed, &report, &attempt_prefix(&root, &key, place));
            self.set_repair(&key, Repair::NotNeeded);
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
        let output_prefix = attempt_prefix(&root, &key, place);
        task.committed = Some(Committed {
            report: report.clone(),
            cost,
            output_prefix: output_prefix.clone(),
        });
        self.totals.tasks_committed += 1;
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
        let transient = error.kind == ErrorKind::Unavailable;
        let limit = if transient {
            self.limits.transient_failures
        } else {
            self.limits.task_failures
        };
        // Inputs come from earlier stages, so that tasks never wait for one another in a circle.
        let producer = error
            .lost_key
            .as_deref()
            .and_then(|lost| self.producer(&key.job, lost))
            .filter(|producer| producer.stage < key.stage);
        let Some(task) = self.task_mut(key) else {
            return;
        };
        if task.is_settled() {
            // The other attempt has won.
            return;
        }
        if !error.kind.is_retryable() {
            effects.push(fail_job(key, error));
            return;
        }
        if let Some(producer) = producer {
            self.repair(key, producer);
            return;
        }
        let failures = if transient {
            &mut task.transient_failures
        } else {
            &mut task.failures
        };
        *failures += 1;
        let failures = *failures;
        task.not_before = now + backoff(failures);
        if failures >= limit {
            let error = error.context(format!("{} failed {failures} times", task.name));
            effects.push(fail_job(key, error));
            return;
        }
        // Also where a store was out of reach: it may be this worker alone that cannot reach it.
        let patience = self.limits.worker_failures;
        if let Some(state) = self.workers.get_mut(worker) {
            state.failed(now, key, patience);
        }
    }

    /// Lets `consumer` wait until the task that made its lost input has made it again.
    fn repair(&mut self, consumer: &TaskKey, producer: TaskKey) {
        self.set_repair(&producer, Repair::Needed);
        if let Some(task) = self.task_mut(consumer) {
            task.blocked_on = Some(producer);
        }
    }

    fn set_repair(&mut self, key: &TaskKey, repair: Repair) {
        let stage = self
            .jobs
            .get_mut(&key.job)
            .and_then(|job| job.stages.get_mut(&key.stage));
        let Some(stage) = stage else { return };
        if let Some(task) = stage.tasks.get_mut(key.task.0 as usize) {
            task.repair = repair;
        }
        let needed = |task: &&Task| task.repair == Repair::Needed;
        stage.repairs = stage.tasks.iter().filter(needed).count();
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

/// Where an attempt writes.
fn attempt_prefix(root: &str, key: &TaskKey, place: &Place) -> String {
    format!(
        "{root}/a/{}/{}/{}/{}",
        key.job, key.stage, key.task, place.attempt
    )
}

/// Whether another attempt, writing below `prefix`, has made the same bytes: reports name their
/// objects with digests.
fn same_outputs(committed: &Committed, report: &Report, prefix: &str) -> bool {
    if committed.report == *report {
        return true;
    }
    let relative = |report: &Report, prefix: &str| {
        let text = serde_json::to_string(report).ok();
        text.map(|text| text.replace(&format!("\"{prefix}/"), "\"/"))
    };
    relative(&committed.report, &committed.output_prefix) == relative(report, prefix)
}

pub(super) fn fail_job(key: &TaskKey, error: Error) -> Effect {
    Effect::FailJob {
        job: key.job.clone(),
        error,
    }
}
