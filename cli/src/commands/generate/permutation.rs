//! A pseudo-random permutation of 0..n that needs no memory, and the hash it is made of.

use rankmill_kernels::Philox;

const ROUNDS: usize = 6;

/// Mixes 64 bits: the finalizer of `SplitMix64` (Steele et al., OOPSLA 2014).
#[inline]
pub(super) fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A key for one purpose under `seed`.
pub(super) fn key(seed: u64, purpose: u32) -> u64 {
    let words = Philox::new(seed).block([purpose, 0, 0, u32::MAX]);
    u64::from(words[0]) | u64::from(words[1]) << 32
}

/// A Feistel network on the next power of two, walked until it falls below n (Black and Rogaway,
/// "Ciphers with arbitrary finite domains", CT-RSA 2002).
#[derive(Clone, Debug)]
pub(super) struct Permutation {
    n: u64,
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
    keys: [u64; ROUNDS],
}

impl Permutation {
    pub(super) fn new(n: u64, key: u64) -> Self {
        let bits = n.max(4).next_power_of_two().ilog2();
        let low_bits = bits / 2;
        Self {
            n,
            low_bits,
            low_mask: (1 << low_bits) - 1,
            high_mask: (1 << (bits - low_bits)) - 1,
            keys: std::array::from_fn(|round| mix(key.wrapping_add(round as u64 + 1))),
        }
    }

    /// Where `index` goes; `index` must lie below n.
    #[inline]
    pub(super) fn apply(&self, index: u64) -> u64 {
        let mut x = self.pass(index);
        while x >= self.n {
            x = self.pass(x);
        }
        x
    }

    #[inline]
    fn pass(&self, x: u64) -> u64 {
        let (mut low, mut high) = (x & self.low_mask, x >> self.low_bits);
        for pair in self.keys.chunks_exact(2) {
            low ^= mix(high ^ pair[0]) & self.low_mask;
            high ^= mix(low ^ pair[1]) & self.high_mask;
        }
        high << self.low_bits | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_index_is_hit_once(n in 1u64..3000, key: u64) {
            let permutation = Permutation::new(n, key);
            let mut images: Vec<u64> = (0..n).map(|i| permutation.apply(i)).collect();
            images.sort_unstable();
            prop_assert!(images.into_iter().eq(0..n));
        }
    }

    #[test]
    fn neighbours_part() {
        let permutation = Permutation::new(1 << 40, 7);
        let apart = (0..1000)
            .filter(|&i| permutation.apply(i).abs_diff(permutation.apply(i + 1)) > 1 << 30);
        assert!(apart.count() > 950);
    }
}
