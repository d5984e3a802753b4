//! `WatchJob`: the status at every change, the terminal one last.

use futures::StreamExt;
use rankmill_common::{JobId, Result};
use rankmill_proto::pb;
use tokio_stream::wrappers::WatchStream;

use super::StatusStream;
use crate::engine::{Command, EngineHandle};

pub(super) async fn call(
    engine: &EngineHandle,
    request: pb::WatchJobRequest,
) -> Result<StatusStream> {
    let job = JobId::new(request.job_id);
    let changes = engine.ask(|reply| Command::Watch { job, reply }).await??;
    let mut ended = false;
    let statuses = WatchStream::new(changes).take_while(move |status| {
        let last = std::mem::replace(&mut ended, status.state.is_terminal());
        futures::future::ready(!last)
    });
    Ok(Box::pin(statuses.map(|status| Ok(status.into()))))
}
