//! Coordinator and worker in this process, joined by an in-memory transport.
//!
//! The same services and the same log as on a cluster: what is stopped here continues with the
//! same command, from the last committed task.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{BoxFuture, FusedFuture};
use futures::{FutureExt, Stream};
use hyper_util::rt::TokioIo;
use rankmill_common::job::JobSpec;
use rankmill_common::status::JobStatus;
use rankmill_common::{ByteSize, Error, ErrorKind, JobId, Result};
use rankmill_coordinator::prune::{abandon, abandon_others};
use rankmill_coordinator::{Coordinator, CoordinatorConfig, Outputs};
use rankmill_store::Store;
use rankmill_worker::{HandOver, InputVersion, Objects, WorkerConfig, input_versions};
use serde::{Deserialize, Serialize};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinError;
use tonic::transport::{Channel, Endpoint};

use crate::client::Client;
use crate::exit::{Failure, Outcome};
use crate::job::RunKeys;
use crate::progress::Progress;
use crate::{interrupt, machine, state};

/// Bytes that may be under way in one direction of the in-memory transport.
const PIPE_BYTES: usize = 1 << 20;

/// How long coordinator and worker may take to put their affairs in order at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a coordinator whose calls fail may take to say why.
const CLOSING: Duration = Duration::from_secs(3);

/// Runs `spec` here and waits for its end.
pub(crate) async fn run(
    spec: &JobSpec,
    keys: &RunKeys,
    progress: &mut Progress,
) -> Outcome<JobStatus> {
    let state = state::open(keys.state.as_deref()).await?;
    let note = Note::begin(&state.store, spec, progress).await?;
    let (channel, incoming) = transport();
    let (stop_coordinator, coordinator_stops) = watch::channel(false);
    let (stop_worker, worker_stops) = watch::channel(false);
    // Only files: a remote store is slower than the computation, and outputs would pile up.
    let local = state.store.local_path("").is_some();
    let hand_over = (!keys.write_through && local).then(HandOver::default);
    let mut coordinator = Coordinator::alone(state.store.clone(), CoordinatorConfig::default());
    if let Some(hand_over) = &hand_over {
        coordinator = coordinator.with_outputs(Arc::new(Held(hand_over.clone())));
    }
    // Served within this task: the coordinator's own future need not move between threads.
    let serving = coordinator
        .serve(incoming, told(coordinator_stops), |_| {})
        .fuse();
    let mut serving = pin!(serving);
    let config = worker_config(keys, hand_over);
    let worker = rankmill_worker::run(channel.clone(), config, told(worker_stops));
    let mut working = tokio::spawn(worker).fuse();

    let client = Client::new(channel);
    let outcome = tokio::select! {
        status = follow(&client, &state.store, spec, note, progress) => match status {
            Ok(status) => Ok(status),
            Err(error) => Err(cause(error, &mut serving).await.into()),
        },
        ended = &mut serving => Err(early_end("coordinator", ended).into()),
        ended = &mut working => Err(early_end("worker", ended.unwrap_or_else(broke_off)).into()),
        () = interrupt::requested() => Err(stopped()),
    };
    progress.finish();
    if matches!(outcome, Err(Failure::Interrupted(_))) {
        progress.say("stopping (Ctrl-C again stops at once)");
    }
    // The worker gives back its leases before the coordinator closes its log, and needs it until
    // then: the coordinator is served on the way.
    let wind_down = async {
        let _ = stop_worker.send(true);
        tokio::select! {
            _ = &mut working, if !working.is_terminated() => {}
            _ = &mut serving, if !serving.is_terminated() => {}
            else => {}
        }
        let _ = stop_coordinator.send(true);
        if !serving.is_terminated() {
            let _ = serving.await;
        }
    };
    // The log holds what counts: whoever does not end in time is left behind.
    let _ = tokio::time::timeout(PATIENCE, wind_down).await;
    outcome
}

/// Why calls failed: where the coordinator ends at the same time, what ended it.
async fn cause(
    error: Error,
    serving: &mut (impl FusedFuture<Output = Result<()>> + Unpin),
) -> Error {
    if error.kind != ErrorKind::Unavailable || serving.is_terminated() {
        return error;
    }
    match tokio::time::timeout(CLOSING, serving).await {
        Ok(Err(cause)) => early_end("coordinator", Err(cause)),
        Ok(Ok(())) | Err(_) => error,
    }
}

/// Outputs of the worker, as the coordinator sees them.
struct Held(HandOver);

