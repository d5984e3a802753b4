//! The handle that algorithms await.
//!
//! `stages.run("name", operators).await` yields until every task of that stage is committed. The
//! algorithm is polled again whenever a stage is done; after a restart it runs from its first
//! line, and each stage that the log already holds returns at once. No I/O, no clock.
//!
//! Invariant: stages are numbered in call order, so the same algorithm on the same answers asks
//! for the same stages.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use rankmill_common::operator::{Operation, Operator, Report};
use rankmill_common::{Digest, Error, JobId, ObjectRef, Result, StageId};

use crate::scheduler::Need;

/// The stages of one job, as its algorithm sees them.
#[derive(Clone, Debug)]
pub struct Stages {
    job: JobId,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    next: StageId,
    asked: Vec<StageRequest>,
    done: BTreeMap<StageId, Vec<Report>>,
    released: Vec<String>,
    note: String,
    foreseen: Option<Need>,
}

/// A stage that an algorithm has asked for.
#[derive(Clone, Debug)]
pub struct StageRequest {
    /// Its place in call order.
    pub stage: StageId,
    /// Name, for people.
    pub name: String,
    /// Folder of the state store below which its attempts write.
    pub root: String,
    /// One operator per task.
    pub operators: Vec<Operator>,
    /// The most that a task of the stages behind it is known to need.
    pub foreseen: Option<Need>,
}

impl StageRequest {
    /// What a replay must ask for again: name, operators, parameters and inputs.
    pub fn identity(&self) -> Digest {
        Digest::of_value(&(&self.name, &self.root, &self.operators))
    }
}

impl Stages {
    /// No stages yet.
    pub fn new(job: JobId) -> Self {
        Self {
            job,
            shared: Arc::default(),
        }
    }

    /// The job whose stages these are.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// Runs one task per operator and returns their outputs in the same order.
    ///
    /// # Errors
    ///
    /// `Internal` if a task reports the output of another operator. A failed task ends the job;
    /// the algorithm is then not polled again.
    pub async fn run<O: Operation>(&self, name: &str, operators: Vec<O>) -> Result<Vec<O::Output>> {
        self.run_below(self.root(), name, operators).await
    }

    /// As [`Self::run`], with outputs that outlive the job: those of the matrix `digest`.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub async fn run_for_matrix<O: Operation>(
        &self,
        digest: Digest,
        name: &str,
        operators: Vec<O>,
    ) -> Result<Vec<O::Output>> {
        self.run_below(format!("matrices/{digest}"), name, operators)
            .await
    }

    /// Runs a stage of one task.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub async fn run_one<O: Operation>(&self, name: &str, operator: O) -> Result<O::Output> {
        let outputs = self.run(name, vec![operator]).await?;
        outputs
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal(format!("stage {name} of one task has no output")))
    }

    /// Lets `objects` go: no stage that is under way or asked for later reads them. They are
    /// deleted once the log holds everything that was made of them, so the algorithm says this
    /// again in a replay and nothing happens. Objects that outlive the job are kept: others may
    /// read them.
    ///
    /// Nothing is lost for good: where an output is lost whose inputs were let go, their producers
    /// run again first, down to the job's input files.
    pub fn release<'a>(&self, objects: impl IntoIterator<Item = &'a ObjectRef>) {
        let own = format!("{}/", self.root());
        let keys = objects.into_iter().map(|object| &object.key);
        let keys = keys.filter(|key| key.starts_with(&own)).cloned();
        self.lock().released.extend(keys);
    }

    /// Says that a later stage runs `operator`: a job that no worker has the memory for fails with
    /// the next stage, not with that one.
    pub fn foresee<O: Operation>(&self, operator: O) {
        let operator = operator.into_operator();
        let (name, memory) = (operator.name(), operator.memory());
        let mut shared = self.lock();
        if shared.foreseen.is_none_or(|most| most.memory < memory) {
            shared.foreseen = Some(Need { name, memory });
        }
    }

    /// Says something about the state of the algorithm, for the progress bar.
    pub fn note(&self, text: impl Into<String>) {
        self.lock().note = text.into();
    }

    /// Where everything lies that goes with the job.
    fn root(&self) -> String {
        format!("jobs/{}", self.job)
    }

    async fn run_below<O: Operation>(
        &self,
        root: String,
        name: &str,
        operators: Vec<O>,
    ) -> Result<Vec<O::Output>> {
        let stage = self.ask(StageRequest {
            stage: StageId::default(),
            name: name.to_owned(),
            root,
            operators: operators.into_iter().map(O::into_operator).collect(),
            foreseen: None,
        });
        let reports = poll_fn(|_| match self.lock().done.remove(&stage) {
            Some(reports) => Poll::Ready(reports),
            None => Poll::Pending,
        })
        .await;
        reports.into_iter().map(O::Output::try_from).collect()
    }

    fn ask(&self, request: StageRequest) -> StageId {
        let mut shared = self.lock();
        let stage = shared.next;
        shared.next = stage.next();
        let needed = request.operators.iter().map(Operator::memory).max();
        let foreseen = shared.foreseen.filter(|need| needed < Some(need.memory));
        shared.foreseen = foreseen;
        shared.asked.push(StageRequest {
            stage,
            foreseen,
            ..request
        });
        stage
    }

    /// The stages asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<StageRequest> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Keys of the objects let go since the last call.
    pub(crate) fn take_released(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().released)
    }

    /// Makes a stage's outputs available; the algorithm has to be polled afterwards.
    pub(crate) fn complete(&self, stage: StageId, reports: Vec<Report>) {
        self.lock().done.insert(stage, reports);
    }

    /// What the algorithm last said of itself.
    pub(crate) fn current_note(&self) -> String {
        self.lock().note.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
