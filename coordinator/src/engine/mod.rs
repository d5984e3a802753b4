//! The effectful shell around the pure parts.
//!
//! One task owns the scheduler and all jobs; calls from the services, finished appends and the
//! clock reach it as commands. It feeds the scheduler, carries out effects, and polls algorithms.
//! It decides nothing itself.
//!
//! Invariant: an append that fails ends the engine's part in that job; nothing becomes visible
//! outside that the log does not hold.

mod calls;
mod cluster;
mod command;
mod job;
mod journal;
mod lifecycle;
mod submit;
mod surroundings;
mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rankmill_common::status::JobState;
use rankmill_common::{Epoch, Error, ErrorKind, JobId, Result, WorkerId};
use rankmill_store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use crate::commit;
use crate::config::CoordinatorConfig;
use crate::metrics::Metrics;
use crate::prune::{self, Pruned, Rule};
use crate::scheduler::{Effect, Event, RequestId, Scheduler};

pub(crate) use cluster::{Cluster, ClusterReader, live_jobs};
pub(crate) use command::{Assignment, Command, EngineHandle, WorkerHello};
pub use surroundings::Outputs;
pub(crate) use surroundings::Surroundings;

use job::Job;

const TICK: Duration = Duration::from_millis(200);

/// Calls that wait for the scheduler.
enum Reply {
    Lease(oneshot::Sender<Result<Option<Assignment>>>),
    Pulse(oneshot::Sender<Result<Vec<String>>>),
    Report(JobId, oneshot::Sender<Result<()>>),
}

/// Which jobs that have not ended a term goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resumption {
    /// All of them: a cluster's.
    All,
    /// Those that are asked for again: somebody stopped the others, and is not here.
    Asked,
}

/// Owner of all state.
pub(crate) struct Engine {
    config: CoordinatorConfig,
    state: Store,
    cluster: Cluster,
    scheduler: Scheduler,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs that have not ended and that nobody has asked for in this term.
    dormant: Vec<JobId>,
    replies: BTreeMap<RequestId, Reply>,
    requests: u64,
    worker_count: u64,
    isa: BTreeSet<String>,
    commands: mpsc::UnboundedReceiver<Command>,
    handle: EngineHandle,
    surroundings: Surroundings,
    /// The latest instant that was seen: the scheduler's time never runs backwards.
    now: u64,
    metrics: watch::Sender<Metrics>,
}

impl Engine {
    /// Takes the epoch and picks up the jobs that have not ended.
    pub(crate) async fn open(
        state: Store,
        config: CoordinatorConfig,
        surroundings: Surroundings,
        resumption: Resumption,
    ) -> Result<Self> {
        let (cluster, jobs) = Cluster::take_over(state.clone()).await?;
        let (sender, commands) = mpsc::unbounded_channel();
        let mut engine = Self {
            scheduler: Scheduler::new(cluster.epoch(), config.limits()),
            config,
            state,
            cluster,
            jobs: BTreeMap::new(),
            dormant: Vec::new(),
            replies: BTreeMap::new(),
            requests: 0,
            worker_count: 0,
            isa: BTreeSet::new(),
            commands,
            handle: EngineHandle::new(sender),
            surroundings,
            now: 0,
            metrics: watch::Sender::default(),
        };
        match resumption {
            Resumption::All => {
                for job in jobs {
                    engine.resume_or_set_aside(job).await?;
                }
            }
            Resumption::Asked => engine.dormant = engine.unfinished(jobs).await?,
        }
        tokio::spawn(engine.cluster.save_hint(engine.unsettled_jobs()));
        Ok(engine)
    }

