//! `JobStatus` ↔ [`JobStatus`].

use rankmill_common::status::{JobState, JobStatus, Progress};
use rankmill_common::{Error, ErrorKind, JobId, Result};

use crate::pb;
use crate::status::parse_kind;

impl From<JobStatus> for pb::JobStatus {
    fn from(status: JobStatus) -> Self {
        Self {
            job_id: status.id.to_string(),
            kind: status.kind,
            state: wire_state(status.state).into(),
            output: status.output,
            progress: status.progress.map(Into::into),
            error: status.error.map(Into::into),
            workers: status.workers,
        }
    }
}

impl TryFrom<pb::JobStatus> for JobStatus {
    type Error = Error;

    fn try_from(wire: pb::JobStatus) -> Result<Self> {
        Ok(Self {
            state: state(wire.state())?,
            id: JobId::new(wire.job_id),
            kind: wire.kind,
            output: wire.output,
            progress: wire.progress.map(Into::into),
            error: wire.error.map(Into::into),
            workers: wire.workers,
        })
    }
}

impl From<Progress> for pb::Progress {
    fn from(progress: Progress) -> Self {
        Self {
            stage: progress.stage,
            name: progress.name,
            tasks: progress.tasks,
            done: progress.done,
            bytes: progress.bytes,
            note: progress.note,
        }
    }
}

impl From<pb::Progress> for Progress {
    fn from(wire: pb::Progress) -> Self {
        Self {
            stage: wire.stage,
            name: wire.name,
            tasks: wire.tasks,
            done: wire.done,
            bytes: wire.bytes,
            note: wire.note,
        }
    }
}

impl From<Error> for pb::Error {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind.as_str().to_owned(),
            message: error.message,
            lost_key: error.lost_key,
        }
    }
}

impl From<pb::Error> for Error {
    fn from(wire: pb::Error) -> Self {
        Self {
            kind: parse_kind(&wire.kind).unwrap_or(ErrorKind::Internal),
            message: wire.message,
            lost_key: wire.lost_key,
        }
    }
}

fn state(wire: pb::JobState) -> Result<JobState> {
    match wire {
        pb::JobState::Unspecified => Err(Error::internal("a job status without a state")),
        pb::JobState::Queued => Ok(JobState::Queued),
        pb::JobState::Running => Ok(JobState::Running),
        pb::JobState::Succeeded => Ok(JobState::Succeeded),
        pb::JobState::Failed => Ok(JobState::Failed),
        pb::JobState::Cancelled => Ok(JobState::Cancelled),
    }
}

fn wire_state(state: JobState) -> pb::JobState {
    match state {
        JobState::Queued => pb::JobState::Queued,
        JobState::Running => pb::JobState::Running,
        JobState::Succeeded => pb::JobState::Succeeded,
        JobState::Failed => pb::JobState::Failed,
        JobState::Cancelled => pb::JobState::Cancelled,
    }
}
