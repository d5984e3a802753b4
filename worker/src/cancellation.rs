//! The wish that a running attempt should stop.
//!
//! Operators ask between steps; nothing is interrupted by force.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A flag that is raised once. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancellation {
    raised: Arc<AtomicBool>,
    told: Arc<Notify>,
}

impl Cancellation {
    /// Raises the flag.
    pub(crate) fn cancel(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Whether the flag is raised.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// The flag itself, for code that does not wait.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.raised)
    }

    /// Waits until the flag is raised.
    pub(crate) async fn cancelled(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        // Enlisted before the flag is read, so that no wish falls between the two.
        told.as_mut().enable();
        if !self.is_cancelled() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn whoever_waits_learns_of_it_whenever_it_was_raised() {
        let cancellation = Cancellation::default();
        let mut early = Box::pin(cancellation.cancelled());
        assert!((&mut early).now_or_never().is_none());
        cancellation.cancel();
        assert!(early.now_or_never().is_some());
        assert!(cancellation.cancelled().now_or_never().is_some());
        assert!(cancellation.flag().load(Ordering::SeqCst));
    }
}