    /// How services reach the engine.
    pub(crate) fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Serves until fenced, or until `shutdown` resolves.
    pub(crate) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<()> {
        tokio::pin!(shutdown);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let resumed: Vec<JobId> = self.jobs.keys().cloned().collect();
        for job in resumed {
            self.start(&job);
        }
        loop {
            // In this order, so that the same events lead to the same run.
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = tick.tick() => self.dispatch(Event::Tick),
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => break,
                },
            }
        }
        self.cluster.save_hint(self.unsettled_jobs()).await;
        Ok(())
    }

    /// The term.
    pub(crate) fn epoch(&self) -> Epoch {
        self.cluster.epoch()
    }

    /// What there is to count, at every change.
    pub(crate) fn metrics(&self) -> watch::Receiver<Metrics> {
        self.metrics.subscribe()
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Submit {
                spec,
                submission,
                reply,
            } => {
                let answer = self.submit(*spec, submission).await;
                let fenced = matches!(&answer, Err(e) if e.kind == ErrorKind::Fenced);
                let _ = reply.send(answer);
                if fenced {
                    return Err(Error::new(
                        ErrorKind::Fenced,
                        "another coordinator took over",
                    ));
                }
            }
            Command::Status { job, reply } => {
                let answer = self.recall(&job).await;
                let _ = reply.send(answer);
            }
            Command::List { reply } => {
                let statuses = self.jobs.values().map(|job| self.status_of(job)).collect();
                let _ = reply.send(statuses);
            }
            Command::Watch { job, reply } => {
                let answer = match self.recall(&job).await {
                    Ok(_) => self
                        .jobs
                        .get(&job)
                        .map(Job::watch)
                        .ok_or_else(|| unknown(&job)),
                    Err(error) => Err(error),
                };
                let _ = reply.send(answer);
            }
            Command::Cancel { job, reply } => {
                let _ = reply.send(self.cancel(&job));
            }
            Command::Register { hello, reply } => {
                let _ = reply.send(self.register(hello));
            }
            Command::Lease {
                worker,
                free_memory,
                reply,
            } => {
                let request = self.await_reply(Reply::Lease(reply));
                self.dispatch(Event::WorkRequested {
                    request,
                    worker,
                    free_memory,
                });
            }
            Command::Heartbeat {
                worker,
                attempts,
                bytes,
                reply,
            } => {
                let request = self.await_reply(Reply::Pulse(reply));
                self.dispatch(Event::Heartbeat {
                    request,
                    worker,
                    attempts,
                    bytes,
                });
            }
            Command::Report {
                worker,
                job,
                stage,
                task,
                attempt,
                outcome,
                reply,
            } => {
                let request = self.await_reply(Reply::Report(job.clone(), reply));
                self.dispatch(Event::TaskReported {
                    request,
                    worker,
                    job,
                    stage,
                    task,
                    attempt,
                    outcome,
                });
            }
            Command::Prune { rule, reply } => self.prune(rule, reply).await,
            Command::Leave { worker } => self.dispatch(Event::WorkerLeft { worker }),
            Command::Appended { request } => self.answer(request, Ok(())),
            Command::LogFailed { job, error } => self.abandon(&job, error)?,
            Command::Published { job, result } => self.published(&job, result),
            Command::Settled { job, logged } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.settle(logged);
                }
                tokio::spawn(self.cluster.save_hint(self.unsettled_jobs()));
                self.dispatch(Event::Tick);
            }
        }
        Ok(())
    }

    fn await_reply(&mut self, reply: Reply) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.replies.insert(request, reply);
        request
    }

    fn register(&mut self, hello: WorkerHello) -> Result<WorkerId> {
        if self.scheduler.workers() >= self.config.max_workers {
            return Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!(
                    "{} workers are registered, the limit (max-workers)",
                    self.config.max_workers
                ),
            ));
        }
        if hello.version != env!("CARGO_PKG_VERSION") {
            return Err(Error::invalid_input(format!(
                "the worker is of version {}, the coordinator of version {}; run the same version \
                 everywhere",
                hello.version,
                env!("CARGO_PKG_VERSION")
            )));
        }
        self.isa.insert(hello.isa);
        self.worker_count += 1;
        let worker = WorkerId::new(format!(
            "{}-{}-{}",
            hello.host,
            self.cluster.epoch(),
            self.worker_count
        ));
        self.dispatch(Event::WorkerJoined {
            worker: worker.clone(),
            memory: hello.memory,
            instance: hello.instance,
        });
        Ok(worker)
    }

    /// Feeds the scheduler and carries out what it says, to the end.
    fn dispatch(&mut self, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.now = self.now.max((self.surroundings.clock)());
            for effect in self.scheduler.step(self.now, event) {
                events.extend(self.carry_out(effect));
            }
        }
        let workers = self.scheduler.workers() as u32;
        for job in self.jobs.values_mut() {
            job.publish_status(workers, self.scheduler.bytes_under_way(job.id()));
        }
        self.publish_metrics();
    }

    /// Looks now, while nobody can start a job on what is found unused, and deletes later.
    async fn prune(&self, rule: Rule, reply: oneshot::Sender<Result<Pruned>>) {
        let live: BTreeSet<JobId> = self.unsettled_jobs().into_iter().collect();
        match prune::plan(&self.state, &live, rule).await {
            Ok(plan) => {
                let state = self.state.clone();
                tokio::spawn(async move { reply.send(plan.carry_out(&state).await) });
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn publish_metrics(&self) {
        let mut metrics = self.scheduler.metrics();
        for job in self.jobs.values() {
            match job.state() {
                JobState::Queued | JobState::Running => metrics.jobs_running += 1,
                JobState::Succeeded => metrics.jobs_succeeded += 1,
                JobState::Failed => metrics.jobs_failed += 1,
                JobState::Cancelled => metrics.jobs_cancelled += 1,
            }
        }
        self.metrics.send_if_modified(|current| {
            let changed = *current != metrics;
            *current = metrics;
            changed
        });
    }

    fn carry_out(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Grant { request, lease } => {
                let assignment = lease.and_then(|lease| self.assignment(lease));
                if let Some(Reply::Lease(reply)) = self.replies.remove(&request) {
                    // If the worker has hung up, its heartbeats will not name the attempt and
                    // the lease runs out.
                    let _ = reply.send(Ok(assignment));
                }
                Vec::new()
            }
            Effect::Pulse { request, cancelled } => {
                self.pulse(request, cancelled);
                Vec::new()
            }
            Effect::Acknowledge { request } => {
                self.acknowledge(request);
                Vec::new()
            }
            Effect::Commit {
                job,
                entry,
                request,
            } => {
                match (self.jobs.get_mut(&job), request) {
                    (Some(job), request) => job.commit(entry, request),
                    // Forgotten since: nobody wants it.
                    (None, Some(request)) => self.answer(request, Ok(())),
                    (None, None) => {}
                }
                Vec::new()
            }
            Effect::StageDone {
                job,
                stage,
                reports,
            } => self.advance(&job, |job| {
                job.complete_stage(stage, reports);
            }),
            Effect::FailJob { job, error } => {
                self.give_up(&job, JobState::Failed, Some(commit::explain_loss(error)))
            }
        }
    }

    fn assignment(&self, lease: crate::scheduler::Lease) -> Option<Assignment> {
        let operator = self
            .jobs
            .get(&lease.job)?
            .operator(lease.stage, lease.task)?;
        Some(Assignment {
            operator: operator.clone(),
            lease,
        })
    }
}

fn unknown(job: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no job {job}"))
}
