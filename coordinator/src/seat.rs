//! Where calls find the engine while this coordinator leads.
//!
//! Services hold the seat, not the engine: a coordinator serves from its start to its end, but
//! leads only for a while, perhaps more than once.

use std::time::Duration;

use rankmill_common::{Epoch, Error, ErrorKind, Result};
use tokio::sync::watch;

use crate::engine::EngineHandle;
use crate::metrics::Metrics;

/// How long a call waits for a coordinator that starts, where another may lead already.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same where there is no other: as long as a store takes that is slow and a log that is long.
const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// The place of the leader's engine, empty in a standby. Clones are the same seat.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    occupant: watch::Sender<Occupant>,
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Occupant {
    /// It is not known yet who leads.
    Starting,
    /// Nobody here leads; why, and who does, for people.
    Vacant(String),
    Leader {
        engine: EngineHandle,
        epoch: Epoch,
        metrics: watch::Receiver<Metrics>,
    },
}

impl Seat {
    /// The seat of a coordinator that starts.
    pub(crate) fn new() -> Self {
        Self {
            occupant: watch::Sender::new(Occupant::Starting),
            patience: PATIENCE,
        }
    }

    /// The same of one that has no standby: whoever calls has nowhere else to go.
    pub(crate) fn alone() -> Self {
        Self {
            patience: LONG_PATIENCE,
            ..Self::new()
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

    /// The engine. A call that comes while the coordinator starts waits a little.
    ///
    /// # Errors
    ///
    /// `Unavailable` where another coordinator leads, or none yet.
    pub(crate) async fn engine(&self) -> Result<EngineHandle> {
        let mut occupants = self.occupant.subscribe();
        let known = occupants.wait_for(|occupant| !matches!(occupant, Occupant::Starting));
        // In vain or not, what there is now is the answer.
        let _ = tokio::time::timeout(self.patience, known).await;
        self.engine_now()
    }

    /// As [`Self::engine`], without waiting.
    pub(crate) fn engine_now(&self) -> Result<EngineHandle> {
        let unavailable = |reason: &str| Err(Error::new(ErrorKind::Unavailable, reason));
        match &*self.occupant.borrow() {
            Occupant::Leader { engine, .. } => Ok(engine.clone()),
            Occupant::Vacant(reason) => unavailable(reason),
            Occupant::Starting => unavailable("this coordinator is starting"),
        }
    }

    /// What there is to count, with the epoch, where this coordinator leads.
    pub(crate) fn metrics(&self) -> Option<(Epoch, Metrics)> {
        match &*self.occupant.borrow() {
            Occupant::Leader { epoch, metrics, .. } => Some((*epoch, metrics.borrow().clone())),
            Occupant::Vacant(_) | Occupant::Starting => None,
        }
    }

    /// Whether this coordinator leads, at every change.
    pub(crate) fn changes(&self) -> impl futures::Stream<Item = bool> + Send + 'static {
        let occupants = tokio_stream::wrappers::WatchStream::new(self.occupant.subscribe());
        futures::StreamExt::map(occupants, |occupant| match occupant {
            Occupant::Leader { .. } => true,
            Occupant::Vacant(_) | Occupant::Starting => false,
        })
    }
}
