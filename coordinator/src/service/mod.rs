//! The gRPC services: one file per call, each a translation to a command and back.

mod cancel_job;
mod get_job;
mod heartbeat;
mod lease_task;
mod leave;
mod list_jobs;
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

/// What people call.
pub(crate) struct Jobs {
    engine: EngineHandle,
}

/// What workers call.
pub(crate) struct Tasks {
    engine: EngineHandle,
    state_url: String,
    heartbeat_ms: u64,
    lease_ms: u64,
}

type Answer<T> = Result<Response<T>, Status>;
type StatusStream = Pin<Box<dyn Stream<Item = Result<pb::JobStatus, Status>> + Send>>;

impl Jobs {
    pub(crate) fn new(engine: EngineHandle) -> Self {
        Self { engine }
    }
}

impl Tasks {
    pub(crate) fn new(engine: EngineHandle, state_url: String, config: &CoordinatorConfig) -> Self {
        Self {
            engine,
            state_url,
            heartbeat_ms: config.heartbeat_ms,
            lease_ms: config.lease_ms,
        }
    }
}

fn answer<T>(result: rankmill_common::Result<T>) -> Answer<T> {
    result.map(Response::new).map_err(|error| to_status(&error))
}

#[tonic::async_trait]
impl JobService for Jobs {
    type WatchJobStream = StatusStream;

    async fn submit_job(
        &self,
        request: Request<pb::SubmitJobRequest>,
    ) -> Answer<pb::SubmitJobResponse> {
        answer(submit_job::call(&self.engine, request.into_inner()).await)
    }

    async fn get_job(&self, request: Request<pb::GetJobRequest>) -> Answer<pb::JobStatus> {
        answer(get_job::call(&self.engine, request.into_inner()).await)
    }

    async fn list_jobs(&self, _: Request<pb::ListJobsRequest>) -> Answer<pb::ListJobsResponse> {
        answer(list_jobs::call(&self.engine).await)
    }

    async fn watch_job(&self, request: Request<pb::WatchJobRequest>) -> Answer<StatusStream> {
        answer(watch_job::call(&self.engine, request.into_inner()).await)
    }

    async fn cancel_job(&self, request: Request<pb::CancelJobRequest>) -> Answer<pb::JobStatus> {
        answer(cancel_job::call(&self.engine, request.into_inner()).await)
    }
}

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Answer<pb::RegisterResponse> {
        answer(register::call(self, request.into_inner()).await)
    }

    async fn lease_task(
        &self,
        request: Request<pb::LeaseTaskRequest>,
    ) -> Answer<pb::LeaseTaskResponse> {
        answer(lease_task::call(&self.engine, request.into_inner()).await)
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Answer<pb::HeartbeatResponse> {
        answer(heartbeat::call(&self.engine, request.into_inner()).await)
    }

    async fn report_task(
        &self,
        request: Request<pb::ReportTaskRequest>,
    ) -> Answer<pb::ReportTaskResponse> {
        answer(report_task::call(&self.engine, request.into_inner()).await)
    }

    async fn leave(&self, request: Request<pb::LeaveRequest>) -> Answer<pb::LeaveResponse> {
        answer(leave::call(&self.engine, request.into_inner()))
    }
}
