//! A coordinator that serves: as the leader, or as a standby that waits to be one.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_proto::MAX_MESSAGE_BYTES;
use rankmill_proto::pb::job_service_server::JobServiceServer;
use rankmill_proto::pb::task_service_server::TaskServiceServer;
use rankmill_store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::service::Routes;
use tonic::transport::server::Connected;

use crate::config::CoordinatorConfig;
use crate::engine::{Engine, Outputs, Resumption, Surroundings};
use crate::http;
use crate::leadership::{self, Patience};
use crate::seat::Seat;
use crate::service::{Jobs, Tasks};

/// How long open calls may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// Pause before a coordinator that could not lead tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls of one connection that may be under way at once.
const MAX_STREAMS: u32 = 256;

/// A coordinator on a state store.
pub struct Coordinator {
    state: Store,
    config: CoordinatorConfig,
    succession: Succession,
    surroundings: Surroundings,
}

/// Whether there may be other coordinators on the same state.
enum Succession {
    /// Leads at once and ends with its term.
    Alone,
    /// Leads when nobody else does, as often as that happens.
    OneOf {
        /// How others reach this one.
        name: String,
    },
}

/// What a coordinator is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Waits; the leader is named where it is known.
    Standby(Option<String>),
    /// Leads.
    Leader,
    /// Led, and does no longer, for this reason.
    SteppedDown(Error),
}

impl Coordinator {
    /// A coordinator that takes over the state at once: from then on an older one on the same
    /// state is fenced. Of the jobs that it finds it goes on with those that are submitted again.
    pub fn alone(state: Store, config: CoordinatorConfig) -> Self {
        Self {
            state,
            config,
            succession: Succession::Alone,
            surroundings: Surroundings::default(),
        }
    }

    /// A coordinator that leads when no other does. `name` is how others reach it.
    pub fn one_of_several(state: Store, config: CoordinatorConfig, name: String) -> Self {
        Self {
            state,
            config,
            succession: Succession::OneOf { name },
            surroundings: Surroundings::default(),
        }
    }

    /// The same coordinator, for a worker in this process that keeps its outputs in memory first.
    #[must_use]
    pub fn with_outputs(mut self, outputs: Arc<dyn Outputs>) -> Self {
        self.surroundings.outputs = Some(outputs);
        self
    }

