//! Growing pauses between tries at a coordinator that does not answer.

use std::time::Duration;

use uuid::Uuid;

/// Pauses that double, each shortened by up to half at random so that many workers spread out.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
    limit: Duration,
}

const FIRST: Duration = Duration::from_millis(50);

impl Backoff {
    /// Starts short and never exceeds `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { next: FIRST, limit }
    }

    /// Starts short again: somebody answered.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits the next pause.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next_pause(random_fraction())).await;
    }

    fn next_pause(&mut self, fraction: f64) -> Duration {
        let longest = self.next.min(self.limit);
        self.next = longest * 2;
        longest.mul_f64(0.5 + fraction / 2.0)
    }
}

/// Uniform in [0, 1). Only pauses depend on it, never a result.
fn random_fraction() -> f64 {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    f64::from(low as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(150));
        let pauses: Vec<_> = (0..4)
            .map(|_| backoff.next_pause(1.0).as_millis())
            .collect();
        assert_eq!(pauses, [50, 100, 150, 150]);
        backoff.reset();
        assert_eq!(backoff.next_pause(0.0).as_millis(), 25);
    }
}
