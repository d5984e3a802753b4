//! Matches waiting workers with open tasks.
//!
//! Jobs in order of their ids, stages and tasks in order; a task that a worker has run in an
//! earlier stage goes back to it first, because it has the block mapped. A worker asks for more
//! tasks than it has processors for, so that one is read while another computes: those that run
//! least are served first, so that nobody has two tasks while somebody has none.

use std::collections::BTreeMap;

use rankmill_common::{Error, ErrorKind, JobId, StageId, WorkerId};

use super::event::{Effect, Lease, RequestId};
use super::state::{Held, Repair, Running, Scheduler, Stage, TaskKey, Waiting, Worker};

/// Requests that were not looked at yet, by the tasks that their worker runs and in the order of
/// their arrival.
type Queue = BTreeMap<(usize, usize), Waiting>;

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
        let arrived = std::mem::take(&mut self.waiting).into_iter().enumerate();
        let mut queue: Queue = arrived
            .map(|(place, waiting)| ((self.load(&waiting.worker), place), waiting))
            .collect();
        let mut unserved = BTreeMap::new();
        while let Some(((load, place), waiting)) = queue.pop_first() {
            let grown = self.load(&waiting.worker);
            if grown > load {
                queue.insert((grown, place), waiting);
                continue;
            }
            let open = self.choose(now, &waiting, &queue);
            match open.or_else(|| self.straggler(now, &waiting)) {
                Some(key) => {
                    let lease = self.lease(now, &key, &waiting.worker);
                    effects.push(Effect::Grant {
                        request: waiting.request,
                        lease,
                    });
                }
                None => {
                    unserved.insert(place, waiting);
                }
            }
        }
        self.waiting = unserved.into_values().collect();
        self.refuse_oversized(effects);
    }

    /// Tasks that a worker runs.
    fn load(&self, worker: &WorkerId) -> usize {
        self.workers
            .get(worker)
            .map_or(0, |worker| worker.leases.len())
    }

    fn choose(&self, now: u64, waiting: &Waiting, queue: &Queue) -> Option<TaskKey> {
        let worker = self.workers.get(&waiting.worker)?;
        let mut first = None;
        for (job, state) in &self.jobs {
            for (stage, stage_state) in state.stages.iter().filter(|(_, s)| s.has_open_tasks()) {
                let excluded = self.is_excluded(now, worker, job, *stage);
                for (index, task) in (0..).zip(&stage_state.tasks) {
                    if !task.is_open(now)
                        || task.memory > waiting.free_memory
                        || (excluded && self.has_better(now, job, *stage, task.memory))
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
                        Some(owner)
                            if self.is_freer(owner, &waiting.worker, queue)
                                && self.is_trusted(now, owner, job, *stage) => {}
                        Some(_) | None => {
                            first.get_or_insert_with(key);
                        }
                    }
                }
            }
        }
        first
    }

    /// Whether `worker` has failed so often in a stage that others should do the rest of it, or so
    /// often everywhere that others should go first for a while.
    fn is_excluded(&self, now: u64, worker: &Worker, job: &JobId, stage: StageId) -> bool {
        let failures = worker.failures.get(&(job.clone(), stage)).copied();
        failures.unwrap_or(0) >= self.limits.worker_failures || worker.rests_until > now
    }

    /// Whether there is a worker that is not excluded from a stage and could hold a task of
    /// `memory`. Where there is none, a stage goes on with those that have failed: else it would
    /// wait for ever.
    fn has_better(&self, now: u64, job: &JobId, stage: StageId, memory: u64) -> bool {
        self.workers
            .values()
            .any(|worker| worker.memory >= memory && !self.is_excluded(now, worker, job, stage))
    }

    /// Whether a worker is there and not excluded from a stage.
    fn is_trusted(&self, now: u64, worker: &WorkerId, job: &JobId, stage: StageId) -> bool {
        let worker = self.workers.get(worker);
        worker.is_some_and(|worker| !self.is_excluded(now, worker, job, stage))
    }

    /// Whether `owner` waits for work itself and runs no more than `other` does, so that its own
    /// tasks are better left to it.
    fn is_freer(&self, owner: &WorkerId, other: &WorkerId, queue: &Queue) -> bool {
        self.load(owner) <= self.load(other)
            && queue.values().any(|waiting| waiting.worker == *owner)
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

    /// Fails jobs with a task that no registered worker could ever hold, of a stage that is under way
    /// or of one that is known to follow.
    fn refuse_oversized(&self, effects: &mut Vec<Effect>) {
        let Some(largest) = self.workers.values().map(|worker| worker.memory).max() else {
            return;
        };
        for (job, state) in &self.jobs {
            let mut needs = state.stages.values().flat_map(Stage::needs);
            if let Some(need) = needs.find(|need| need.memory > largest) {
                effects.push(Effect::FailJob {
                    job: job.clone(),
                    error: Error::new(
                        ErrorKind::ResourceExhausted,
                        format!(
                            "{} needs {} of memory, the largest worker has {}; raise --memory",
                            need.name,
                            rankmill_common::ByteSize(need.memory),
                            rankmill_common::ByteSize(largest)
                        ),
                    ),
                });
            }
        }
    }
}
