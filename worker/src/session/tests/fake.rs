//! A coordinator that hands out what it is given and misbehaves on request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rankmill_common::operator::{Operator, SmallFactorization};
use rankmill_proto::pb::task_service_server::{TaskService, TaskServiceServer};
use rankmill_proto::pb::{
    HeartbeatRequest, HeartbeatResponse, Lease, LeaseTaskRequest, LeaseTaskResponse, LeaveRequest,
    LeaveResponse, RegisterRequest, RegisterResponse, ReportTaskRequest, ReportTaskResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[derive(Clone, Default)]
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) state_url: String,
    /// Tasks to hand out.
    pub(super) queue: VecDeque<Lease>,
    /// Every report that arrived, repetitions included.
    pub(super) reports: Vec<ReportTaskRequest>,
    /// Every registration.
    pub(super) registrations: Vec<RegisterRequest>,
    /// The worker that is known.
    pub(super) worker: Option<String>,
    /// Workers that said goodbye, and how many reports had arrived by then.
    pub(super) left: Vec<(String, usize)>,
    /// Attempts of the last heartbeat.
    pub(super) running: Vec<String>,
    /// Attempts to cancel.
    pub(super) cancel: Vec<String>,
    /// How many acknowledgements to lose.
    pub(super) lose_acks: usize,
    /// Whether calls other than Register fail.
    pub(super) silent: bool,
    /// Whether registrations are refused.
    pub(super) refuse: bool,
}

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds this")
    }

    /// Adds a task that makes diag(1, …, `order`).
    pub(super) fn push(&self, attempt: &str, order: u32) {
        let values = (1..=order).map(f64::from).collect();
        let operator = Operator::SmallFactorization(SmallFactorization::Diagonal { values });
        let operator = serde_json::to_vec(&operator).expect("an operator is plain data");
        self.push_encoded(attempt, operator);
    }

    pub(super) fn push_encoded(&self, attempt: &str, operator: Vec<u8>) {
        self.state().queue.push_back(Lease {
            job_id: "job".to_owned(),
            stage: 3,
            task: 1,
            attempt_id: attempt.to_owned(),
            output_prefix: format!("jobs/job/{attempt}"),
            operator,
        });
    }

    /// Serves until the test ends.
    pub(super) async fn serve(&self, address: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let service = TaskServiceServer::new(self.clone());
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        address
    }

    /// Waits until `holds` is true of the state.
    pub(super) async fn wait(&self, what: &str, holds: impl Fn(&State) -> bool) {
        for _ in 0..500 {
            if holds(&self.state()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited ten seconds for this: {what}");
    }

    fn check(&self, worker: &str) -> Result<(), Status> {
        let state = self.state();
        if state.silent {
            return Err(Status::unavailable("cut off"));
        }
        match &state.worker {
            Some(known) if known == worker => Ok(()),
            Some(_) | None => Err(Status::not_found("unknown worker")),
        }
    }
}

#[tonic::async_trait]
impl TaskService for Fake {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let mut state = self.state();
        if state.refuse {
            return Err(Status::invalid_argument("this cluster runs version 9.9.9"));
        }
        state.registrations.push(request.into_inner());
        let worker_id = format!("worker-{}", state.registrations.len());
        state.worker = Some(worker_id.clone());
        Ok(Response::new(RegisterResponse {
            worker_id,
            state_url: state.state_url.clone(),
            heartbeat_ms: 30,
            lease_ms: 15_000,
        }))
    }

    async fn lease_task(
        &self,
        request: Request<LeaseTaskRequest>,
    ) -> Result<Response<LeaseTaskResponse>, Status> {
        for _ in 0..10 {
            self.check(&request.get_ref().worker_id)?;
            let lease = self.state().queue.pop_front();
            if lease.is_some() {
                return Ok(Response::new(LeaseTaskResponse { lease }));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Response::new(LeaseTaskResponse { lease: None }))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        self.check(&request.get_ref().worker_id)?;
        let mut state = self.state();
        state.running = request.into_inner().attempts;
        Ok(Response::new(HeartbeatResponse {
            cancelled: state.cancel.clone(),
        }))
    }

    async fn report_task(
        &self,
        request: Request<ReportTaskRequest>,
    ) -> Result<Response<ReportTaskResponse>, Status> {
        self.check(&request.get_ref().worker_id)?;
        let mut state = self.state();
        state.reports.push(request.into_inner());
        if state.lose_acks > 0 {
            state.lose_acks -= 1;
            return Err(Status::unavailable("the acknowledgement was lost"));
        }
        Ok(Response::new(ReportTaskResponse {}))
    }

    async fn leave(
        &self,
        request: Request<LeaveRequest>,
    ) -> Result<Response<LeaveResponse>, Status> {
        let mut state = self.state();
        let reports = state.reports.len();
        state.left.push((request.into_inner().worker_id, reports));
        Ok(Response::new(LeaveResponse {}))
    }
}
