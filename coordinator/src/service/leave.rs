//! `Leave`: a worker stops and gives its leases back.

use rankmill_common::{Result, WorkerId};
use rankmill_proto::pb;

use crate::engine::{Command, EngineHandle};

pub(super) fn call(engine: &EngineHandle, request: pb::LeaveRequest) -> Result<pb::LeaveResponse> {
    engine.tell(Command::Leave {
        worker: WorkerId::new(request.worker_id),
    });
    Ok(pb::LeaveResponse {})
}
