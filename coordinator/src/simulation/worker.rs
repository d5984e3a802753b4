//! A simulated worker: the life of a real one (`worker/src/session`) with a computation that only
//! takes time. It registers, pulls, reports until it is answered, fences itself when it is out of
//! contact, and writes only below its attempt's folder, as a zombie as well.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rankmill_common::operator::Report;
use rankmill_common::{AttemptId, Digest, Error, ErrorKind, Result, WorkerId};
use rankmill_store::Store;

use super::calls::{AskForTask, Heartbeat, Leave, Register, ReportTask};
use super::job::{self, Target};
use super::network::Call;
use super::process::{Place, Process};
use super::store::Client;
use super::world::{COORDINATORS, World};
use crate::engine::Assignment;
use crate::log::TaskCost;
use crate::scheduler::Outcome;

const CALL_LIMIT: Duration = Duration::from_secs(5);
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);
const POLL_LIMIT: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(2);
const FENCE_AFTER_MS: u64 = 10_000;
const WRITE_TRIES: u32 = 3;

impl World {
    /// Starts the worker at place `index`.
    pub(super) fn start_worker(self: &Arc<Self>, index: usize) {
        let process = Process::start(Place::Worker(index));
        self.place_worker(index, &process);
        self.trace(|| format!("worker {index} starts"));
        let life = live(Arc::clone(self), Arc::clone(&process), index);
        let owner = Arc::clone(&process);
        let task = tokio::task::spawn_local(async move { owner.run(life).await });
        process.own(task.abort_handle());
    }
}

async fn live(world: Arc<World>, process: Arc<Process>, index: usize) {
    let instance = uuid::Uuid::new_v4().to_string();
    loop {
        let coordinator = world.chance.below(COORDINATORS);
        let hello = Register {
            host: format!("host{index}"),
            instance: instance.clone(),
        };
        match world
            .call(process.place, coordinator, CALL_LIMIT, hello)
            .await
        {
            Ok(id) => {
                world.count("worker registered");
                let session = Session {
                    last_answer: AtomicU64::new(process.clock(3_600_000 + world.now())),
                    world: Arc::clone(&world),
                    process: Arc::clone(&process),
                    index,
                    coordinator,
                    id,
                    attempts: Mutex::default(),
                };
                session.serve().await;
            }
            Err(_) => world.pause(100, 1_500).await,
        }
    }
}

/// From one registration to its end.
struct Session {
    world: Arc<World>,
    process: Arc<Process>,
    index: usize,
    coordinator: usize,
    id: WorkerId,
    /// Running attempts, and whether the coordinator has called them back.
    attempts: Mutex<BTreeMap<AttemptId, Wanted>>,
    last_answer: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

impl Session {
    async fn serve(&self) {
        tokio::select! {
            biased;
            () = self.keep_contact() => {}
            () = self.slot() => {}
            () = self.slot() => {}
            () = self.drain() => {}
        }
    }

    /// Sometimes a worker is told to leave; its tasks go back.
    async fn drain(&self) {
        if !self.world.goes_wrong(|faults| faults.drains) {
            std::future::pending::<()>().await;
        }
        self.world.pause(1_000, 30_000).await;
        self.world.count("worker leaves");
        let worker = self.id.clone();
        let _ = self.call(Duration::from_secs(1), Leave { worker }).await;
    }

    async fn call<C: Call>(&self, limit: Duration, call: C) -> Result<C::Answer> {
        let answer = self
            .world
            .call(self.process.place, self.coordinator, limit, call)
            .await;
        if !matches!(&answer, Err(e) if e.kind == ErrorKind::Unavailable) {
            self.last_answer.store(self.clock(), Ordering::Relaxed);
        }
        answer
    }

    fn clock(&self) -> u64 {
        self.process.clock(3_600_000 + self.world.now())
    }

