//! What the scheduler is told and what it answers.

use rankmill_common::operator::Report;
use rankmill_common::{AttemptId, Error, JobId, StageId, TaskIndex, WorkerId};

use crate::log::{Committed, JobEntry, TaskCost};

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker registered.
    WorkerJoined {
        /// Its id.
        worker: WorkerId,
        /// Its memory budget in bytes.
        memory: u64,
        /// The process behind it: the same where a worker that was cut off comes back.
        instance: String,
    },
    /// A worker said goodbye.
    WorkerLeft {
        /// Which.
        worker: WorkerId,
    },
    /// A worker asks for a task and waits.
    WorkRequested {
        /// The call.
        request: RequestId,
        /// Who asks.
        worker: WorkerId,
        /// What it can give to another task now, in bytes.
        free_memory: u64,
    },
    /// A worker is alive.
    Heartbeat {
        /// The call.
        request: RequestId,
        /// Who.
        worker: WorkerId,
        /// What it is running.
        attempts: Vec<AttemptId>,
        /// Bytes that each of these has moved so far.
        bytes: Vec<u64>,
    },
    /// An attempt ended.
    TaskReported {
        /// The call.
        request: RequestId,
        /// Who ran it.
        worker: WorkerId,
        /// Which job.
        job: JobId,
        /// Which stage.
        stage: StageId,
        /// Which task.
        task: TaskIndex,
        /// Which attempt.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
    },
    /// An algorithm asks for a stage.
    StageAsked {
        /// Which job.
        job: JobId,
        /// Which stage.
        stage: StageId,
        /// Folder below which attempts write.
        root: String,
        /// Its tasks.
        tasks: Vec<TaskPlan>,
        /// The most that a task of the stages behind it is known to need.
        foreseen: Option<Need>,
    },
    /// A job begins.
    JobAdded {
        /// Which.
        job: JobId,
    },
    /// A job has ended; its leases are void.
    JobEnded {
        /// Which.
        job: JobId,
    },
    /// Time has passed.
    Tick,
}

/// Memory that some task takes.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Name of its operator.
    pub name: &'static str,
    /// Bytes that it may hold at once.
    pub memory: u64,
}

/// A task as the algorithm plans it.
#[derive(Clone, Debug)]
pub struct TaskPlan {
    /// Name of its operator.
    pub name: &'static str,
    /// Bytes that it may hold at once.
    pub memory: u64,
    /// Its output, where the log holds it already.
    pub committed: Option<Committed>,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With an output.
    Done {
        /// What was made.
        report: Box<Report>,
        /// What it cost.
        cost: TaskCost,
    },
    /// With an error.
    Failed(Error),
}

/// The right to try a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which job.
    pub job: JobId,
    /// Which stage.
    pub stage: StageId,
    /// Which task.
    pub task: TaskIndex,
    /// The new attempt.
    pub attempt: AttemptId,
    /// Where it may write.
    pub output_prefix: String,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Answer a request for work.
    Grant {
        /// The call.
        request: RequestId,
        /// The task; none when the wait was in vain.
        lease: Option<Lease>,
    },
    /// Answer a heartbeat. An unknown worker must register again.
    Pulse {
        /// The call.
        request: RequestId,
        /// Attempts that nobody wants; none when the worker is not known.
        cancelled: Option<Vec<AttemptId>>,
    },
    /// Append to the job's log; answer the report once it is there.
    Commit {
        /// Which job.
        job: JobId,
        /// What to append.
        entry: JobEntry,
        /// The call.
        request: Option<RequestId>,
    },
    /// Answer a report that changes nothing.
    Acknowledge {
        /// The call.
        request: RequestId,
    },
    /// Wake the algorithm: the stage is complete.
    StageDone {
        /// Which job.
        job: JobId,
        /// Which stage.
        stage: StageId,
        /// What its tasks made, in task order.
        reports: Vec<Report>,
    },
    /// End the job with an error.
    FailJob {
        /// Which job.
        job: JobId,
        /// Why.
        error: Error,
    },
}
