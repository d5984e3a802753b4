//! The gRPC services: one file per call, each a translation to a command and back.

mod cancel_job;
mod get_job;
mod heartbeat;
mod lease_task;
mod leave;
mod list_jobs;
mod prune_jobs;
mod register;
mod report_task;
mod submit_job;
mod watch_job;

use std::pin::Pin;

use futures::Stream;
use rankmill_proto::pb;
use rankmill_proto::pb::job_service_server::JobService;
use rankmill_proto::pb::task_service_server::TaskService;
use rankmill_proto::status::to_status;
use tonic::{Request, Response, Status};

use crate::config::CoordinatorConfig;
use crate::engine::EngineHandle;
use crate::seat::Seat;

/// What people call.
pub(crate) struct Jobs {
    seat: Seat,
}

/// What workers call.
pub(crate) struct Tasks {
    seat: Seat,
    state_url: String,
    heartbeat_ms: u64,
    lease_ms: u64,
}

type Answer<T> = Result<Response<T>, Status>;
type StatusStream = Pin<Box<dyn Stream<Item = Result<pb::JobStatus, Status>> + Send>>;

impl Jobs {
    pub(crate) fn new(seat: Seat) -> Self {
        Self { seat }
    }
}

impl Tasks {
    pub(crate) fn new(seat: Seat, state_url: String, config: &CoordinatorConfig) -> Self {
        Self {
            seat,
            state_url,
            heartbeat_ms: config.heartbeat_ms,
            lease_ms: config.lease_ms,
        }
    }
}

/// Answers a call from the engine, or says that there is none here.
async fn answer<T>(
    engine: impl Future<Output = rankmill_common::Result<EngineHandle>>,
    call: impl AsyncFnOnce(EngineHandle) -> rankmill_common::Result<T>,
) -> Answer<T> {
    let result = match engine.await {
        Ok(engine) => call(engine).await,
        Err(error) => Err(error),
    };
    result.map(Response::new).map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl JobService for Jobs {
    type WatchJobStream = StatusStream;

    async fn submit_job(
        &self,
        request: Request<pb::SubmitJobRequest>,
    ) -> Answer<pb::SubmitJobResponse> {
        let call = async |engine| submit_job::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn get_job(&self, request: Request<pb::GetJobRequest>) -> Answer<pb::JobStatus> {
        let call = async |engine| get_job::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn list_jobs(&self, _: Request<pb::ListJobsRequest>) -> Answer<pb::ListJobsResponse> {
        answer(self.seat.engine(), async |engine| {
            list_jobs::call(&engine).await
        })
        .await
    }

    async fn watch_job(&self, request: Request<pb::WatchJobRequest>) -> Answer<StatusStream> {
        let call = async |engine| watch_job::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn prune_jobs(
        &self,
        request: Request<pb::PruneJobsRequest>,
    ) -> Answer<pb::PruneJobsResponse> {
        let call = async |engine| prune_jobs::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn cancel_job(&self, request: Request<pb::CancelJobRequest>) -> Answer<pb::JobStatus> {
        let call = async |engine| cancel_job::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }
}

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Answer<pb::RegisterResponse> {
        let call = async |engine| register::call(self, &engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn lease_task(
        &self,
        request: Request<pb::LeaseTaskRequest>,
    ) -> Answer<pb::LeaseTaskResponse> {
        let call = async |engine| lease_task::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Answer<pb::HeartbeatResponse> {
        let call = async |engine| heartbeat::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn report_task(
        &self,
        request: Request<pb::ReportTaskRequest>,
    ) -> Answer<pb::ReportTaskResponse> {
        let call = async |engine| report_task::call(&engine, request.into_inner()).await;
        answer(self.seat.engine(), call).await
    }

    async fn leave(&self, request: Request<pb::LeaveRequest>) -> Answer<pb::LeaveResponse> {
        let call = async |engine| leave::call(&engine, request.into_inner());
        answer(self.seat.engine(), call).await
    }
}
