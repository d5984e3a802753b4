//! `Heartbeat`: a worker is alive; it learns which attempts nobody wants.

use rankmill_common::{AttemptId, Result, WorkerId};
use rankmill_proto::pb;

use crate::engine::{Command, EngineHandle};

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::HeartbeatRequest,
) -> Result<pb::HeartbeatResponse> {
    let cancelled = engine
        .ask(|reply| Command::Heartbeat {
            worker: WorkerId::new(request.worker_id),
            attempts: request.attempts.into_iter().map(AttemptId::new).collect(),
            bytes: request.bytes,
            reply,
        })
        .await??;
    Ok(pb::HeartbeatResponse { cancelled })
}
