//! A worker's life with its coordinator: register, lease, heartbeat, report, leave.
//!
//! ```text
//! Registering ──► Serving ──► Draining ──► gone
//!      ▲             │
//!      └─────────────┘  forgotten by the coordinator, or out of contact with it
//! ```
//!
//! Nothing here computes, and no answer depends on a clock: leases, heartbeats and self-fencing
//! only decide how soon work that is lost runs again elsewhere.

mod attempts;
mod backoff;
mod coordinator;
mod isa;
mod slot;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rankmill_common::{ByteSize, ErrorKind, Result};
use rankmill_proto::Coordinators;
use rankmill_proto::pb::{HeartbeatRequest, RegisterRequest, RegisterResponse};
use rankmill_store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::attempts::Attempts;
use self::backoff::Backoff;
use self::coordinator::{Coordinator, Failure};
use crate::executor::Executor;
use crate::storage::{HandOver, Objects};

/// What a worker may use and what it is called.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Threads that compute.
    pub threads: usize,
    /// Memory that running tasks may declare together.
    pub memory: ByteSize,
    /// Where objects of a remote store are kept on local disk.
    pub cache: Option<PathBuf>,
    /// Bytes that these copies may take.
    pub cache_size: ByteSize,
    /// Where tasks leave matrices for one another in memory: only for a worker that lives and dies
    /// with its coordinator, which has to wait for it before it logs anything.
    pub hand_over: Option<HandOver>,
    /// Name of this machine, for people and for placing copies of a task elsewhere.
    pub host: String,
}

/// Tasks at a time: one computes while another reads or writes.
const SLOTS: u32 = 2;

/// How patient a worker is.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Time without an answer after which it holds its leases for lost.
    fence_after: Duration,
    /// Time that running tasks get to finish once it is asked to stop.
    drain: Duration,
}

const PATIENCE: Patience = Patience {
    fence_after: Duration::from_secs(10),
    drain: Duration::from_secs(25),
};

/// The longest pause between two tries to register.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The runtime's threads that are started at once: one for each task, as many for those of a session
/// that was lost, and some for files. A task that waits for a file holds its own thread, and the system
/// may refuse more of them later.
const THREADS: u32 = 2 * SLOTS + 2;
/// Long enough for each of them to be a thread of its own.
const FIRST_WORK: Duration = Duration::from_millis(50);

/// Bounds on the heartbeat interval, whatever the coordinator says.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(3));

/// Registers, pulls tasks and runs them until `shutdown` resolves; then drains (at most 25 s),
/// leaves and returns. Reconnects with backoff while no coordinator leads; registers anew with one
/// that does not know it.
///
/// # Errors
///
/// `InvalidInput` or `Internal` if the coordinator refuses this worker for good (another version,
/// no right to join), or if the state store cannot be opened from here.
pub async fn run(
    coordinators: impl Into<Coordinators>,
    config: WorkerConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    run_with(coordinators.into(), config, PATIENCE, shutdown).await
}

async fn run_with(
    coordinators: Coordinators,
    config: WorkerConfig,
    patience: Patience,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let coordinator = Coordinator::new(coordinators);
    let executor = Arc::new(Executor::new(&config)?);
    for _ in 0..THREADS {
        tokio::task::spawn_blocking(|| std::thread::sleep(FIRST_WORK));
    }
    let instance = uuid::Uuid::new_v4().to_string();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let session = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            session = Session::register(&coordinator, &executor, &config, &instance) => Arc::new(session?),
        };
        tracing::info!(worker = session.worker_id, "registered");
        match session.serve(patience, shutdown.as_mut()).await {
            End::Shutdown => return Ok(()),
            End::Forgotten => tracing::warn!("the coordinator no longer knows this worker"),
            End::OutOfContact => tracing::warn!("out of contact with the coordinator"),
        }
    }
}

/// From one registration to its end.
#[derive(Debug)]
struct Session {
    coordinator: Coordinator,
    executor: Arc<Executor>,
    worker_id: String,
    objects: Objects,
    heartbeat: Duration,
    attempts: Attempts,
}

/// Whether slots ask for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Shutdown,
    Forgotten,
    OutOfContact,
}