impl Outputs for Held {
    fn settled(&self, prefix: &str) -> BoxFuture<'static, Result<()>> {
        let (held, prefix) = (self.0.clone(), prefix.to_owned());
        Box::pin(async move { held.settled(&prefix).await })
    }

    fn release(&self, keys: &[String]) {
        self.0.release(keys);
    }

    fn forget(&self, prefix: &str) -> BoxFuture<'static, ()> {
        let (held, prefix) = (self.0.clone(), prefix.to_owned());
        Box::pin(async move { held.forget(&prefix).await })
    }
}

async fn follow(
    client: &Client,
    state: &Store,
    spec: &JobSpec,
    mut note: Note,
    progress: &mut Progress,
) -> Result<JobStatus> {
    let submitted = client.submit(spec).await?;
    note.id = Some(submitted.id.clone());
    note.write(state, spec).await?;
    client.watch(&submitted.id, progress).await
}

/// What a run noted of its job, for the run that continues it.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The job's latest run.
    id: Option<JobId>,
    /// The files that it reads, as they were when it began.
    inputs: Vec<InputVersion>,
}

impl Note {
    /// Looks at the inputs of `spec`. A run that was killed before they became what they are is not
    /// continued: its blocks are of other files.
    async fn begin(state: &Store, spec: &JobSpec, progress: &mut Progress) -> Result<Self> {
        let inputs = versions(spec).await?;
        let before = match state.get(&Self::key(spec)).await {
            Ok(bytes) => serde_json::from_slice::<Self>(&bytes).ok(),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let changed = before.as_ref().is_some_and(|note| note.inputs != inputs);
        let id = before.and_then(|note| note.id);
        if let Some(id) = &id
            && changed
            && abandon(state, id).await?
        {
            progress.say("the input has changed since the run was stopped: starting anew");
        }
        if abandon_others(state, spec).await? {
            progress.say("a run with other parameters was stopped here: it is given up");
        }
        let note = Self { id, inputs };
        note.write(state, spec).await?;
        Ok(note)
    }

    async fn write(&self, state: &Store, spec: &JobSpec) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|e| Error::internal(e.to_string()))?;
        state.put(&Self::key(spec), Bytes::from(text)).await
    }

    fn key(spec: &JobSpec) -> String {
        format!("runs/{}.json", spec.digest())
    }
}

/// The files that a job is about to read, as they are now.
async fn versions(spec: &JobSpec) -> Result<Vec<InputVersion>> {
    let paths: Vec<String> = spec.paths().cloned().collect();
    let found = tokio::task::spawn_blocking(move || input_versions(&paths));
    found.await.map_err(|e| Error::internal(e.to_string()))?
}

fn worker_config(keys: &RunKeys, hand_over: Option<HandOver>) -> WorkerConfig {
    WorkerConfig {
        threads: keys.threads(),
        memory: keys.memory.unwrap_or_else(machine::default_memory),
        cache: None,
        hand_over,
        cache_size: ByteSize(Objects::DEFAULT_CACHE_BYTES),
        host: machine::host(),
    }
}

/// A channel and the stream of connections that it opens.
fn transport() -> (Channel, impl Stream<Item = io::Result<DuplexStream>>) {
    let (accepted, incoming) = mpsc::unbounded();
    let connector = tower::service_fn(move |_| {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let sent = accepted.unbounded_send(Ok(theirs));
        async move {
            sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            io::Result::Ok(TokioIo::new(ours))
        }
    });
    let channel = Endpoint::from_static("http://embedded").connect_with_connector_lazy(connector);
    (channel, incoming)
}

async fn told(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good a reason to stop.
    let _ = stop.wait_for(|&stop| stop).await;
}

fn early_end(who: &str, ended: Result<()>) -> Error {
    match ended {
        Ok(()) => Error::internal(format!("the {who} ended before the job did")),
        Err(error) if error.kind == ErrorKind::Fenced => error
            .context("another rankmill uses the same state: give each run a --state of its own"),
        Err(error) => error,
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of unwrap_or_else")]
fn broke_off(panic: JoinError) -> Result<()> {
    Err(Error::internal(format!("the worker broke off: {panic}")))
}

fn stopped() -> Failure {
    Failure::Interrupted("stopped; the same command continues".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use rankmill_common::ErrorKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_transport_carries_bytes_both_ways() {
        let (channel, mut incoming) = transport();
        // A request opens a connection, though nobody speaks HTTP on it here.
        let client = Client::new(channel);
        let serving = async move {
            let mut theirs = incoming.next().await.expect("open").expect("connected");
            let mut preface = [0; 14];
            theirs.read_exact(&mut preface).await.expect("a preface");
            assert_eq!(&preface, b"PRI * HTTP/2.0");
            theirs.write_all(b"nonsense").await.expect("written");
        };
        let (answer, ()) = tokio::join!(client.list(), serving);
        let error = answer.expect_err("no server");
        assert_eq!(error.kind, ErrorKind::Unavailable);
    }
}
