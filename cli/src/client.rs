//! The job API of a coordinator, as the command line uses it.
//!
//! The same client talks to a coordinator far away and to the one inside this process.

use std::time::Duration;

use rankmill_common::job::JobSpec;
use rankmill_common::status::JobStatus;
use rankmill_common::{Error, ErrorKind, JobId, Result};
use rankmill_coordinator::prune::{Pruned, Rule};
use rankmill_proto::pb;
use rankmill_proto::pb::job_service_client::JobServiceClient;
use rankmill_proto::status::from_status;
use rankmill_proto::{Coordinators, MAX_MESSAGE_BYTES, convert};
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::progress::Progress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many times a question is asked before the coordinators count as out of reach.
const TRIES: u32 = 5;
/// How many times a job is submitted before: half a minute, longer than a standby takes to take
/// over, so that a nightly job does not fail of a failover.
const SUBMISSIONS: u32 = 11;

/// A client of a cluster's coordinators.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    coordinators: Coordinators,
    /// Names this command's submission in every repetition of it.
    submission_id: String,
}

type Jobs = JobServiceClient<Channel>;

impl Client {
    pub(crate) fn new(coordinators: impl Into<Coordinators>) -> Self {
        Self {
            coordinators: coordinators.into(),
            submission_id: uuid::Uuid::new_v4().to_string(),
        }
    }

    /// Submits `spec`; the same request finds the same job.
    pub(crate) async fn submit(&self, spec: &JobSpec) -> Result<JobStatus> {
        let request = convert::submission(spec.clone(), self.submission_id.clone());
        let call = async |mut jobs: Jobs| jobs.submit_job(request).await;
        let status = self.call(call).await?.status;
        let missing = || Error::internal("the coordinator's answer has no status");
        status.ok_or_else(missing)?.try_into()
    }

    /// Submits `spec`, with patience for a coordinator that is just restarting or being replaced.
    pub(crate) async fn submit_patiently(
        &self,
        spec: &JobSpec,
        progress: &mut Progress,
    ) -> Result<JobStatus> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..SUBMISSIONS {
            match self.submit(spec).await {
                Err(error) if is_away(&error) => progress.lost(&error),
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
        self.submit(spec).await
    }

    pub(crate) async fn get(&self, id: &JobId) -> Result<JobStatus> {
        patiently(async || {
            let request = pb::GetJobRequest {
                job_id: id.to_string(),
            };
            let call = async |mut jobs: Jobs| jobs.get_job(request).await;
            self.call(call).await?.try_into()
        })
        .await
    }

    pub(crate) async fn list(&self) -> Result<Vec<JobStatus>> {
        patiently(async || {
            let call = async |mut jobs: Jobs| jobs.list_jobs(pb::ListJobsRequest {}).await;
            let jobs = self.call(call).await?.jobs;
            jobs.into_iter().map(JobStatus::try_from).collect()
        })
        .await
    }

    pub(crate) async fn cancel(&self, id: &JobId) -> Result<JobStatus> {
        patiently(async || {
            let request = pb::CancelJobRequest {
                job_id: id.to_string(),
            };
            let call = async |mut jobs: Jobs| jobs.cancel_job(request).await;
            self.call(call).await?.try_into()
        })
        .await
    }

    pub(crate) async fn prune(&self, rule: Rule) -> Result<Pruned> {
        let request = pb::PruneJobsRequest {
            unused_for_seconds: rule.unused_for.as_secs(),
            dry_run: rule.dry_run,
        };
        let call = async |mut jobs: Jobs| jobs.prune_jobs(request).await;
        let answer = self.call(call).await?;
        Ok(Pruned {
            jobs: answer.jobs,
            matrices: answer.matrices,
            objects: answer.objects,
            bytes: answer.bytes,
            running: answer.running,
        })
    }

    /// Shows the job's progress until it ends or the connection does.
    pub(crate) async fn watch(&self, id: &JobId, progress: &mut Progress) -> Result<JobStatus> {
        let request = pb::WatchJobRequest {
            job_id: id.to_string(),
        };
        let (_, watched) = self.coordinators.current();
        let call = async |mut jobs: Jobs| jobs.watch_job(request).await;
        let mut stream = self.call(call).await?;
        loop {
            let message = match stream.message().await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(status) => {
                    let error = failed(&status);
                    if is_away(&error) {
                        // Frozen, or cut off: it would not answer the next call either.
                        self.coordinators.turn_from(watched);
                    }
                    return Err(error);
                }
            };
            let status = JobStatus::try_from(message)?;
            progress.show(&status);
            if status.state.is_terminal() {
                return Ok(status);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("the coordinator closed its report on job {id}"),
        ))
    }