impl Session {
    /// Asks until the coordinator agrees or refuses for good.
    async fn register(
        coordinator: &Coordinator,
        executor: &Arc<Executor>,
        config: &WorkerConfig,
        instance: &str,
    ) -> Result<Self> {
        let request = RegisterRequest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: isa::class().to_owned(),
            host: config.host.clone(),
            slots: SLOTS,
            memory: config.memory.0,
            instance: instance.to_owned(),
        };
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        loop {
            match coordinator.register(request.clone()).await {
                Ok(response) => match open(&response.state_url, config) {
                    Ok(objects) => {
                        executor.lend_memory(&objects);
                        return Ok(Self::new(coordinator, executor, response, objects));
                    }
                    Err(error) if error.kind == ErrorKind::Unavailable => {
                        tracing::warn!(%error, "cannot open the state store yet");
                    }
                    Err(error) => return Err(error.context("the coordinator's state store")),
                },
                Err(Failure::Refused(error)) => {
                    return Err(error.context("the coordinator refuses this worker"));
                }
                Err(Failure::Unreachable(error)) => {
                    tracing::info!(%error, "waiting for the coordinator");
                }
                Err(Failure::Unknown | Failure::Fenced) => {
                    tracing::info!("waiting for the coordinator");
                }
            }
            backoff.pause().await;
        }
    }

    fn new(
        coordinator: &Coordinator,
        executor: &Arc<Executor>,
        response: RegisterResponse,
        objects: Objects,
    ) -> Self {
        Self {
            coordinator: coordinator.clone(),
            executor: Arc::clone(executor),
            worker_id: response.worker_id,
            objects,
            heartbeat: Duration::from_millis(response.heartbeat_ms).clamp(HEARTBEAT.0, HEARTBEAT.1),
            attempts: Attempts::default(),
        }
    }

    /// Runs tasks until the session ends. Attempts that still run then are cancelled.
    async fn serve(
        self: &Arc<Self>,
        patience: Patience,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> End {
        let (phase, _) = watch::channel(Phase::Serving);
        let mut slots = JoinSet::new();
        for _ in 0..SLOTS {
            slots.spawn(slot::run(Arc::clone(self), phase.subscribe()));
        }
        let mut contact = std::pin::pin!(self.keep_contact(patience.fence_after));
        let end = tokio::select! {
            biased;
            () = &mut shutdown => End::Shutdown,
            end = &mut contact => end,
            // While nobody drains, a slot ends only where the coordinator does not know the worker.
            _ = slots.join_next() => End::Forgotten,
        };
        if end == End::Shutdown {
            phase.send_replace(Phase::Draining);
            let drained = async { while slots.join_next().await.is_some() {} };
            tokio::select! {
                () = drained => {}
                _ = &mut contact => {}
                () = tokio::time::sleep(patience.drain) => tracing::warn!("gave up running tasks"),
            }
        }
        self.attempts.cancel_all();
        if end == End::Shutdown
            && let Err(failure) = self.coordinator.leave(self.worker_id.clone()).await
        {
            tracing::debug!(?failure, "could not say goodbye");
        }
        end
    }

    /// Sends heartbeats and cancels what they ask for, until contact is lost.
    async fn keep_contact(&self, fence_after: Duration) -> End {
        let mut due = tokio::time::interval(self.heartbeat);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let (attempts, bytes) = self.attempts.progress();
            let request = HeartbeatRequest {
                worker_id: self.worker_id.clone(),
                attempts,
                bytes,
            };
            match self.coordinator.heartbeat(request).await {
                Ok(response) => {
                    for id in &response.cancelled {
                        self.attempts.cancel(id);
                    }
                }
                Err(Failure::Unknown) => return End::Forgotten,
                Err(Failure::Fenced) => tracing::debug!("the coordinator was replaced"),
                Err(Failure::Refused(error) | Failure::Unreachable(error)) => {
                    tracing::debug!(%error, "no answer to a heartbeat");
                }
            }
            if self.coordinator.silence() >= fence_after {
                return End::OutOfContact;
            }
        }
    }
}

fn open(state_url: &str, config: &WorkerConfig) -> Result<Objects> {
    let state = Store::open(state_url)?;
    let objects = Objects::open_with_budget(state, config.cache.clone(), config.cache_size.0)?;
    Ok(objects.handed_over(config.hand_over.clone()))
}

#[cfg(test)]
mod tests;
