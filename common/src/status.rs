//! What the outside may know of a job.

use serde::{Deserialize, Serialize};

use crate::{Error, JobId};

/// The state of a job.
///
/// ```text
/// Queued ──► Running ──► Succeeded
///    │          ├──────► Failed
///    └──────────┴──────► Cancelled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted; waits for other jobs.
    Queued,
    /// Stages run.
    Running,
    /// The manifest is written.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// It was cancelled on request.
    Cancelled,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The state as one lowercase word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job as seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Which job.
    pub id: JobId,
    /// Kind of job.
    pub kind: String,
    /// Its state.
    pub state: JobState,
    /// Where the result goes.
    pub output: String,
    /// The stage that runs.
    pub progress: Option<Progress>,
    /// Why it failed.
    pub error: Option<Error>,
    /// Registered workers.
    pub workers: u32,
}

/// How far the running stage is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Stages that the job has asked for so far.
    pub stage: u32,
    /// Name of the stage.
    pub name: String,
    /// Tasks of the stage.
    pub tasks: u32,
    /// Tasks that are committed.
    pub done: u32,
    /// Bytes read and written by the job so far.
    pub bytes: u64,
    /// What the algorithm says of itself, e.g. the change of the last step.
    pub note: String,
}
