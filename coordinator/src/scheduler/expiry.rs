//! What silence means: lost workers, requests that waited in vain, jobs without workers.

use std::collections::VecDeque;

use rankmill_common::{AttemptId, Error, ErrorKind, JobId, WorkerId};

use super::event::{Effect, RequestId};
use super::state::{Held, Scheduler, Task, TaskKey};

impl Scheduler {
    pub(super) fn heartbeat(
        &mut self,
        now: u64,
        request: RequestId,
        worker: &WorkerId,
        attempts: Vec<AttemptId>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(state) = self.workers.get_mut(worker) else {
            effects.push(Effect::Pulse {
                request,
                cancelled: None,
            });
            return;
        };
        state.last_seen = now;
        for attempt in &attempts {
            if let Some(held) = state.leases.get_mut(attempt) {
                held.named = now;
            }
        }
        let unwanted = attempts
            .into_iter()
            .filter(|attempt| !self.is_wanted(worker, attempt));
        let cancelled = Some(unwanted.collect());
        effects.push(Effect::Pulse { request, cancelled });
    }

    pub(super) fn note_progress(
        &mut self,
        worker: &WorkerId,
        attempts: &[AttemptId],
        bytes: &[u64],
    ) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        for (attempt, bytes) in attempts.iter().zip(bytes) {
            if let Some(held) = state.leases.get_mut(attempt) {
                held.bytes = *bytes;
            }
        }
    }

    /// Bytes that the running attempts of a job have moved, as far as they have said.
    pub(crate) fn bytes_under_way(&self, job: &JobId) -> u64 {
        let held = self
            .workers
            .values()
            .flat_map(|state| state.leases.values());
        held.filter(|held| held.key.job == *job)
            .map(|held| held.bytes)
            .sum()
    }

    fn is_wanted(&self, worker: &WorkerId, attempt: &AttemptId) -> bool {
        let held = self
            .workers
            .get(worker)
            .and_then(|state| state.leases.get(attempt));
        held.and_then(|held| self.task(&held.key))
            .is_some_and(|task| task.runs(attempt) && !task.is_settled())
    }

    /// A worker that leaves gives its tasks back; they do not count as failed.
    pub(super) fn leave(&mut self, now: u64, worker: &WorkerId, effects: &mut Vec<Effect>) {
        self.drop_requests(worker, effects);
        let Some(state) = self.workers.remove(worker) else {
            return;
        };
        for (attempt, held) in state.leases {
            self.give_back(&attempt, &held.key);
        }
        if self.workers.is_empty() {
            self.no_workers_since = Some(now);
        }
    }

    pub(super) fn expire(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let silent: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, state)| state.last_seen + self.limits.lease_ms < now)
            .map(|(worker, _)| worker.clone())
            .collect();
        self.totals.workers_lost += silent.len() as u64;
        for worker in silent {
            self.lose(now, &worker, effects);
        }
        self.expire_leases(now);
        self.give_up_quarantined(now, effects);
        self.answer_stale_requests(now, effects);
        self.give_up_without_workers(now, effects);
    }

    fn lose(&mut self, now: u64, worker: &WorkerId, effects: &mut Vec<Effect>) {
        let Some((instance, leases)) = self
            .workers
            .get(worker)
            .map(|state| (state.instance.clone(), state.leases.clone()))
        else {
            return;
        };
        self.leave(now, worker, effects);
        let limit = self.limits.lost_workers;
        for Held { key, .. } in leases.into_values() {
            let Some(task) = self.task_mut(&key) else {
                continue;
            };
            task.lost_workers.insert(instance.clone(), worker.clone());
            if task.lost_workers.len() >= limit {
                task.quarantined.get_or_insert(now);
            }
        }
    }

    /// A process registers: if it was here before, it was cut off or slow, and no task killed it.
    pub(super) fn come_back(&mut self, now: u64, instance: &str, effects: &mut Vec<Effect>) {
        let ghost = self
            .workers
            .iter()
            .find(|(_, state)| state.instance == instance)
            .map(|(worker, _)| worker.clone());
        if let Some(ghost) = ghost {
            self.leave(now, &ghost, effects);
        }
        let limit = self.limits.lost_workers;
        let jobs = self.jobs.values_mut();
        let stages = jobs.flat_map(|job| job.stages.values_mut());
        for task in stages.flat_map(|stage| &mut stage.tasks) {
            task.lost_workers.remove(instance);
            if task.lost_workers.len() < limit {
                task.quarantined = None;
            }
        }
    }

    /// Fails jobs with a task that workers have died of and not come back from.
    fn give_up_quarantined(&self, now: u64, effects: &mut Vec<Effect>) {
        let patience = self.limits.quarantine_ms;
        for (job, state) in &self.jobs {
            let poison = state.stages.iter().find_map(|(stage, tasks)| {
                let over = |task: &Task| task.quarantined.is_some_and(|at| at + patience <= now);
                let index = tasks.tasks.iter().position(over)?;
                Some((stage, index, &tasks.tasks[index]))
            });
            let Some((stage, index, task)) = poison else {
                continue;
            };
            let mut names: Vec<_> = task.lost_workers.values().map(WorkerId::as_str).collect();
            names.sort_unstable();
            effects.push(Effect::FailJob {
                job: job.clone(),
                // Killed from outside, most often for memory.
                error: Error::new(
                    ErrorKind::ResourceExhausted,
                    format!(
                        "{} (task {index} of stage {stage}) is set aside: the workers {} died while \
                         they ran it; look for their last messages, they may need more memory than \
                         --memory says",
                        task.name,
                        names.join(" and ")
                    ),
                ),
            });
        }
    }

    /// Takes back leases that a living worker does not know of: the answer that granted them was
    /// lost on the way.
    fn expire_leases(&mut self, now: u64) {
        let limit = self.limits.lease_ms;
        let mut expired = Vec::new();
        for worker in self.workers.values_mut() {
            worker.leases.retain(|attempt, held| {
                let alive = held.named + limit >= now;
                if !alive {
                    expired.push((attempt.clone(), held.key.clone()));
                }
                alive
            });
        }
        for (attempt, key) in expired {
            self.give_back(&attempt, &key);
        }
    }

    fn give_back(&mut self, attempt: &AttemptId, key: &TaskKey) {
        if let Some(task) = self.task_mut(key) {
            task.take_attempt(attempt);
        }
    }

    fn drop_requests(&mut self, worker: &WorkerId, effects: &mut Vec<Effect>) {
        let (gone, stay): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.worker == *worker);
        self.waiting = stay;
        effects.extend(gone.into_iter().map(|waiting| Effect::Grant {
            request: waiting.request,
            lease: None,
        }));
    }

    fn answer_stale_requests(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let deadline = self.limits.poll_ms;
        let (stale, fresh): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.since + deadline <= now);
        self.waiting = fresh;
        effects.extend(stale.into_iter().map(|waiting| Effect::Grant {
            request: waiting.request,
            lease: None,
        }));
    }

    fn give_up_without_workers(&mut self, now: u64, effects: &mut Vec<Effect>) {
        if !self.workers.is_empty() || self.jobs.is_empty() {
            self.no_workers_since = None;
            return;
        }
        let since = *self.no_workers_since.get_or_insert(now);
        if now - since < self.limits.no_workers_ms {
            return;
        }
        let seconds = (now - since) / 1000;
        effects.extend(self.jobs.keys().map(|job| Effect::FailJob {
            job: job.clone(),
            error: Error::new(
                ErrorKind::Unavailable,
                format!(
                    "no worker has been registered for {seconds} s; start one with \
                     `rankmill worker` and submit the job again: blocks that were built are kept"
                ),
            ),
        }));
    }
}
