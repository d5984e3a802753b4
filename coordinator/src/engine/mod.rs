//! The effectful shell around the pure parts.
//!
//! One task owns the scheduler and all jobs; calls from the services, finished appends and the
//! clock reach it as commands. It feeds the scheduler, carries out effects, and polls algorithms.
//! It decides nothing itself.
//!
//! Invariant: an append that fails ends the engine's part in that job; nothing becomes visible
//! outside that the log does not hold.

mod cluster;
mod command;
mod job;
mod journal;
mod submit;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{Epoch, Error, ErrorKind, JobId, Result, WorkerId};
use rankmill_store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::CoordinatorConfig;
use crate::metrics::Metrics;
use crate::prune::{self, Pruned, Rule};
use crate::scheduler::{Effect, Event, RequestId, Scheduler};

pub(crate) use cluster::{Cluster, ClusterReader};
pub(crate) use command::{Assignment, Command, EngineHandle, WorkerHello};
pub(crate) use surroundings::Surroundings;

use job::{Job, Step};

const TICK: Duration = Duration::from_millis(200);

/// Calls that wait for the scheduler.
enum Reply {
    Lease(oneshot::Sender<Result<Option<Assignment>>>),
    Pulse(oneshot::Sender<Result<Vec<String>>>),
    Report(JobId, oneshot::Sender<Result<()>>),
}

