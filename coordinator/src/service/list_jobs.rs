//! `ListJobs`: every job that this coordinator knows.

use rankmill_common::Result;
use rankmill_proto::pb;

use crate::engine::{Command, EngineHandle};

pub(super) async fn call(engine: &EngineHandle) -> Result<pb::ListJobsResponse> {
    let statuses = engine.ask(|reply| Command::List { reply }).await?;
    Ok(pb::ListJobsResponse {
        jobs: statuses.into_iter().map(Into::into).collect(),
    })
}
