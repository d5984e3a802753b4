//! The coordinator as a worker sees it: five calls, each with a time limit, and what a refusal
//! means for the worker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rankmill_common::Error;
use rankmill_proto::pb::task_service_client::TaskServiceClient;
use rankmill_proto::pb::{
    HeartbeatRequest, HeartbeatResponse, Lease, LeaseTaskRequest, LeaveRequest, RegisterRequest,
    RegisterResponse, ReportTaskRequest,
};
use rankmill_proto::{Coordinators, MAX_MESSAGE_BYTES, status};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

type Client = TaskServiceClient<Channel>;

/// How long an answer to a short call may take.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer to a heartbeat may take: several must fit before the worker fences itself.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

/// How long the coordinator may let a worker wait for work.
const POLL_LIMIT: Duration = Duration::from_secs(60);

/// How long a goodbye may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The coordinator does not know this worker, or no longer wants this attempt.
    Unknown,
    /// The coordinator has lost its office to another.
    Fenced,
    /// The coordinator will never agree: another version, or no right to ask.
    Refused(Error),
    /// No answer, or none that counts; ask again.
    Unreachable(Error),
}

/// The coordinator that leads, as far as is known. Clones share the knowledge.
#[derive(Clone, Debug)]
pub(super) struct Coordinator {
    coordinators: Coordinators,
    last_answer: Arc<Mutex<Instant>>,
}

impl Coordinator {
    pub(super) fn new(coordinators: Coordinators) -> Self {
        Self {
            coordinators,
            last_answer: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Time since the coordinator last answered.
    pub(super) fn silence(&self) -> Duration {
        let last = self
            .last_answer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }

    pub(super) async fn register(
        &self,
        request: RegisterRequest,
    ) -> Result<RegisterResponse, Failure> {
        let call = async |mut client: Client| client.register(request).await;
        self.call(CALL_LIMIT, call).await
    }

    pub(super) async fn lease_task(
        &self,
        request: LeaseTaskRequest,
    ) -> Result<Option<Lease>, Failure> {
        let call = async |mut client: Client| client.lease_task(request).await;
        Ok(self.call(POLL_LIMIT, call).await?.lease)
    }

    pub(super) async fn heartbeat(
        &self,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, Failure> {
        let call = async |mut client: Client| client.heartbeat(request).await;
        self.call(HEARTBEAT_LIMIT, call).await
    }

    pub(super) async fn report_task(&self, request: ReportTaskRequest) -> Result<(), Failure> {
        let call = async |mut client: Client| client.report_task(request).await;
        self.call(CALL_LIMIT, call).await?;
        Ok(())
    }

    pub(super) async fn leave(&self, worker_id: String) -> Result<(), Failure> {
        let request = LeaveRequest { worker_id };
        let call = async |mut client: Client| client.leave(request).await;
        self.call(LEAVE_LIMIT, call).await?;
        Ok(())
    }

    /// One call to the coordinator of the last answer; where it does not lead or does not answer,
    /// the next call goes to another.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let (channel, tried) = self.coordinators.current();
        let client = TaskServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let timed_out = |_| Status::deadline_exceeded("the coordinator did not answer in time");
        let answer = tokio::time::timeout(limit, call(client))
            .await
            .map_err(timed_out)
            .flatten();
        let failure = match answer {
            Ok(response) => {
                let mut last = self
                    .last_answer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *last = Instant::now();
                return Ok(response.into_inner());
            }
            Err(status) => Failure::of(&status),
        };
        if matches!(failure, Failure::Fenced | Failure::Unreachable(_)) {
            self.coordinators.turn_from(tried);
        }
        Err(failure)
    }
}

impl Failure {
    /// Connections that break surface under many codes; only those count as a refusal that a
    /// server must have chosen.
    fn of(refusal: &Status) -> Self {
        let error = status::from_status(refusal);
        match refusal.code() {
            Code::NotFound => Self::Unknown,
            Code::FailedPrecondition => Self::Fenced,
            Code::InvalidArgument
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::Refused(error),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Unreachable(error),
        }
    }
}
