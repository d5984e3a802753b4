//! One job: its algorithm, its stages, its log and what the outside sees of it.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rankmill_common::job::JobSpec;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::{Operator, Report};
use rankmill_common::status::{JobState, JobStatus, Progress};
use rankmill_common::{Error, ErrorKind, JobId, Result, StageId, TaskIndex};
use rankmill_store::Store;
use tokio::sync::watch;
use tokio::time::Instant;

use super::command::{Command, EngineHandle};
use super::journal::Journal;
use super::surroundings::{Algorithm, Surroundings};
use super::timing::Timing;
use crate::algorithm::JobResult;
use crate::commit;
use crate::log::{JobEntry, JobHistory, StageRecord};
use crate::scheduler::{Event, RequestId, TaskPlan};
use crate::stages::{StageRequest, Stages};

/// How long a finished result waits for the store of its output, and between two tries.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(600);
const PUBLISH_PAUSE: Duration = Duration::from_secs(2);

/// A job and everything that belongs to it.
pub(super) struct Job {
    id: JobId,
    spec: JobSpec,
    state: JobState,
    error: Option<Error>,
    stages: Stages,
    algorithm: Option<Algorithm>,
    recorded: BTreeMap<StageId, StageRecord>,
    operators: BTreeMap<StageId, Vec<Operator>>,
    /// Keys of objects that the log has as released, or will have.
    released: BTreeSet<String>,
    manifest: Option<Manifest>,
    journal: Journal,
    surroundings: Surroundings,
    timings: BTreeMap<StageId, Timing>,
    status: watch::Sender<JobStatus>,
    /// Whether watchers wait until a failed job's files are gone.
    withdrawing: bool,
    publishing: bool,
    settled: bool,
    /// Whether its log could not be written.
    abandoned: bool,
}

/// What polling an algorithm brought.
pub(super) enum Step {
    /// It asks for stages, or waits.
    Asked(Vec<Event>),
    /// It is done.
    Finished(Box<JobResult>),
    /// It cannot go on.
    Failed(Error),
}

impl Job {
    /// A job as its log has it.
    pub(super) fn resume(
        history: JobHistory,
        journal: Journal,
        surroundings: Surroundings,
    ) -> Self {
        let stages = Stages::new(history.job.clone());
        let algorithm = (!history.state.is_terminal())
            .then(|| (surroundings.algorithm)(stages.clone(), history.spec.clone()));
        let status = JobStatus {
            id: history.job.clone(),
            kind: history.spec.kind().to_owned(),
            state: history.state,
            output: history.spec.output().url.clone(),
            progress: None,
            error: history.error.clone(),
            workers: 0,
        };
        Self {
            id: history.job,
            spec: history.spec,
            state: history.state,
            error: history.error,
            stages,
            algorithm,
            recorded: history.stages,
            operators: BTreeMap::new(),
            released: history.released,
            manifest: history.manifest,
            journal,
            surroundings,
            timings: BTreeMap::new(),
            status: watch::Sender::new(status),
            withdrawing: false,
            publishing: false,
            settled: history.state.is_terminal(),
            abandoned: false,
        }
    }

    pub(super) fn id(&self) -> &JobId {
        &self.id
    }

    pub(super) fn spec(&self) -> &JobSpec {
        &self.spec
    }

    pub(super) fn state(&self) -> JobState {
        self.state
    }

    pub(super) fn watch(&self) -> watch::Receiver<JobStatus> {
        self.status.subscribe()
    }

    /// Polls the algorithm until it waits for the workers. What it lets go is deleted from `state`.
    pub(super) fn poll(&mut self, max_tasks: usize, state: &Store) -> Step {
        let Some(algorithm) = &mut self.algorithm else {
            return Step::Asked(Vec::new());
        };
        let mut context = Context::from_waker(Waker::noop());
        match algorithm.as_mut().poll(&mut context) {
            Poll::Ready(Ok(result)) => Step::Finished(Box::new(result)),
            Poll::Ready(Err(error)) => Step::Failed(error),
            Poll::Pending => {
                self.release(state);
                let requests = self.stages.take_asked();
                if let Some(large) = requests.iter().find(|r| r.operators.len() > max_tasks) {
                    return Step::Failed(too_many_tasks(large, max_tasks));
                }
                match requests.into_iter().map(|r| self.ask(r)).collect() {
                    Ok(events) => Step::Asked(events),
                    Err(error) => Step::Failed(error),
                }
            }
        }
    }

    /// Deletes what the algorithm has let go, once the log says so. Whoever takes over then knows
    /// of everything that was made of it, and a coordinator that has been replaced gets nothing
    /// into the log: it deletes only what the log has as released.
    fn release(&mut self, state: &Store) {
        let keys = self.stages.take_released();
        if keys.is_empty() {
            return;
        }
        let mut objects = keys.clone();
        objects.retain(|key| self.released.insert(key.clone()));
        if !objects.is_empty() {
            self.journal
                .write(JobEntry::ObjectsReleased { objects }, None);
        }
        // Only now: the journal must know why an output was never written.
        if let Some(outputs) = &self.surroundings.outputs {
            outputs.release(&keys);
        }
        let (flushed, state) = (self.journal.flushed(), state.clone());
        tokio::spawn(async move {
            if flushed.await.is_ok() {
                commit::delete_scratch(&state, keys).await;
            }
        });
    }

