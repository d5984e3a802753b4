//! A small world around the scheduler: workers that finish, fail, fall silent and lose outputs,
//! driven by random choices. Safety is checked at every step; healed, every job must end.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rankmill_common::operator::{Done, Report};
use rankmill_common::{AttemptId, Epoch, Error, ErrorKind, JobId, StageId, TaskIndex, WorkerId};

mod cases;

use super::*;
use crate::log::{JobEntry, TaskCost};

const LIMITS: Limits = Limits {
    lease_ms: 15_000,
    poll_ms: 5_000,
    task_failures: 4,
    transient_failures: 20,
    quarantine_ms: 30_000,
    lost_workers: 2,
    worker_failures: 2,
    no_workers_ms: 60_000,
    straggler_ms: 4_000,
};
const TASKS: usize = 5;
const STAGES: u32 = 3;

struct World {
    scheduler: Scheduler,
    now: u64,
    requests: u64,
    leases: Vec<(WorkerId, Lease)>,
    commits: BTreeMap<(StageId, TaskIndex), u32>,
    stage: u32,
    ended: Option<Result<(), Error>>,
}

fn job() -> JobId {
    JobId::new("job")
}

fn worker(index: usize) -> WorkerId {
    WorkerId::new(format!("worker-{index}"))
}

fn plan(count: usize) -> Vec<TaskPlan> {
    (0..count)
        .map(|_| TaskPlan {
            name: "Combine",
            memory: 10,
            committed: None,
        })
        .collect()
}

impl World {
    fn new(workers: usize) -> Self {
        let mut world = Self {
            scheduler: Scheduler::new(Epoch(1), LIMITS),
            now: 0,
            requests: 0,
            leases: Vec::new(),
            commits: BTreeMap::new(),
            stage: 0,
            ended: None,
        };
        for index in 0..workers {
            world.join(index);
        }
        world.step(Event::JobAdded { job: job() });
        world.ask();
        world
    }

    fn join(&mut self, index: usize) {
        self.step(Event::WorkerJoined {
            worker: worker(index),
            memory: 100,
            instance: format!("process-{index}"),
        });
    }

    fn ask(&mut self) {
        self.ask_for(self.stage, plan(TASKS), None);
    }

