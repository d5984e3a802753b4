//! Entries of a job's log: the truth about the job.
//!
//! The coordinator appends them by create-if-absent and replays them after a restart. One
//! versioned encoding: all processes of a cluster are of one version.

use serde::{Deserialize, Serialize};

use crate::job::JobSpec;
use crate::manifest::Manifest;
use crate::operator::Report;
use crate::{AttemptId, Digest, Epoch, Error, JobId, StageId, TaskIndex, WorkerId};

/// Version of the encoding of slots and entries.
pub const LOG_VERSION: u32 = 1;

/// What one slot of the log holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// [`LOG_VERSION`] of the writer.
    pub version: u32,
    /// Term of the coordinator that wrote it.
    pub epoch: Epoch,
    /// Unique to this write: tells its own bytes from another's after an ambiguous answer.
    pub nonce: String,
    /// Digest of the slot before; absent in the first.
    pub previous: Option<Digest>,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The job was accepted.
    JobCreated {
        /// Its id.
        job: JobId,
        /// What was asked.
        spec: Box<JobSpec>,
        /// Milliseconds since 1970, for people.
        at_ms: u64,
    },
    /// A coordinator took over; older epochs are fenced from here on.
    EpochStarted {
        /// Its term.
        epoch: Epoch,
    },
    /// The algorithm asked for a stage.
    StageStarted {
        /// Place in call order.
        stage: StageId,
        /// Digest of operators, parameters and inputs: a replay must ask for the same.
        identity: Digest,
        /// Name, for people.
        name: String,
        /// Number of tasks.
        tasks: u32,
    },
    /// A task's output counts; all other attempts at it are void.
    TaskCommitted {
        /// Stage.
        stage: StageId,
        /// Task.
        task: TaskIndex,
        /// The attempt whose output counts.
        attempt: AttemptId,
        /// Who ran it.
        worker: WorkerId,
        /// What it made.
        report: Box<Report>,
        /// What it cost.
        cost: TaskCost,
    },
    /// A committed output was found lost; its task runs again.
    OutputLost {
        /// Stage.
        stage: StageId,
        /// Task.
        task: TaskIndex,
    },
    /// The result is complete: the manifest as it is (to be) written.
    ResultCommitted {
        /// The manifest.
        manifest: Box<Manifest>,
    },
    /// The job ended well.
    JobSucceeded,
    /// The job ended with an error.
    JobFailed {
        /// Why.
        error: Error,
    },
    /// The job was cancelled on request.
    JobCancelled,
}

/// What a task cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCost {
    /// Running time.
    pub busy_ms: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes written to the store.
    pub bytes_written: u64,
}
