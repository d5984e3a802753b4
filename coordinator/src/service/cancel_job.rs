//! `CancelJob`: ends a job; what it wrote stays invisible.

use rankmill_common::{JobId, Result};
use rankmill_proto::pb;

use crate::engine::{Command, EngineHandle};

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::CancelJobRequest,
) -> Result<pb::JobStatus> {
    let job = JobId::new(request.job_id);
    let status = engine.ask(|reply| Command::Cancel { job, reply }).await??;
    Ok(status.into())
}