    fn ask_for(&mut self, stage: u32, tasks: Vec<TaskPlan>, foreseen: Option<Need>) {
        self.step(Event::StageAsked {
            job: job(),
            stage: StageId(stage),
            root: "jobs/job".into(),
            tasks,
            foreseen,
        });
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn poll(&mut self, index: usize) {
        let request = self.request();
        self.step(Event::WorkRequested {
            request,
            worker: worker(index),
            free_memory: 100,
        });
    }

    fn report(&mut self, lease: usize, outcome: Outcome) {
        if self.leases.is_empty() {
            return;
        }
        let (worker, lease) = self.leases.remove(lease % self.leases.len());
        let request = self.request();
        self.step(Event::TaskReported {
            request,
            worker,
            job: lease.job,
            stage: lease.stage,
            task: lease.task,
            attempt: lease.attempt,
            outcome,
        });
    }

    /// Two tasks fail in a worker's hands: as many as it may in a stage.
    fn fail_twice(&mut self, index: usize) {
        for _ in 0..2 {
            self.poll(index);
            self.report(0, failed(ErrorKind::Unavailable));
        }
    }

    fn step(&mut self, event: Event) {
        let mut next = false;
        for effect in self.scheduler.step(self.now, event) {
            match effect {
                Effect::Grant {
                    lease: Some(lease), ..
                } => {
                    assert!(self.ended.is_none(), "a lease after the end");
                    let mut workers = self.scheduler.workers.iter();
                    let holder = workers.find(|(_, it)| it.leases.contains_key(&lease.attempt));
                    let (holder, _) = holder.expect("somebody holds what was granted");
                    self.leases.push((holder.clone(), lease));
                }
                Effect::Commit {
                    entry: JobEntry::TaskCommitted { stage, task, .. },
                    ..
                } => {
                    let commits = self.commits.entry((stage, task)).or_default();
                    *commits += 1;
                    assert_eq!(
                        *commits, 1,
                        "task {task} of stage {stage} was committed twice"
                    );
                }
                Effect::StageDone { stage, reports, .. } => {
                    assert_eq!(stage, StageId(self.stage), "stages end in order, once");
                    assert_eq!(reports.len(), TASKS);
                    next = true;
                }
                Effect::FailJob { error, .. } => {
                    self.ended.get_or_insert(Err(error));
                }
                Effect::Grant { lease: None, .. }
                | Effect::Pulse { .. }
                | Effect::Acknowledge { .. }
                | Effect::Commit { .. } => {}
            }
        }
        self.follow_up(next);
    }

    fn follow_up(&mut self, stage_done: bool) {
        if stage_done && self.ended.is_none() {
            self.stage += 1;
            if self.stage == STAGES {
                self.ended = Some(Ok(()));
            } else {
                self.ask();
            }
        }
        if self.ended.is_some() && self.scheduler.jobs.contains_key(&job()) {
            self.step(Event::JobEnded { job: job() });
        }
    }

    /// Everything works again: the job must end.
    fn heal(&mut self) {
        for round in 0..2_000 {
            if self.ended.is_some() {
                return;
            }
            self.now += 1_000;
            let fresh = 100 + round % 3;
            if !self.scheduler.workers.contains_key(&worker(fresh)) {
                self.join(fresh);
            }
            self.poll(fresh);
            while !self.leases.is_empty() {
                self.report(0, done());
            }
            self.step(Event::Tick);
        }
        panic!("the job neither finished nor failed");
    }
}

fn done() -> Outcome {
    Outcome::Done {
        report: Box::new(Report::Done(Done {})),
        cost: TaskCost::default(),
    }
}

fn failed(kind: ErrorKind) -> Outcome {
    Outcome::Failed(Error::new(kind, "test"))
}

#[derive(Clone, Debug)]
enum Move {
    Poll(usize),
    Finish(usize),
    Fail(usize),
    Lose(usize),
    Forget(usize),
    Join(usize),
    Leave(usize),
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0usize..4).prop_map(Move::Poll),
        6 => (0usize..8).prop_map(Move::Finish),
        2 => (0usize..8).prop_map(Move::Fail),
        1 => (0usize..TASKS).prop_map(Move::Lose),
        1 => (0usize..8).prop_map(Move::Forget),
        1 => (0usize..4).prop_map(Move::Join),
        1 => (0usize..4).prop_map(Move::Leave),
        3 => (1u64..20_000).prop_map(Move::Wait),
    ]
}

impl World {
    fn play(&mut self, action: Move) {
        match action {
            Move::Poll(index) => self.poll(index),
            Move::Finish(lease) => self.report(lease, done()),
            Move::Fail(lease) => self.report(lease, failed(ErrorKind::Unavailable)),
            Move::Lose(task) => self.lose_output(task),
            Move::Forget(lease) if !self.leases.is_empty() => {
                let lease = lease % self.leases.len();
                self.leases.remove(lease);
            }
            Move::Forget(_) => {}
            Move::Join(index) => self.join(index),
            Move::Leave(index) => self.step(Event::WorkerLeft {
                worker: worker(index),
            }),
            Move::Wait(ms) => {
                self.now += ms;
                self.step(Event::Tick);
            }
        }
    }

    /// A consumer finds an output of the stage before gone.
    fn lose_output(&mut self, task: usize) {
        let lost = self.stage.checked_sub(1).and_then(|stage| {
            let stage = self
                .scheduler
                .jobs
                .get(&job())?
                .stages
                .get(&StageId(stage))?;
            let committed = stage.tasks.get(task)?.committed.as_ref()?;
            Some(format!("{}/shard", committed.output_prefix))
        });
        if let Some(key) = lost {
            self.report(0, Outcome::Failed(Error::input_lost(key, "test")));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_schedule_is_safe_and_ends_once_healed(
        workers in 1usize..4,
        schedule in prop::collection::vec(moves(), 0..120),
    ) {
        let mut world = World::new(workers);
        for action in schedule {
            if world.ended.is_some() {
                break;
            }
            world.play(action);
        }
        world.heal();
    }
}