    /// Turns a request for a stage into an event, with the outputs that the log holds already.
    fn ask(&mut self, request: StageRequest) -> Result<Event> {
        let identity = request.identity();
        let committed = match self.recorded.remove(&request.stage) {
            Some(record) if record.identity == identity => record.committed,
            Some(_) => {
                return Err(Error::internal(format!(
                    "stage {} ({}) of job {} is not the stage that the log holds: the job was \
                     started by another version of rankmill; start it again with --overwrite",
                    request.stage, request.name, self.id
                )));
            }
            None => {
                let entry = JobEntry::StageStarted {
                    stage: request.stage,
                    identity,
                    name: request.name.clone(),
                    tasks: request.operators.len() as u32,
                };
                self.journal.write(entry, None);
                BTreeMap::new()
            }
        };
        let mut timing = Timing::new(request.name, request.operators.len() as u32);
        for (task, done) in &committed {
            let operator = request.operators.get(task.0 as usize);
            timing.add(
                done.cost,
                operator.map(|operator| operator.work(&done.report)),
            );
        }
        self.timings.insert(request.stage, timing);
        let plan = |(index, operator): (u32, &Operator)| TaskPlan {
            name: operator.name(),
            memory: operator.memory(),
            committed: committed.get(&TaskIndex(index)).cloned(),
        };
        let tasks = (0..).zip(&request.operators).map(plan).collect();
        self.operators.insert(request.stage, request.operators);
        Ok(Event::StageAsked {
            job: self.id.clone(),
            stage: request.stage,
            root: request.root,
            tasks,
            foreseen: request.foreseen,
        })
    }

    /// What the task of a lease has to do.
    pub(super) fn operator(&self, stage: StageId, task: TaskIndex) -> Option<&Operator> {
        self.operators.get(&stage)?.get(task.0 as usize)
    }

    /// Writes what happened to the log and counts its cost.
    pub(super) fn commit(&mut self, entry: JobEntry, request: Option<RequestId>) {
        if let JobEntry::TaskCommitted {
            stage,
            task,
            cost,
            report,
            ..
        } = &entry
        {
            let work = self
                .operator(*stage, *task)
                .map(|operator| operator.work(report));
            if let Some(timing) = self.timings.get_mut(stage) {
                timing.add(*cost, work);
            }
        }
        self.journal.write(entry, request);
    }

    /// Lets the engine hear of `request` once the log holds all that was written before.
    pub(super) fn acknowledge(&self, request: RequestId) {
        self.journal.acknowledge(request);
    }

    pub(super) fn complete_stage(&mut self, stage: StageId, reports: Vec<Report>) {
        if let Some(timing) = self.timings.get_mut(&stage) {
            timing.wall_ms = Some(timing.asked.elapsed().as_millis() as u64);
        }
        self.stages.complete(stage, reports);
    }

    /// Logs the finished result, then writes its manifest; the engine hears of it.
    pub(super) fn publish_result(
        &mut self,
        result: JobResult,
        isa: String,
        state: Store,
        engine: &EngineHandle,
    ) {
        self.algorithm = None;
        self.publishing = true;
        let manifest = self.manifest.clone().unwrap_or_else(|| {
            let manifest = self.build_manifest(result, isa);
            let entry = JobEntry::ResultCommitted {
                manifest: Box::new(manifest.clone()),
            };
            self.journal.write(entry, None);
            manifest
        });
        let flushed = self.journal.flushed();
        let (engine, job) = (engine.clone(), self.id.clone());
        let (spec, surroundings) = (self.spec.clone(), self.surroundings.clone());
        tokio::spawn(async move {
            if flushed.await.is_err() {
                // The log is lost; the engine has heard of it from the journal.
                return;
            }
            let result = publish(&surroundings, &spec, &manifest).await;
            if result.is_ok() {
                surroundings.forget_outputs(&job).await;
                commit::sweep_scratch(&state, &job).await;
            }
            engine.tell(Command::Published { job, result });
        });
    }

    fn build_manifest(&self, result: JobResult, isa: String) -> Manifest {
        commit::manifest(
            self.id.clone(),
            self.spec.clone(),
            result,
            isa,
            self.timings.values().map(Timing::to_stage).collect(),
        )
    }

