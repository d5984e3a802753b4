//! Choices that a seed makes again: SplitMix64 (Steele et al. 2014), so that a failing schedule can
//! be replayed on any machine.

use std::ops::Range;
use std::time::Duration;

/// A sequence of choices.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The choices of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `range`, which must not be empty.
    pub fn number(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % (range.end - range.start) as u64) as usize
    }

    /// One of `things`, of which there must be one.
    pub fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.number(0..things.len())]
    }

    /// A time between two bounds, in milliseconds.
    pub fn time(&mut self, milliseconds: Range<usize>) -> Duration {
        Duration::from_millis(self.number(milliseconds) as u64)
    }
}
