//! The job API of a coordinator, as the command line uses it.
//!
//! The same client talks to a coordinator far away and to the one inside this process.

use std::time::Duration;

use rankmill_common::job::JobSpec;
use rankmill_common::status::JobStatus;
use rankmill_common::{Error, ErrorKind, JobId, Result};
use rankmill_proto::pb;
use rankmill_proto::pb::job_service_client::JobServiceClient;
use rankmill_proto::status::from_status;
use rankmill_proto::{MAX_MESSAGE_BYTES, convert};
use tonic::transport::{Channel, Endpoint};

use crate::progress::Progress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many times a submission is tried before the coordinator counts as out of reach.
const SUBMIT_TRIES: u32 = 5;

/// A client of one coordinator.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    jobs: JobServiceClient<Channel>,
}

impl Client {
    pub(crate) fn new(channel: Channel) -> Self {
        let jobs = JobServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Self { jobs }
    }

    /// Submits `spec`; the same request finds the same job.
    pub(crate) async fn submit(&self, spec: &JobSpec) -> Result<JobStatus> {
        let request = convert::submission(spec.clone());
        let response = self.jobs.clone().submit_job(request).await;
        let status = response.map_err(|e| failed(&e))?.into_inner().status;
        let missing = || Error::internal("the coordinator's answer has no status");
        status.ok_or_else(missing)?.try_into()
    }

    /// Submits `spec`, with patience for a coordinator that is just restarting.
    pub(crate) async fn submit_patiently(&self, spec: &JobSpec) -> Result<JobStatus> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..SUBMIT_TRIES {
            match self.submit(spec).await {
                Err(error) if is_away(&error) => {}
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
        self.submit(spec).await
    }

    pub(crate) async fn get(&self, id: &JobId) -> Result<JobStatus> {
        let request = pb::GetJobRequest {
            job_id: id.to_string(),
        };
        let response = self.jobs.clone().get_job(request).await;
        response.map_err(|e| failed(&e))?.into_inner().try_into()
    }

    pub(crate) async fn list(&self) -> Result<Vec<JobStatus>> {
        let response = self.jobs.clone().list_jobs(pb::ListJobsRequest {}).await;
        let jobs = response.map_err(|e| failed(&e))?.into_inner().jobs;
        jobs.into_iter().map(JobStatus::try_from).collect()
    }

    pub(crate) async fn cancel(&self, id: &JobId) -> Result<JobStatus> {
        let request = pb::CancelJobRequest {
            job_id: id.to_string(),
        };
        let response = self.jobs.clone().cancel_job(request).await;
        response.map_err(|e| failed(&e))?.into_inner().try_into()
    }

    /// Shows the job's progress until it ends or the connection does.
    pub(crate) async fn watch(&self, id: &JobId, progress: &mut Progress) -> Result<JobStatus> {
        let request = pb::WatchJobRequest {
            job_id: id.to_string(),
        };
        let response = self.jobs.clone().watch_job(request).await;
        let mut stream = response.map_err(|e| failed(&e))?.into_inner();
        while let Some(message) = stream.message().await.map_err(|e| failed(&e))? {
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
                (ErrorKind::NotFound, Some(spec)) => {
                    self.submit_patiently(spec).await?;
                }
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

/// A connection to the coordinator at `url`, made when it is first used.
///
/// # Errors
///
/// `InvalidInput` for a URL that is not `http://host:port`.
pub(crate) fn dial(url: &str) -> Result<Channel> {
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
fn failed(status: &tonic::Status) -> Error {
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
