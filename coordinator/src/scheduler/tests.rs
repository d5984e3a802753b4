//! A small world around the scheduler: workers that finish, fail, fall silent and lose outputs,
//! driven by random choices. Safety is checked at every step; healed, every job must end.

#![allow(clippy::wildcard_enum_match_arm, reason = "the test picks one event")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rankmill_common::operator::{Done, Report};
use rankmill_common::{AttemptId, Epoch, Error, ErrorKind, JobId, StageId, TaskIndex, WorkerId};

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
        let stage = StageId(self.stage);
        self.step(Event::StageAsked {
            job: job(),
            stage,
            root: "jobs/job".into(),
            tasks: plan(TASKS),
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

    fn step(&mut self, event: Event) {
        let asker = match &event {
            Event::WorkRequested { worker, .. } => Some(worker.clone()),
            _ => None,
        };
        let mut next = false;
        for effect in self.scheduler.step(self.now, event) {
            match effect {
                Effect::Grant {
                    lease: Some(lease), ..
                } => {
                    assert!(self.ended.is_none(), "a lease after the end");
                    let holder = asker.clone().unwrap_or_else(|| worker(0));
                    self.leases.push((holder, lease));
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

#[test]
fn reclaims_a_task_when_its_worker_falls_silent() {
    let mut world = World::new(2);
    world.poll(0);
    let first = world.leases[0].1.clone();
    world.now = LIMITS.lease_ms / 2;
    world.poll(1);
    world.now = LIMITS.lease_ms + 1;
    world.step(Event::Tick);
    world.poll(1);
    let again = &world.leases.last().expect("a lease").1;
    assert_eq!((again.stage, again.task), (first.stage, first.task));
    assert_ne!(again.attempt, first.attempt);
}

#[test]
fn a_zombie_s_report_is_acknowledged_and_ignored() {
    let mut world = World::new(2);
    world.poll(0);
    let zombie = world.leases[0].clone();
    world.now = LIMITS.lease_ms + 1;
    world.step(Event::Tick);
    world.leases = vec![zombie];
    world.report(0, done());
    assert!(world.commits.is_empty());
}

#[test]
fn invalid_input_ends_the_job_without_a_retry() {
    let mut world = World::new(1);
    world.poll(0);
    world.report(0, failed(ErrorKind::InvalidInput));
    let error = world.ended.expect("ended").expect_err("failed");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[test]
fn a_task_that_keeps_failing_ends_the_job_after_the_limit() {
    let mut world = World::new(1);
    let mut failures = 0;
    while world.ended.is_none() {
        world.poll(0);
        world.leases.retain(|(_, lease)| lease.task == TaskIndex(0));
        if !world.leases.is_empty() {
            world.report(0, failed(ErrorKind::Internal));
            failures += 1;
        }
        world.now += 40_000;
        world.join(0);
    }
    assert_eq!(failures, LIMITS.task_failures);
}

#[test]
fn a_worker_that_fails_twice_leaves_the_stage_to_others() {
    let mut world = World::new(2);
    for _ in 0..2 {
        world.poll(0);
        world.report(0, failed(ErrorKind::Unavailable));
    }
    world.now += 1_000;
    world.poll(0);
    assert_eq!(world.leases, []);
    world.poll(1);
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_stage_goes_on_where_every_worker_has_failed_in_it() {
    let mut world = World::new(2);
    for index in [0, 0, 1, 1] {
        world.poll(index);
        world.report(0, failed(ErrorKind::Internal));
    }
    world.now += 1_000;
    world.poll(0);
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_task_that_kills_two_workers_is_set_aside() {
    let mut world = World::new(1);
    for victim in 0..2 {
        world.join(victim);
        world.poll(victim);
        world.now += LIMITS.lease_ms + 1;
        world.step(Event::Tick);
    }
    world.now += LIMITS.quarantine_ms;
    world.step(Event::Tick);
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("set aside"), "{error}");
}

#[test]
fn workers_that_were_cut_off_and_come_back_have_not_died() {
    let mut world = World::new(1);
    for victim in [0, 1] {
        world.join(victim);
        world.poll(victim);
        world.now += LIMITS.lease_ms + 1;
        world.step(Event::Tick);
    }
    world.join(1);
    world.now += LIMITS.quarantine_ms;
    world.join(1);
    world.step(Event::Tick);
    assert!(world.ended.is_none(), "{:?}", world.ended);
    world.leases.clear();
    world.poll(1);
    assert_eq!(world.leases.len(), 1, "the task is open again");
}

#[test]
fn a_task_goes_back_to_the_worker_that_ran_it_before() {
    let mut world = World::new(2);
    for index in [0, 1, 0, 1, 1] {
        world.poll(index);
    }
    let owner: BTreeMap<_, _> = world
        .leases
        .iter()
        .map(|(worker, lease)| (lease.task, worker.clone()))
        .collect();
    while !world.leases.is_empty() {
        world.report(0, done());
    }
    for index in [1, 1, 1] {
        world.poll(index);
    }
    for (worker, lease) in &world.leases {
        assert_eq!(owner[&lease.task], *worker);
    }
}

#[test]
fn a_task_that_no_worker_can_hold_fails_with_the_numbers() {
    let mut world = World::new(1);
    world.step(Event::StageAsked {
        job: job(),
        stage: StageId(9),
        root: "jobs/job".into(),
        tasks: vec![TaskPlan {
            name: "Gram",
            memory: 1 << 40,
            committed: None,
        }],
    });
    let error = world.ended.expect("ended").expect_err("failed");
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    assert!(error.message.contains("1.00 TiB"), "{error}");
}

#[test]
fn a_repeated_task_that_makes_other_bytes_is_an_alarm() {
    let mut world = World::new(1);
    for _ in 0..TASKS {
        world.poll(0);
        world.report(0, done());
    }
    world.poll(0);
    let key = {
        let stage = &world.scheduler.jobs[&job()].stages[&StageId(0)];
        let committed = stage.tasks[0].committed.as_ref().expect("committed");
        format!("{}/shard", committed.output_prefix)
    };
    world.report(0, Outcome::Failed(Error::input_lost(key, "test")));
    world.poll(0);
    let lease = world.leases.last().expect("a repair").1.clone();
    assert_eq!((lease.stage, lease.task), (StageId(0), TaskIndex(0)));
    let other = Report::FoundMatrix(rankmill_common::operator::FoundMatrix { matrix: None });
    world.report(
        0,
        Outcome::Done {
            report: Box::new(other),
            cost: TaskCost::default(),
        },
    );
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("other bytes"), "{error}");
}

#[test]
fn jobs_without_workers_fail_after_a_while_and_say_why() {
    let mut world = World::new(0);
    world.step(Event::Tick);
    world.now = LIMITS.no_workers_ms + 1;
    world.step(Event::Tick);
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("no worker"), "{error}");
}

#[test]
fn an_unknown_worker_is_told_to_register() {
    let mut scheduler = Scheduler::new(Epoch(1), LIMITS);
    let effects = scheduler.step(
        0,
        Event::Heartbeat {
            request: RequestId(1),
            worker: worker(7),
            attempts: vec![AttemptId::new("1-1")],
            bytes: vec![0],
        },
    );
    assert!(matches!(
        effects[..],
        [Effect::Pulse {
            cancelled: None,
            ..
        }]
    ));
}
