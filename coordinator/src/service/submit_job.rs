//! `SubmitJob`: accepts a job, or finds the one that the same request made before.

use rankmill_common::Result;
use rankmill_proto::{convert, pb};

use crate::engine::{Command, EngineHandle};

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::SubmitJobRequest,
) -> Result<pb::SubmitJobResponse> {
    let submission = request.submission_id.clone();
    let spec = Box::new(convert::job_spec(request)?);
    let status = engine
        .ask(|reply| Command::Submit {
            spec,
            submission,
            reply,
        })
        .await??;
    Ok(pb::SubmitJobResponse {
        status: Some(status.into()),
    })
}
