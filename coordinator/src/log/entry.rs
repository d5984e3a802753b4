//! What the logs hold: one enum for jobs, one for the cluster.
//!
//! One versioned encoding: all processes of a cluster are of one version.

use rankmill_common::job::JobSpec;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::Report;
use rankmill_common::{AttemptId, Digest, Epoch, Error, JobId, StageId, TaskIndex, WorkerId};
use serde::{Deserialize, Serialize};

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum JobEntry {
    /// The job was accepted.
    JobCreated {
        /// Its id.
        job: JobId,
        /// What was asked.
        spec: Box<JobSpec>,
        /// What the caller named the submission; empty if nothing.
        submission: String,
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
        /// Digest of name, operators, parameters and inputs: a replay must ask for the same.
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
        /// Where its objects lie.
        output_prefix: String,
        /// What it made.
        report: Box<Report>,
        /// What it cost.
        cost: TaskCost,
    },
    /// Nothing later reads these objects: from here on they may be gone.
    ObjectsReleased {
        /// Their keys.
        objects: Vec<String>,
    },
    /// The result is complete: the manifest as it is, or is to be, written.
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

/// Something that happened to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum ClusterEntry {
    /// A coordinator took over.
    EpochStarted {
        /// Its term.
        epoch: Epoch,
    },
    /// A job was accepted; its own log says the rest.
    JobAccepted {
        /// Which job.
        job: JobId,
    },
}