/// Owner of all state.
pub(crate) struct Engine {
    config: CoordinatorConfig,
    state: Store,
    cluster: Cluster,
    scheduler: Scheduler,
    jobs: BTreeMap<JobId, Job>,
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
    /// Takes the epoch and picks up every job that has not ended.
    pub(crate) async fn open(
        state: Store,
        config: CoordinatorConfig,
        surroundings: Surroundings,
    ) -> Result<Self> {
        let (cluster, jobs) = Cluster::take_over(state.clone()).await?;
        let (sender, commands) = mpsc::unbounded_channel();
        let mut engine = Self {
            scheduler: Scheduler::new(cluster.epoch(), config.limits()),
            config,
            state,
            cluster,
            jobs: BTreeMap::new(),
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
        for job in jobs {
            engine.resume_or_set_aside(job).await?;
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
                reply,
            } => {
                let request = self.await_reply(Reply::Pulse(reply));
                self.dispatch(Event::Heartbeat {
                    request,
                    worker,
                    attempts,
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
            job.publish_status(workers);
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
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.commit(entry, request);
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
            Effect::FailJob { job, error } => self.give_up(&job, JobState::Failed, Some(error)),
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

    fn pulse(&mut self, request: RequestId, cancelled: Option<Vec<rankmill_common::AttemptId>>) {
        let unknown = || Error::new(ErrorKind::NotFound, "the worker is not registered");
        match (self.replies.remove(&request), cancelled) {
            (Some(Reply::Pulse(reply)), Some(cancelled)) => {
                let names = cancelled.iter().map(ToString::to_string).collect();
                let _ = reply.send(Ok(names));
            }
            (Some(Reply::Pulse(reply)), None) => {
                let _ = reply.send(Err(unknown()));
            }
            (Some(Reply::Lease(reply)), _) => {
                let _ = reply.send(Err(unknown()));
            }
            (Some(Reply::Report(_, reply)), _) => {
                let _ = reply.send(Err(unknown()));
            }
            (None, _) => {}
        }
    }

    /// Answers a report that changes nothing, after everything that its job has said so far is in
    /// the log: it may be the second copy of a report whose commit is still on its way there.
    fn acknowledge(&mut self, request: RequestId) {
        let job = match self.replies.get(&request) {
            Some(Reply::Report(job, _)) => self.jobs.get(job),
            Some(Reply::Lease(_) | Reply::Pulse(_)) | None => None,
        };
        match job {
            Some(job) => job.acknowledge(request),
            None => self.answer(request, Ok(())),
        }
    }

    fn answer(&mut self, request: RequestId, result: Result<()>) {
        if let Some(Reply::Report(_, reply)) = self.replies.remove(&request) {
            let _ = reply.send(result);
        }
    }

    /// Polls a job's algorithm after `change` and passes on what it asks for.
    fn advance(&mut self, id: &JobId, change: impl FnOnce(&mut Job)) -> Vec<Event> {
        let Some(job) = self.jobs.get_mut(id) else {
            return Vec::new();
        };
        change(job);
        match job.poll(self.config.max_tasks) {
            Step::Asked(events) => events,
            Step::Finished(result) => {
                let isa = self.isa.iter().cloned().collect::<Vec<_>>().join("+");
                job.publish_result(*result, isa, self.state.clone(), &self.handle);
                // Nothing is left to schedule, and nothing there can fail the job any more.
                vec![Event::JobEnded { job: id.clone() }]
            }
            Step::Failed(error) => self.give_up(id, JobState::Failed, Some(error)),
        }
    }

    fn start(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        if job.state().is_terminal() {
            return;
        }
        self.dispatch(Event::JobAdded { job: id.clone() });
        for event in self.advance(id, |_| {}) {
            self.dispatch(event);
        }
    }

    /// Ends a job without a result, unless its result is complete: then it is too late.
    fn give_up(&mut self, id: &JobId, state: JobState, error: Option<Error>) -> Vec<Event> {
        match self.jobs.get(id) {
            Some(job) if job.is_publishing() => Vec::new(),
            Some(_) | None => self.end(id, state, error),
        }
    }

    fn end(&mut self, id: &JobId, state: JobState, error: Option<Error>) -> Vec<Event> {
        match self.jobs.get_mut(id) {
            Some(job) if !job.state().is_terminal() => {
                job.end(state, error, self.state.clone(), &self.handle);
            }
            Some(_) | None => return Vec::new(),
        }
        vec![Event::JobEnded { job: id.clone() }]
    }

    fn cancel(&mut self, id: &JobId) -> Result<JobStatus> {
        if !self.jobs.contains_key(id) {
            return Err(unknown(id));
        }
        for event in self.give_up(id, JobState::Cancelled, None) {
            self.dispatch(event);
        }
        self.status(id)
    }

    fn published(&mut self, id: &JobId, result: Result<()>) {
        let (state, error) = match result {
            Ok(()) => (JobState::Succeeded, None),
            Err(error) => (JobState::Failed, Some(error)),
        };
        for event in self.end(id, state, error) {
            self.dispatch(event);
        }
    }

    /// An append failed. Fenced, or out of touch with the store: this coordinator's term is over,
    /// and whoever leads next picks up every job where its log ends. Otherwise (a full disk) only
    /// this job ends here, and stays as its log has it.
    fn abandon(&mut self, id: &JobId, error: Error) -> Result<()> {
        if matches!(error.kind, ErrorKind::Fenced | ErrorKind::Unavailable) {
            return Err(error);
        }
        if let Some(job) = self.jobs.get_mut(id) {
            job.abandon(error.context("the job's log cannot be written"));
        }
        // Dropped, these calls fail as if the coordinator were out of reach.
        self.replies
            .retain(|_, reply| !matches!(reply, Reply::Report(job, _) if job == id));
        self.dispatch(Event::JobEnded { job: id.clone() });
        Ok(())
    }

    fn status(&self, id: &JobId) -> Result<JobStatus> {
        let job = self.jobs.get(id).ok_or_else(|| unknown(id))?;
        Ok(self.status_of(job))
    }

    fn status_of(&self, job: &Job) -> JobStatus {
        job.status(self.scheduler.workers() as u32)
    }

    /// Jobs whose end the log does not hold: the next coordinator has to look at them.
    fn unsettled_jobs(&self) -> Vec<JobId> {
        self.jobs
            .iter()
            .filter(|(_, job)| !job.is_settled())
            .map(|(id, _)| id.clone())
            .collect()
    }
}

fn unknown(job: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no job {job}"))
}
