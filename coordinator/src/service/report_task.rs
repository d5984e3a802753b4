//! `ReportTask`: an attempt ended. Answered once the log holds what matters of it.

use rankmill_common::{AttemptId, Error, JobId, Result, StageId, TaskIndex, WorkerId};
use rankmill_proto::pb;
use rankmill_proto::pb::report_task_request::Outcome as Wire;

use crate::engine::{Command, EngineHandle};
use crate::log::TaskCost;
use crate::scheduler::Outcome;

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::ReportTaskRequest,
) -> Result<pb::ReportTaskResponse> {
    let cost = TaskCost {
        busy_ms: request.busy_ms,
        bytes_read: request.bytes_read,
        bytes_written: request.bytes_written,
    };
    let outcome = match request.outcome {
        Some(Wire::Report(bytes)) => Outcome::Done {
            report: Box::new(decode(&bytes)?),
            cost,
        },
        Some(Wire::Error(bytes)) => Outcome::Failed(decode(&bytes)?),
        None => return Err(Error::invalid_input("the report has no outcome")),
    };
    engine
        .ask(|reply| Command::Report {
            worker: WorkerId::new(request.worker_id),
            job: JobId::new(request.job_id),
            stage: StageId(request.stage),
            task: TaskIndex(request.task),
            attempt: AttemptId::new(request.attempt_id),
            outcome,
            reply,
        })
        .await??;
    Ok(pb::ReportTaskResponse {})
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::invalid_input(format!("the report cannot be read: {e}")))
}
