//! What services ask of the engine.

use rankmill_common::job::JobSpec;
use rankmill_common::operator::Operator;
use rankmill_common::status::JobStatus;
use rankmill_common::{AttemptId, Error, ErrorKind, JobId, Result, StageId, TaskIndex, WorkerId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::prune::{Pruned, Rule};
use crate::scheduler::{Lease, Outcome, RequestId};

/// One request to the engine.
pub(crate) enum Command {
    Submit {
        spec: Box<JobSpec>,
        submission: String,
        reply: oneshot::Sender<Result<JobStatus>>,
    },
    Status {
        job: JobId,
        reply: oneshot::Sender<Result<JobStatus>>,
    },
    List {
        reply: oneshot::Sender<Vec<JobStatus>>,
    },
    Watch {
        job: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<JobStatus>>>,
    },
    Cancel {
        job: JobId,
        reply: oneshot::Sender<Result<JobStatus>>,
    },
    Register {
        hello: WorkerHello,
        reply: oneshot::Sender<Result<WorkerId>>,
    },
    Lease {
        worker: WorkerId,
        free_memory: u64,
        reply: oneshot::Sender<Result<Option<Assignment>>>,
    },
    Heartbeat {
        worker: WorkerId,
        attempts: Vec<AttemptId>,
        bytes: Vec<u64>,
        reply: oneshot::Sender<Result<Vec<String>>>,
    },
    Report {
        worker: WorkerId,
        job: JobId,
        stage: StageId,
        task: TaskIndex,
        attempt: AttemptId,
        outcome: Outcome,
        reply: oneshot::Sender<Result<()>>,
    },
    Prune {
        rule: Rule,
        reply: oneshot::Sender<Result<Pruned>>,
    },
    Leave {
        worker: WorkerId,
    },
    /// The log holds what a report said.
    Appended {
        request: RequestId,
    },
    /// A job's log could not be written.
    LogFailed {
        job: JobId,
        error: Error,
    },
    /// A job is over, in the log as well where `logged`; what a failed one had written is gone.
    Settled {
        job: JobId,
        logged: bool,
    },
    /// A job's manifest is written, or could not be.
    Published {
        job: JobId,
        result: Result<()>,
    },
}

/// A lease and what to do with it.
pub(crate) struct Assignment {
    pub(crate) lease: Lease,
    pub(crate) operator: Operator,
}

/// What a worker says of itself.
pub(crate) struct WorkerHello {
    pub(crate) version: String,
    pub(crate) isa: String,
    pub(crate) host: String,
    pub(crate) memory: u64,
    /// Tells a process that was cut off from one that died.
    pub(crate) instance: String,
}

/// How to reach the engine.
#[derive(Clone, Debug)]
pub(crate) struct EngineHandle {
    commands: mpsc::UnboundedSender<Command>,
}

impl EngineHandle {
    pub(crate) fn new(commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { commands }
    }

    /// Sends a command that nobody answers.
    pub(crate) fn tell(&self, command: Command) {
        // Fails only when the engine has stopped, and then nobody needs to know.
        let _ = self.commands.send(command);
    }

    /// Sends a command and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::new(ErrorKind::Unavailable, "the coordinator is stopping");
        self.commands.send(command(reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