    /// Ends the job; the log says how. Once it does, what the job had written to its output is
    /// removed, unless it is a result; the engine hears of it. A coordinator that has been replaced
    /// gets no entry into the log, so it removes nothing under its successor's hands.
    pub(super) fn end(
        &mut self,
        state: JobState,
        error: Option<Error>,
        store: Store,
        engine: &EngineHandle,
    ) {
        let entry = match (state, &error) {
            (JobState::Succeeded, _) => JobEntry::JobSucceeded,
            (JobState::Cancelled, _) => JobEntry::JobCancelled,
            (JobState::Failed | JobState::Queued | JobState::Running, error) => {
                JobEntry::JobFailed {
                    error: error
                        .clone()
                        .unwrap_or_else(|| Error::internal("the job ended without a reason")),
                }
            }
        };
        self.journal.write(entry, None);
        self.abandon_with(state, error);
        self.withdrawing = state != JobState::Succeeded;
        let files = self.withdrawing.then(|| self.result_files());
        let damaged = self.error.as_ref().and_then(commit::damaged_matrix);
        let flushed = self.journal.flushed();
        let (engine, job, spec) = (engine.clone(), self.id.clone(), self.spec.clone());
        let surroundings = self.surroundings.clone();
        tokio::spawn(async move {
            let logged = flushed.await.is_ok();
            if logged && let Some(files) = files {
                // Files that cannot be removed have no manifest, so no reader takes them for a
                // result.
                let _ = withdraw(&surroundings, &spec, &files).await;
                if let Some(pointer) = damaged {
                    let _ = store.delete(&pointer).await;
                }
                surroundings.forget_outputs(&job).await;
                commit::sweep_scratch(&store, &job).await;
            }
            engine.tell(Command::Settled { job, logged });
        });
    }

    /// The files that this run writes to its output.
    fn result_files(&self) -> Vec<String> {
        let operators = self.operators.values().flatten();
        let files = operators.flat_map(Operator::result_files);
        files.map(str::to_owned).collect()
    }

    /// The job is over, and its end is in the log where `logged`.
    pub(super) fn settle(&mut self, logged: bool) {
        self.withdrawing = false;
        self.settled = logged;
    }

    /// Whether the log holds the job's end: nobody has to look at it again.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether it may still change its output.
    pub(super) fn holds_output(&self) -> bool {
        self.withdrawing || !self.state.is_terminal()
    }

    /// Whether its result is complete and on its way: from here on it only ends well, or because
    /// the output cannot be written.
    pub(super) fn is_publishing(&self) -> bool {
        self.publishing
    }

    /// Whether it ended here, but not in its log: a new request picks it up from there.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Stops working on the job and leaves its log as it is.
    pub(super) fn abandon(&mut self, error: Error) {
        self.abandoned = true;
        self.withdrawing = false;
        self.abandon_with(JobState::Failed, Some(error));
    }

    fn abandon_with(&mut self, state: JobState, error: Option<Error>) {
        self.algorithm = None;
        self.state = state;
        self.error = error;
    }

    pub(super) fn status(&self, workers: u32, under_way: u64) -> JobStatus {
        JobStatus {
            id: self.id.clone(),
            kind: self.spec.kind().to_owned(),
            state: self.state,
            output: self.spec.output().url.clone(),
            progress: self.progress(under_way),
            error: self.error.clone(),
            workers,
        }
    }

    /// Tells the watchers, if there is something new.
    pub(super) fn publish_status(&self, workers: u32, under_way: u64) {
        if self.withdrawing {
            return;
        }
        let status = self.status(workers, under_way);
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            if changed {
                *current = status;
            }
            changed
        });
    }

    fn progress(&self, under_way: u64) -> Option<Progress> {
        let (stage, timing) = self
            .timings
            .iter()
            .find(|(_, timing)| timing.wall_ms.is_none())
            .or_else(|| self.timings.iter().next_back())?;
        let bytes = |timing: &Timing| timing.bytes_read + timing.bytes_written;
        Some(Progress {
            stage: stage.0 + 1,
            name: timing.name.clone(),
            tasks: timing.tasks,
            done: timing.done,
            bytes: self.timings.values().map(bytes).sum::<u64>() + under_way,
            note: self.stages.current_note(),
        })
    }
}

/// The log holds the result already, and a manifest that timed out may still appear: a store that
/// is out of reach is no reason to fail the job before it has been so for long.
async fn publish(surroundings: &Surroundings, spec: &JobSpec, manifest: &Manifest) -> Result<()> {
    let output = (surroundings.output)(&spec.output().url)?;
    let began = Instant::now();
    loop {
        match commit::publish(&output, spec, manifest).await {
            Err(error)
                if error.kind == ErrorKind::Unavailable && began.elapsed() < PUBLISH_PATIENCE =>
            {
                tracing::warn!(%error, "cannot write the manifest yet");
                tokio::time::sleep(PUBLISH_PAUSE).await;
            }
            published => return published,
        }
    }
}

async fn withdraw(surroundings: &Surroundings, spec: &JobSpec, files: &[String]) -> Result<()> {
    let output = (surroundings.output)(&spec.output().url)?;
    commit::withdraw(&output, files).await
}

fn too_many_tasks(request: &StageRequest, limit: usize) -> Error {
    Error::new(
        ErrorKind::ResourceExhausted,
        format!(
            "stage {} would have {} tasks, the limit is {limit}: the input is too large for this \
             coordinator; raise max-tasks in its configuration",
            request.name,
            request.operators.len()
        ),
    )
}
