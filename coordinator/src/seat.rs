//! Where calls find the engine while this coordinator leads.
//!
//! Services hold the seat, not the engine: a coordinator serves from its start to its end, but
//! leads only for a while, perhaps more than once.

use rankmill_common::{Epoch, Error, ErrorKind, Result};
use tokio::sync::watch;

use crate::engine::EngineHandle;
use crate::metrics::Metrics;

/// The place of the leader's engine, empty in a standby. Clones are the same seat.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    occupant: watch::Sender<Occupant>,
}

#[derive(Clone, Debug)]
enum Occupant {
    /// About to lead: calls wait.
    Opening,
    /// Nobody here leads; why, and who does, for people.
    Vacant(String),
    Leader {
        engine: EngineHandle,
        epoch: Epoch,
        metrics: watch::Receiver<Metrics>,
    },
}

impl Seat {
    /// The seat of a coordinator that leads as soon as it has read its logs.
    pub(crate) fn opening() -> Self {
        Self {
            occupant: watch::Sender::new(Occupant::Opening),
        }
    }

    pub(crate) fn vacant(reason: &str) -> Self {
        Self {
            occupant: watch::Sender::new(Occupant::Vacant(reason.to_owned())),
        }
    }

    pub(crate) fn take(
        &self,
        engine: EngineHandle,
        epoch: Epoch,
        metrics: watch::Receiver<Metrics>,
    ) {
        self.occupant.send_replace(Occupant::Leader {
            engine,
            epoch,
            metrics,
        });
    }

    pub(crate) fn vacate(&self, reason: &str) {
        self.occupant
            .send_replace(Occupant::Vacant(reason.to_owned()));
    }

    /// The engine, once it is open where it is about to be.
    ///
    /// # Errors
    ///
    /// `Unavailable` where another coordinator leads, or none yet.
    pub(crate) async fn engine(&self) -> Result<EngineHandle> {
        let mut occupants = self.occupant.subscribe();
        let settled = occupants.wait_for(|occupant| !matches!(occupant, Occupant::Opening));
        let gone = |_| Error::new(ErrorKind::Unavailable, "the coordinator is gone");
        settled.await.map_err(gone)?.engine()
    }

    /// Whether it leads now; the reason where it does not.
    ///
    /// # Errors
    ///
    /// As [`Self::engine`].
    pub(crate) fn leads(&self) -> Result<()> {
        self.occupant.borrow().engine().map(|_| ())
    }

    /// What there is to count, with the epoch, where this coordinator leads.
    pub(crate) fn metrics(&self) -> Option<(Epoch, Metrics)> {
        match &*self.occupant.borrow() {
            Occupant::Leader { epoch, metrics, .. } => Some((*epoch, metrics.borrow().clone())),
            Occupant::Opening | Occupant::Vacant(_) => None,
        }
    }

    /// Whether this coordinator leads, at every change.
    pub(crate) fn changes(&self) -> impl futures::Stream<Item = bool> + Send + 'static {
        let occupants = tokio_stream::wrappers::WatchStream::new(self.occupant.subscribe());
        futures::StreamExt::map(occupants, |occupant| match occupant {
            Occupant::Leader { .. } => true,
            Occupant::Opening | Occupant::Vacant(_) => false,
        })
    }
}

impl Occupant {
    fn engine(&self) -> Result<EngineHandle> {
        let away = |reason: &str| Err(Error::new(ErrorKind::Unavailable, reason));
        match self {
            Self::Leader { engine, .. } => Ok(engine.clone()),
            Self::Opening => away("this coordinator is starting"),
            Self::Vacant(reason) => away(reason),
        }
    }
}