    /// The same coordinator in a world of its own.
    #[cfg(test)]
    pub(crate) fn within(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// Serves connections until `shutdown` resolves; `tell` hears of every change of role.
    ///
    /// # Errors
    ///
    /// For a coordinator alone: `Fenced` after a takeover, `Unavailable` when its state or the
    /// transport fails. For one of several: what makes leading impossible for good.
    pub async fn serve<I, IO, E>(
        self,
        incoming: I,
        shutdown: impl Future<Output = ()>,
        mut tell: impl FnMut(Role),
    ) -> Result<()>
    where
        I: Stream<Item = Result<IO, E>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        IO::ConnectInfo: Clone + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>> + Send + 'static,
    {
        let seat = match self.succession {
            Succession::Alone => Seat::alone(),
            Succession::OneOf { .. } => Seat::new(),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .max_concurrent_streams(MAX_STREAMS)
            .tcp_nodelay(true)
            .add_routes(self.routes(&seat))
            .serve_with_incoming_shutdown(incoming, async {
                let _ = stopped.await;
            });
        let serving = tokio::spawn(server);
        let outcome = self.preside(&seat, shutdown, &mut tell).await;
        seat.vacate("this coordinator is stopping");
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

    /// Leads, or waits to, until `shutdown` resolves; `seat` is taken while it leads.
    pub(crate) async fn preside(
        &self,
        seat: &Seat,
        shutdown: impl Future<Output = ()>,
        tell: &mut impl FnMut(Role),
    ) -> Result<()> {
        // Asked again after it has resolved, where a term ends while its engine shuts down.
        let shutdown = shutdown.shared();
        match &self.succession {
            Succession::Alone => self.lead(seat, shutdown, tell).await,
            Succession::OneOf { name } => self.stand_by(name, seat, shutdown, tell).await,
        }
    }

    fn routes(&self, seat: &Seat) -> Routes {
        let state_url = self.state.location().url();
        let jobs = JobServiceServer::new(Jobs::new(seat.clone()))
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let tasks = TaskServiceServer::new(Tasks::new(seat.clone(), state_url, &self.config))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (health, service) = tonic_health::server::health_reporter();
        let mut leads = Box::pin(seat.changes());
        tokio::spawn(async move {
            while let Some(leads) = leads.next().await {
                if leads {
                    health.set_serving::<JobServiceServer<Jobs>>().await;
                } else {
                    health.set_not_serving::<JobServiceServer<Jobs>>().await;
                }
            }
        });
        Routes::from(http::routes(seat.clone()))
            .add_service(service)
            .add_service(jobs)
            .add_service(tasks)
    }

    /// One term after another, whenever nobody else leads.
    async fn stand_by(
        &self,
        name: &str,
        seat: &Seat,
        shutdown: impl Future<Output = ()> + Clone,
        tell: &mut impl FnMut(Role),
    ) -> Result<()> {
        loop {
            let mut told = None;
            let vacancy = leadership::wait_for_vacancy(
                self.state.clone(),
                name,
                Patience::of(&self.config),
                |leader| {
                    if told.as_deref() != Some(leader) {
                        seat.vacate(&format!("this coordinator is a standby; {leader} leads"));
                        tell(Role::Standby(Some(leader.to_owned())));
                        told = Some(leader.to_owned());
                    }
                },
            );
            tokio::select! {
                biased;
                () = shutdown.clone() => return Ok(()),
                () = vacancy => {}
            }
            match self.lead(seat, shutdown.clone(), tell).await {
                Ok(()) => return Ok(()),
                Err(error) if may_lead_again(&error) => {
                    seat.vacate(&format!("this coordinator does not lead: {error}"));
                    tell(Role::SteppedDown(error));
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                () = shutdown.clone() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// One term: from the takeover to a shutdown, or to the error that ends it.
    async fn lead(
        &self,
        seat: &Seat,
        shutdown: impl Future<Output = ()> + Clone,
        tell: &mut impl FnMut(Role),
    ) -> Result<()> {
        let opening = Engine::open(
            self.state.clone(),
            self.config.clone(),
            self.surroundings.clone(),
            match self.succession {
                Succession::Alone => Resumption::Asked,
                Succession::OneOf { .. } => Resumption::All,
            },
        );
        // A store that does not answer holds nobody who is asked to go.
        let engine = tokio::select! {
            biased;
            () = shutdown.clone() => return Ok(()),
            engine = opening => engine?,
        };
        let epoch = engine.epoch();
        seat.take(engine.handle(), epoch, engine.metrics());
        tell(Role::Leader);
        let Succession::OneOf { name } = &self.succession else {
            return engine.run(shutdown).await;
        };
        let patience = Patience::of(&self.config);
        let beating = leadership::keep(self.state.clone(), epoch, name, patience);
        let outcome = tokio::select! {
            biased;
            outcome = engine.run(shutdown) => outcome,
            error = beating => Err(error),
        };
        if outcome.is_ok() {
            leadership::release(&self.state, epoch, name).await;
        }
        outcome
    }
}

/// Whether what ended a term passes: another leader, a store that is away, a full disk. A
/// coordinator waits for the end of that rather than ending itself.
fn may_lead_again(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Fenced | ErrorKind::Unavailable | ErrorKind::ResourceExhausted => true,
        ErrorKind::InvalidInput
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::InputLost
        | ErrorKind::Cancelled
        | ErrorKind::NotConverged
        | ErrorKind::Internal => false,
    }
}
