//! Matches waiting workers with open tasks.
//!
//! Jobs in order of their ids, stages and tasks in order; a task that a worker has run in an
//! earlier stage goes back to it first, because it has the block mapped.

use rankmill_common::{Error, ErrorKind, JobId, StageId, WorkerId};

use super::event::{Effect, Lease, RequestId};
use super::state::{Held, Repair, Running, Scheduler, TaskKey, Waiting, Worker};

impl Scheduler {
    pub(super) fn enqueue_request(
        &mut self,
        now: u64,
        request: RequestId,
        worker: WorkerId,
        free_memory: u64,
        effects: &mut Vec<Effect>,
    ) {
        match self.workers.get_mut(&worker) {
            None => effects.push(Effect::Pulse {
                request,
                cancelled: None,
            }),
            Some(state) => {
                state.last_seen = now;
                self.waiting.push_back(Waiting {
                    request,
                    worker,
                    free_memory,
                    since: now,
                });
            }
        }
    }

    /// Gives every waiting worker a task, as long as there are open ones that fit.
    pub(super) fn assign(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let mut unserved = std::collections::VecDeque::new();
        while let Some(waiting) = self.waiting.pop_front() {
            let open = self.choose(now, &waiting);
            match open.or_else(|| self.straggler(now, &waiting)) {
                Some(key) => {
                    let lease = self.lease(now, &key, &waiting.worker);
                    effects.push(Effect::Grant {
                        request: waiting.request,
                        lease,
                    });
                }
                None => unserved.push_back(waiting),
            }
        }
        self.waiting = unserved;
        self.refuse_oversized(effects);
    }

    fn choose(&self, now: u64, waiting: &Waiting) -> Option<TaskKey> {
        let worker = self.workers.get(&waiting.worker)?;
        let mut first = None;
        for (job, state) in &self.jobs {
            for (stage, stage_state) in state.stages.iter().filter(|(_, s)| s.has_open_tasks()) {
                let excluded = self.is_excluded(worker, job, *stage);
                for (index, task) in (0..).zip(&stage_state.tasks) {
                    if !task.is_open(now)
                        || task.memory > waiting.free_memory
                        || (excluded && self.has_better(job, *stage, task.memory))
                    {
                        continue;
                    }
                    let task_index = rankmill_common::TaskIndex(index);
                    let key = || TaskKey {
                        job: job.clone(),
                        stage: *stage,
                        task: task_index,
                    };
                    match state.affinity.get(&(task.name, task_index)) {
                        Some(owner) if *owner == waiting.worker => return Some(key()),
                        Some(owner) if self.is_idle(owner) => {}
                        Some(_) | None => {
                            first.get_or_insert_with(key);
                        }
                    }
                }
            }
        }
        first
    }

    /// Whether `worker` has failed so often in a stage that others should do the rest of it.
    fn is_excluded(&self, worker: &Worker, job: &JobId, stage: StageId) -> bool {
        let failures = worker.failures.get(&(job.clone(), stage)).copied();
        failures.unwrap_or(0) >= self.limits.worker_failures
    }

    /// Whether there is a worker that is not excluded from a stage and could hold a task of
    /// `memory`. Where there is none, a stage goes on with those that have failed: else it would
    /// wait for ever.
    fn has_better(&self, job: &JobId, stage: StageId, memory: u64) -> bool {
        self.workers
            .values()
            .any(|worker| worker.memory >= memory && !self.is_excluded(worker, job, stage))
    }

    /// Whether `worker` waits for work itself, so that its own tasks are better left to it.
    fn is_idle(&self, worker: &WorkerId) -> bool {
        self.waiting.iter().any(|waiting| waiting.worker == *worker)
    }

    fn lease(&mut self, now: u64, key: &TaskKey, worker: &WorkerId) -> Option<Lease> {
        let attempt = self.next_attempt();
        let job = self.jobs.get_mut(&key.job)?;
        let stage = job.stages.get_mut(&key.stage)?;
        let task = stage.tasks.get_mut(key.task.0 as usize)?;
        job.affinity.insert((task.name, key.task), worker.clone());
        task.attempts.push(Running {
            attempt: attempt.clone(),
            worker: worker.clone(),
            since: now,
        });
        let output_prefix = match (task.repair, &task.committed) {
            (Repair::Needed, Some(committed)) => committed.output_prefix.clone(),
            (Repair::Needed | Repair::NotNeeded, _) => format!(
                "{}/a/{}/{}/{}/{attempt}",
                stage.root, key.job, key.stage, key.task
            ),
        };
        let held = Held {
            key: key.clone(),
            named: now,
            bytes: 0,
        };
        let worker = self.workers.get_mut(worker)?;
        worker.leases.insert(attempt.clone(), held);
        Some(Lease {
            job: key.job.clone(),
            stage: key.stage,
            task: key.task,
            attempt,
            output_prefix,
        })
    }

    /// Fails jobs whose next task no registered worker could ever hold.
    fn refuse_oversized(&self, effects: &mut Vec<Effect>) {
        let Some(largest) = self.workers.values().map(|worker| worker.memory).max() else {
            return;
        };
        let oversized = |job: &JobId| {
            self.jobs[job]
                .stages
                .values()
                .flat_map(|stage| &stage.tasks)
                .find(|task| !task.is_committed() && task.memory > largest)
        };
        for job in self.jobs.keys() {
            if let Some(task) = oversized(job) {
                effects.push(Effect::FailJob {
                    job: job.clone(),
                    error: Error::new(
                        ErrorKind::ResourceExhausted,
                        format!(
                            "{} needs {} of memory, the largest worker has {}; raise --memory",
                            task.name,
                            rankmill_common::ByteSize(task.memory),
                            rankmill_common::ByteSize(largest)
                        ),
                    ),
                });
            }
        }
    }
}
