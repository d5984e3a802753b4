//! The attempts that this worker runs, and their cancellation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cancellation::Cancellation;
use crate::context::Counters;

/// Running attempts by their id: those whose lease must be kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    running: Arc<Mutex<BTreeMap<String, Running>>>,
}

/// What the outside holds of a running attempt.
#[derive(Clone, Debug, Default)]
struct Running {
    cancellation: Cancellation,
    counters: Arc<Counters>,
}

/// One running attempt; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Attempt {
    id: String,
    running: Running,
    attempts: Attempts,
}

impl Attempts {
    /// Notes that attempt `id` runs.
    pub(super) fn start(&self, id: String) -> Attempt {
        let running = Running::default();
        self.lock().insert(id.clone(), running.clone());
        Attempt {
            id,
            running,
            attempts: self.clone(),
        }
    }

    /// Ids of all running attempts, and the bytes that each has moved so far.
    pub(super) fn progress(&self) -> (Vec<String>, Vec<u64>) {
        let moved = |running: &Running| running.counters.read() + running.counters.written();
        self.lock()
            .iter()
            .map(|(id, running)| (id.clone(), moved(running)))
            .unzip()
    }

    /// Asks attempt `id` to stop, if it still runs.
    pub(super) fn cancel(&self, id: &str) {
        if let Some(running) = self.lock().get(id) {
            running.cancellation.cancel();
        }
    }

    /// Asks every attempt to stop.
    pub(super) fn cancel_all(&self) {
        for running in self.lock().values() {
            running.cancellation.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// What the operator asks whether it should stop.
    pub(super) fn cancellation(&self) -> &Cancellation {
        &self.running.cancellation
    }

    /// Where the operator counts what it moves.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.running.counters
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
        assert_eq!(attempts.progress().0, ["a", "b"]);
        attempts.cancel("b");
        assert!(!first.cancellation().is_cancelled());
        assert!(second.cancellation().is_cancelled());
        drop(second);
        attempts.cancel("b");
        assert_eq!(attempts.progress().0, ["a"]);
        attempts.cancel_all();
        assert!(first.cancellation().is_cancelled());
    }
}
