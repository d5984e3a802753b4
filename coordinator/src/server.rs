//! A coordinator that serves.

use std::error::Error as StdError;
use std::time::Duration;

use futures::Stream;
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_proto::MAX_MESSAGE_BYTES;
use rankmill_proto::pb::job_service_server::JobServiceServer;
use rankmill_proto::pb::task_service_server::TaskServiceServer;
use rankmill_store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::server::Connected;

use crate::config::CoordinatorConfig;
use crate::engine::{Engine, Surroundings};
use crate::service::{Jobs, Tasks};

/// How long open calls may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// A coordinator that has taken its epoch and read its logs.
pub struct Coordinator {
    engine: Engine,
    state_url: String,
    config: CoordinatorConfig,
}

impl Coordinator {
    /// Takes over the state under `state`: starts a new epoch and picks up every job that has not
    /// ended. From here on an older coordinator on the same state is fenced.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach or other coordinators keep taking over.
    pub async fn open(state: Store, config: CoordinatorConfig) -> Result<Self> {
        let state_url = state.location().url();
        let engine = Engine::open(state, config.clone(), Surroundings::default()).await?;
        Ok(Self {
            engine,
            state_url,
            config,
        })
    }

    /// Serves connections until `shutdown` resolves or another coordinator takes over.
    ///
    /// # Errors
    ///
    /// `Fenced` after a takeover, `Unavailable` when the transport fails.
    pub async fn serve<I, IO, E>(
        self,
        incoming: I,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()>
    where
        I: Stream<Item = Result<IO, E>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        IO::ConnectInfo: Clone + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + Send + 'static,
    {
        let handle = self.engine.handle();
        let jobs = JobServiceServer::new(Jobs::new(handle.clone()))
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let tasks = TaskServiceServer::new(Tasks::new(handle, self.state_url, &self.config))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .tcp_nodelay(true)
            .add_service(jobs)
            .add_service(tasks)
            .serve_with_incoming_shutdown(incoming, async {
                let _ = stopped.await;
            });
        let serving = tokio::spawn(server);
        let outcome = self.engine.run(shutdown).await;
        let _ = stop.send(());
        // Long polls and watches end with the engine; a call that does not is cut.
        if let Ok(Ok(Err(error))) = tokio::time::timeout(GRACE, serving).await {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the server failed: {error}"),
            ));
        }
        outcome
    }
}
