//! `Register`: a worker joins; it learns where the state is and how often to call.

use rankmill_common::Result;
use rankmill_proto::pb;

use super::Tasks;
use crate::engine::{Command, EngineHandle, WorkerHello};

pub(super) async fn call(
    tasks: &Tasks,
    engine: &EngineHandle,
    request: pb::RegisterRequest,
) -> Result<pb::RegisterResponse> {
    let hello = WorkerHello {
        version: request.version,
        isa: request.isa,
        host: request.host,
        memory: request.memory,
        instance: request.instance,
    };
    let worker = engine
        .ask(|reply| Command::Register { hello, reply })
        .await??;
    Ok(pb::RegisterResponse {
        worker_id: worker.to_string(),
        state_url: tasks.state_url.clone(),
        heartbeat_ms: tasks.heartbeat_ms,
        lease_ms: tasks.lease_ms,
    })
}
