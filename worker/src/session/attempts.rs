//! The attempts that this worker runs, and their cancellation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cancellation::Cancellation;

/// Running attempts by their id: those whose lease must be kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    running: Arc<Mutex<BTreeMap<String, Cancellation>>>,
}

/// One running attempt; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Attempt {
    id: String,
    cancellation: Cancellation,
    attempts: Attempts,
}

impl Attempts {
    /// Notes that attempt `id` runs.
    pub(super) fn start(&self, id: String) -> Attempt {
        let cancellation = Cancellation::default();
        self.lock().insert(id.clone(), cancellation.clone());
        Attempt {
            id,
            cancellation,
            attempts: self.clone(),
        }
    }

    /// Ids of all running attempts.
    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Asks attempt `id` to stop, if it still runs.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(cancellation) = self.lock().get(id) {
            cancellation.cancel();
        }
    }

    /// Asks every attempt to stop.
    pub(super) fn cancel_all(&self) {
        for cancellation in self.lock().values() {
            cancellation.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Cancellation>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// What the operator asks whether it should stop.
    pub(super) fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.attempts.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_listed_while_it_runs_and_can_be_cancelled() {
        let attempts = Attempts::default();
        let first = attempts.start("a".to_owned());
        let second = attempts.start("b".to_owned());
        assert_eq!(attempts.ids(), ["a", "b"]);
        attempts.cancel("b");
        assert!(!first.cancellation().is_cancelled());
        assert!(second.cancellation().is_cancelled());
        drop(second);
        attempts.cancel("b");
        assert_eq!(attempts.ids(), ["a"]);
        attempts.cancel_all();
        assert!(first.cancellation().is_cancelled());
    }
}