    /// Until the coordinator does not know this worker, or has been silent for too long.
    async fn keep_contact(&self) {
        loop {
            let beat = Heartbeat {
                worker: self.id.clone(),
                attempts: self.lock().keys().cloned().collect(),
            };
            match self.call(HEARTBEAT_LIMIT, beat).await {
                Ok(cancelled) => {
                    let mut attempts = self.lock();
                    for id in cancelled {
                        if let Some(wanted) = attempts.get_mut(&AttemptId::new(id)) {
                            *wanted = Wanted::No;
                        }
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(_) => {}
            }
            let last = self.last_answer.load(Ordering::Relaxed);
            if self.clock().saturating_sub(last) >= FENCE_AFTER_MS {
                self.world.count("worker fences itself");
                return;
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    async fn slot(&self) {
        loop {
            let ask = AskForTask {
                worker: self.id.clone(),
            };
            match self.call(POLL_LIMIT, ask).await {
                Ok(Some(assignment)) => self.work(assignment).await,
                Ok(None) => self.world.pause(20, 20).await,
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(_) => self.world.pause(100, 2_000).await,
            }
        }
    }

    async fn work(&self, assignment: Assignment) {
        let attempt = assignment.lease.attempt.clone();
        self.lock().insert(attempt.clone(), Wanted::Yes);
        let outcome = match self.execute(&assignment).await {
            Ok(report) => Outcome::Done {
                report: Box::new(report),
                cost: TaskCost::default(),
            },
            Err(error) => Outcome::Failed(error),
        };
        self.report(assignment, outcome).await;
        self.lock().remove(&attempt);
    }

    async fn report(&self, assignment: Assignment, outcome: Outcome) {
        let report = ReportTask {
            worker: self.id.clone(),
            lease: assignment.lease,
            outcome,
        };
        while self.lock().get(&report.lease.attempt) == Some(&Wanted::Yes) {
            match self.call(CALL_LIMIT, report.clone()).await {
                Err(error) if error.kind == ErrorKind::Unavailable => {
                    self.world.pause(50, 2_000).await;
                }
                Ok(()) | Err(_) => return,
            }
        }
    }

    async fn execute(&self, assignment: &Assignment) -> Result<Report> {
        let lease = &assignment.lease;
        if self.world.poison == Some((lease.stage, lease.task)) {
            self.world.count("worker dies of a task");
            self.world.kill_worker(self.index);
            std::future::pending::<()>().await;
        }
        let state = Client::state(&self.world, &self.process);
        let mut read = Vec::new();
        for input in job::inputs(&assignment.operator) {
            let bytes = read_object(&state, &input.key).await?;
            if Digest::of(&bytes) != input.digest {
                self.world
                    .report(format!("{} does not hold what was reported", input.key));
            }
            read.push(bytes);
        }
        self.compute().await?;
        let (target, bytes, report) =
            job::output(&assignment.operator, &lease.output_prefix, &read);
        let (store, key) = match target {
            Target::State(key) => (state, key),
            Target::Output(url, path) => (Client::open(&self.world, &self.process, &url)?, path),
        };
        self.write(&store, &key, bytes).await?;
        Ok(report)
    }

    async fn compute(&self) -> Result<()> {
        let longest = match self.world.chance.happens(50) {
            true => 20_000,
            false => 1_500,
        };
        self.world.pause(10, longest).await;
        if self.world.goes_wrong(|faults| faults.task_failures) {
            self.world.count("task fails");
            let kinds = [ErrorKind::Unavailable, ErrorKind::Internal];
            let kind = self.world.chance.pick(&kinds);
            return Err(Error::new(kind, "a simulated failure"));
        }
        Ok(())
    }

    async fn write(&self, store: &Store, key: &str, bytes: Bytes) -> Result<()> {
        let mut last = Ok(());
        for _ in 0..WRITE_TRIES {
            last = store.put(key, bytes.clone()).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Wanted>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_object(store: &Store, key: &str) -> Result<Bytes> {
    store.get(key).await.map_err(|error| match error.kind {
        ErrorKind::NotFound => Error::input_lost(key, "it is gone"),
        ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists
        | ErrorKind::ResourceExhausted
        | ErrorKind::Unavailable
        | ErrorKind::InputLost
        | ErrorKind::Fenced
        | ErrorKind::Cancelled
        | ErrorKind::NotConverged
        | ErrorKind::Internal => error,
    })
}
