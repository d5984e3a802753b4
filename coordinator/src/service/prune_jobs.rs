//! `PruneJobs`: removes what nobody needs any more from the state store.

use std::time::Duration;

use rankmill_common::Result;
use rankmill_proto::pb;

use crate::engine::{Command, EngineHandle};
use crate::prune::Rule;

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::PruneJobsRequest,
) -> Result<pb::PruneJobsResponse> {
    let rule = Rule {
        unused_for: Duration::from_secs(request.unused_for_seconds),
        dry_run: request.dry_run,
    };
    let pruned = engine.ask(|reply| Command::Prune { rule, reply }).await??;
    Ok(pb::PruneJobsResponse {
        jobs: pruned.jobs,
        matrices: pruned.matrices,
        objects: pruned.objects,
        bytes: pruned.bytes,
        running: pruned.running,
    })
}
