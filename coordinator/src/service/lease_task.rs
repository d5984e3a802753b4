//! `LeaseTask`: a worker asks for a task and waits a while.

use rankmill_common::{Error, Result, WorkerId};
use rankmill_proto::pb;

use crate::engine::{Assignment, Command, EngineHandle};

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::LeaseTaskRequest,
) -> Result<pb::LeaseTaskResponse> {
    let assignment = engine
        .ask(|reply| Command::Lease {
            worker: WorkerId::new(request.worker_id),
            free_memory: request.free_memory,
            reply,
        })
        .await??;
    Ok(pb::LeaseTaskResponse {
        lease: assignment.map(lease).transpose()?,
    })
}

fn lease(assignment: Assignment) -> Result<pb::Lease> {
    let operator = serde_json::to_vec(&assignment.operator)
        .map_err(|e| Error::internal(format!("an operator cannot be encoded: {e}")))?;
    let lease = assignment.lease;
    Ok(pb::Lease {
        job_id: lease.job.to_string(),
        stage: lease.stage.0,
        task: lease.task.0,
        attempt_id: lease.attempt.to_string(),
        output_prefix: lease.output_prefix,
        operator,
    })
}
