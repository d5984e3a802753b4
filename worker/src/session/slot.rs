//! One slot of a worker: ask for a task, run it, report it, ask again.
//!
//! A slot never drops a finished result on its own account: it reports until the coordinator
//! answers, and gives up only where the coordinator says that nobody wants it.

use std::sync::Arc;
use std::time::Duration;

use rankmill_common::operator::Operator;
use rankmill_common::{Error, Result};
use rankmill_proto::pb::report_task_request::Outcome as WireOutcome;
use rankmill_proto::pb::{Lease, LeaseTaskRequest, ReportTaskRequest};
use tokio::sync::watch;

use super::backoff::Backoff;
use super::coordinator::Failure;
use super::{Phase, Session};
use crate::executor::{Outcome, Task};

/// The least time between two questions that brought no task.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Runs tasks until the session drains or the coordinator no longer knows this worker.
pub(super) async fn run(session: Arc<Session>, mut phase: watch::Receiver<Phase>) {
    let mut backoff = Backoff::new(LONGEST_PAUSE);
    loop {
        let polled = tokio::select! {
            biased;
            () = draining(&mut phase) => return,
            polled = poll(&session, &mut backoff) => polled,
        };
        match polled {
            Ok(Some(lease)) => work(&session, lease).await,
            Ok(None) => {}
            Err(Forgotten) => return,
        }
    }
}

/// The coordinator does not know this worker.
struct Forgotten;

async fn poll(session: &Session, backoff: &mut Backoff) -> Result<Option<Lease>, Forgotten> {
    let request = LeaseTaskRequest {
        worker_id: session.worker_id.clone(),
        free_memory: session.executor.free_memory(&session.objects),
    };
    match session.coordinator.lease_task(request).await {
        Ok(lease) => {
            backoff.reset();
            if lease.is_none() {
                session.objects.open_blocks().close_idle();
                tokio::time::sleep(PAUSE).await;
            }
            Ok(lease)
        }
        Err(Failure::Unknown) => Err(Forgotten),
        Err(Failure::Fenced) => {
            backoff.pause().await;
            Ok(None)
        }
        Err(Failure::Refused(error) | Failure::Unreachable(error)) => {
            tracing::debug!(%error, "no answer to a request for work");
            backoff.pause().await;
            Ok(None)
        }
    }
}

async fn draining(phase: &mut watch::Receiver<Phase>) {
    // An error means that the session is gone, which ends the slot as well.
    let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
}

async fn work(session: &Session, lease: Lease) {
    let attempt = session.attempts.start(lease.attempt_id.clone());
    let outcome = match decode(&lease) {
        Ok(operator) => {
            let task = Task {
                operator,
                output_prefix: lease.output_prefix.clone(),
                objects: session.objects.clone(),
                cancellation: attempt.cancellation().clone(),
                counters: Arc::clone(attempt.counters()),
            };
            session.executor.execute(task).await
        }
        Err(error) => Outcome::failed(error),
    };
    if attempt.cancellation().is_cancelled() {
        tracing::debug!(attempt = lease.attempt_id, "dropped a cancelled attempt");
        return;
    }
    let report = message(&session.worker_id, lease, outcome);
    tokio::select! {
        () = report_until_answered(session, report) => {}
        () = attempt.cancellation().cancelled() => {}
    }
}

fn decode(lease: &Lease) -> Result<Operator> {
    serde_json::from_slice(&lease.operator)
        .map_err(|e| Error::internal(format!("cannot read the operator of a task: {e}")))
}

fn message(worker_id: &str, lease: Lease, outcome: Outcome) -> ReportTaskRequest {
    let encoded = outcome.result.and_then(|report| {
        serde_json::to_vec(&report)
            .map_err(|e| Error::internal(format!("cannot write the report of a task: {e}")))
    });
    let outcome_on_wire = match encoded {
        Ok(report) => WireOutcome::Report(report),
        Err(error) => {
            tracing::warn!(
                job = lease.job_id,
                stage = lease.stage,
                task = lease.task,
                kind = error.kind.as_str(),
                %error,
                "a task failed"
            );
            WireOutcome::Error(encode_error(&error))
        }
    };
    ReportTaskRequest {
        worker_id: worker_id.to_owned(),
        job_id: lease.job_id,
        stage: lease.stage,
        task: lease.task,
        attempt_id: lease.attempt_id,
        outcome: Some(outcome_on_wire),
        busy_ms: outcome.busy_ms,
        bytes_read: outcome.bytes_read,
        bytes_written: outcome.bytes_written,
    }
}

/// Text and enums only: there is nothing in it that JSON cannot hold.
fn encode_error(error: &Error) -> Vec<u8> {
    serde_json::to_vec(error).unwrap_or_default()
}

async fn report_until_answered(session: &Session, report: ReportTaskRequest) {
    let mut backoff = Backoff::new(LONGEST_PAUSE);
    loop {
        match session.coordinator.report_task(report.clone()).await {
            Ok(()) => return,
            Err(Failure::Unknown | Failure::Fenced) => {
                tracing::info!(
                    attempt = report.attempt_id,
                    "the coordinator no longer wants this attempt"
                );
                return;
            }
            Err(Failure::Refused(error)) => {
                tracing::error!(attempt = report.attempt_id, %error, "a report was refused");
                return;
            }
            Err(Failure::Unreachable(error)) => {
                tracing::debug!(%error, "no answer to a report");
                backoff.pause().await;
            }
        }
    }
}