    /// One call to the coordinator in use; where that one is away or does not lead, the next call
    /// goes to another.
    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(Jobs) -> Result<Response<T>, Status>,
    ) -> Result<T> {
        let (channel, tried) = self.coordinators.current();
        let jobs = JobServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let error = match call(jobs).await {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => failed(&status),
        };
        if is_away(&error) {
            self.coordinators.turn_from(tried);
        }
        Err(error)
    }

    /// As [`Self::watch`], but comes back when the coordinator does. A coordinator that has lost
    /// the job gets it again from `spec`, where there is one.
    pub(crate) async fn watch_through_restarts(
        &self,
        id: &JobId,
        spec: Option<&JobSpec>,
        progress: &mut Progress,
    ) -> Result<JobStatus> {
        let mut pause = FIRST_PAUSE;
        loop {
            let seen = progress.updates();
            let error = match self.watch(id, progress).await {
                Ok(status) => return Ok(status),
                Err(error) => error,
            };
            match (error.kind, spec) {
                (ErrorKind::NotFound, Some(spec)) => match self.submit(spec).await {
                    Ok(_) => {}
                    Err(error) if is_away(&error) => progress.lost(&error),
                    Err(error) => return Err(error),
                },
                _ if is_away(&error) => progress.lost(&error),
                _ => return Err(error),
            }
            if progress.updates() > seen {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
    }
}

/// Asks again while no coordinator leads, a bounded number of times.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if is_away(&error) => {}
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause = longer(pause);
    }
    ask().await
}

/// Connections to the coordinators at `urls`, one or several separated by commas, made when they
/// are first used.
///
/// # Errors
///
/// `InvalidInput` for a URL that is not `http://host:port`.
pub(crate) fn dial(urls: &str) -> Result<Coordinators> {
    let channels: Result<Vec<_>> = urls.split(',').map(|url| dial_one(url.trim())).collect();
    Ok(Coordinators::new(channels?))
}

/// A connection to one coordinator.
pub(crate) fn dial_one(url: &str) -> Result<Channel> {
    let url = url.trim_end_matches('/');
    if url.starts_with("https://") {
        return Err(Error::invalid_input(format!(
            "{url}: the coordinator does not speak TLS yet; use http:// within a private network"
        )));
    }
    if !url.starts_with("http://") {
        return Err(Error::invalid_input(format!(
            "{url:?} is no coordinator: write http://host:7070"
        )));
    }
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|e| Error::invalid_input(format!("{url:?} is no URL: {e}")))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}

/// The error behind a call's status. One that did not come from the coordinator but from the
/// connection to it (tonic then keeps its source) means that the coordinator is out of reach,
/// whatever HTTP/2 calls it.
fn failed(status: &Status) -> Error {
    let error = from_status(status);
    match std::error::Error::source(status) {
        Some(_) => Error::new(ErrorKind::Unavailable, error.message),
        None => error,
    }
}

/// Says which coordinator did not answer.
pub(crate) fn name_coordinator(error: Error, url: &str) -> Error {
    if error.kind == ErrorKind::Unavailable {
        error.context(format!("the coordinator {url} does not answer"))
    } else {
        error
    }
}

/// Whether the coordinator may come back. One that was overtaken will be replaced by its heir.
fn is_away(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Unavailable | ErrorKind::Fenced => true,
        ErrorKind::InvalidInput
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::ResourceExhausted
        | ErrorKind::InputLost
        | ErrorKind::Cancelled
        | ErrorKind::NotConverged
        | ErrorKind::Internal => false,
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_plain_http_is_dialled() {
        assert!(dial("http://127.0.0.1:7070/").is_ok());
        for (url, part) in [
            ("https://host:7070", "TLS"),
            ("host:7070", "http://host:7070"),
        ] {
            let error = dial(url).expect_err(url);
            assert!(error.message.contains(part), "{error}");
        }
    }
}
