//! A worker against a coordinator that loses messages, forgets and falls silent.

mod fake;

use std::net::SocketAddr;

use rankmill_common::operator::{Report, SmallFactors};
use rankmill_common::{Error, ErrorKind};
use rankmill_proto::pb::report_task_request::Outcome;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

use self::fake::Fake;
use super::*;

const SHORT: Patience = Patience {
    fence_after: Duration::from_millis(400),
    drain: Duration::from_secs(5),
};

struct Worker {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<()>>,
    _state: TempDir,
}

impl Worker {
    fn start(fake: &Fake, address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = directory.path().to_str().expect("a path in UTF-8");
        fake.state().state_url = url.to_owned();
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("a URL")
            .connect_lazy();
        let config = WorkerConfig {
            hand_over: None,
            threads: 1,
            memory: ByteSize(1 << 30),
            cache: None,
            cache_size: ByteSize(1 << 30),
            host: "test".to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(run_with(channel.into(), config, SHORT, async {
            let _ = stopped.await;
        }));
        Self {
            stop,
            running,
            _state: directory,
        }
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        self.running.await.expect("a worker does not panic")
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn start() -> (Fake, Worker) {
    let fake = Fake::default();
    let address = fake.serve(any_port()).await;
    let worker = Worker::start(&fake, address);
    (fake, worker)
}

fn report_of(outcome: Option<&Outcome>) -> std::result::Result<Report, Error> {
    match outcome.expect("a report has an outcome") {
        Outcome::Report(report) => Ok(serde_json::from_slice(report).expect("a report")),
        Outcome::Error(error) => Err(serde_json::from_slice(error).expect("an error")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_reports_tasks_until_it_is_told_to_stop() {
    let (fake, worker) = start().await;
    for order in 1..=5 {
        fake.push(&format!("attempt-{order}"), order);
    }
    fake.wait("five reports", |state| state.reports.len() == 5)
        .await;
    worker.stop().await.expect("it stops in peace");
    let state = fake.state();
    assert_eq!(state.left, [("worker-1".to_owned(), 5)]);
    assert_eq!(state.registrations[0].version, env!("CARGO_PKG_VERSION"));
    assert_eq!(state.registrations[0].slots, SLOTS);
    for report in &state.reports {
        let order: u32 = report.attempt_id["attempt-".len()..]
            .parse()
            .expect("a number");
        assert_eq!((report.stage, report.task), (3, 1));
        assert!(report.bytes_written > 0);
        let factors = report_of(report.outcome.as_ref()).expect("it succeeded");
        let factors = SmallFactors::try_from(factors).expect("small factors");
        assert_eq!(factors.matrices[0].nrows, order);
        let key = &factors.matrices[0].object.key;
        assert!(
            key.starts_with(&format!("jobs/job/attempt-{order}/")),
            "{key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_a_report_until_it_is_acknowledged() {
    let (fake, worker) = start().await;
    fake.state().lose_acks = 2;
    fake.push("attempt", 2);
    fake.wait("the report three times", |state| state.reports.len() == 3)
        .await;
    worker.stop().await.expect("it stops in peace");
    let state = fake.state();
    assert_eq!(state.reports.len(), 3);
    assert!(
        state
            .reports
            .iter()
            .all(|report| *report == state.reports[0])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_before_it_leaves() {
    let (fake, worker) = start().await;
    fake.state().lose_acks = 3;
    fake.push("attempt", 2);
    fake.wait("the first report", |state| !state.reports.is_empty())
        .await;
    fake.push("too-late", 2);
    worker.stop().await.expect("it stops in peace");
    let state = fake.state();
    assert_eq!(state.left, [("worker-1".to_owned(), state.reports.len())]);
    assert_eq!(state.lose_acks, 0);
    assert!(
        state
            .reports
            .iter()
            .filter(|report| report.attempt_id == "attempt")
            .count()
            == 4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_anew_when_it_was_forgotten() {
    let (fake, worker) = start().await;
    fake.push("first", 1);
    fake.wait("a report", |state| state.reports.len() == 1)
        .await;
    fake.state().worker = None;
    fake.wait("a second registration", |state| {
        state.registrations.len() == 2
    })
    .await;
    fake.push("second", 1);
    fake.wait("a second report", |state| state.reports.len() == 2)
        .await;
    assert_eq!(fake.state().reports[1].worker_id, "worker-2");
    worker.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_up_its_leases_when_it_is_out_of_contact() {
    let (fake, worker) = start().await;
    fake.state().lose_acks = usize::MAX;
    fake.push("lost", 1);
    fake.wait("a report", |state| !state.reports.is_empty())
        .await;
    fake.state().silent = true;
    fake.wait("a second registration", |state| {
        state.registrations.len() >= 2
    })
    .await;
    {
        let mut state = fake.state();
        state.reports.clear();
        state.lose_acks = 0;
        state.silent = false;
    }
    fake.push("next", 1);
    fake.wait("the next report", |state| !state.reports.is_empty())
        .await;
    assert_eq!(fake.state().reports[0].attempt_id, "next");
    worker.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_reporting_an_attempt_that_is_cancelled() {
    let (fake, worker) = start().await;
    fake.state().lose_acks = usize::MAX;
    fake.push("unwanted", 1);
    fake.wait("a heartbeat with the attempt", |state| {
        state.running == ["unwanted"]
    })
    .await;
    fake.state().cancel = vec!["unwanted".to_owned()];
    fake.wait("a heartbeat without it", |state| state.running.is_empty())
        .await;
    worker.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_a_coordinator_that_is_not_there_yet() {
    let reserved = std::net::TcpListener::bind(any_port()).expect("a free port");
    let address = reserved.local_addr().expect("it is bound");
    drop(reserved);
    let fake = Fake::default();
    let worker = Worker::start(&fake, address);
    tokio::time::sleep(Duration::from_millis(200)).await;
    fake.serve(address).await;
    fake.push("attempt", 1);
    fake.wait("a report", |state| state.reports.len() == 1)
        .await;
    worker.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_waiting_for_a_coordinator_when_it_is_told_to() {
    let reserved = std::net::TcpListener::bind(any_port()).expect("a free port");
    let address = reserved.local_addr().expect("it is bound");
    drop(reserved);
    let worker = Worker::start(&Fake::default(), address);
    worker.stop().await.expect("it stops in peace");
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_with_the_reason_when_it_is_refused() {
    let fake = Fake::default();
    fake.state().refuse = true;
    let address = fake.serve(any_port()).await;
    let worker = Worker::start(&fake, address);
    let error = worker
        .running
        .await
        .expect("a worker does not panic")
        .expect_err("it was refused");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("9.9.9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_a_task_that_it_cannot_read() {
    let (fake, worker) = start().await;
    fake.push_encoded("attempt", b"{\"operator\":\"from_the_future\"}".to_vec());
    fake.wait("a report", |state| state.reports.len() == 1)
        .await;
    let error = report_of(fake.state().reports[0].outcome.as_ref()).expect_err("it failed");
    assert_eq!(error.kind, ErrorKind::Internal);
    worker.stop().await.expect("it stops in peace");
}
