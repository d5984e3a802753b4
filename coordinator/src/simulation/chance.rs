//! The one source of chance: everything that a run leaves open follows from its seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Seeded choices, drawn in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct Chance {
    state: Mutex<u64>,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed ^ 0x5851_f42d_4c95_7f2d),
        }
    }

    /// Steele, Lea, Flood 2014: SplitMix64.
    fn next(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..count`.
    pub(super) fn below(&self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    /// One of `low..=high`.
    pub(super) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// Milliseconds, `low..=high`.
    pub(super) fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// True in `permille` of a thousand cases.
    pub(super) fn happens(&self, permille: u64) -> bool {
        permille > 0 && self.next() % 1000 < permille
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}
