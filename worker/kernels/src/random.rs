//! Counter-based random numbers: any entry of a random matrix, regenerated anywhere.
//!
//! Philox4x32-10 after Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC'11).
//! Logarithm and cosine are libm's, in pure Rust, so the bits do not depend on the platform.

use crate::panel::Panel;
use rayon::prelude::*;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The Philox4x32-10 bijection under one key.
#[derive(Clone, Copy, Debug)]
pub struct Philox {
    key: [u32; 2],
}

impl Philox {
    /// The generator keyed by `key` (low half first, as in Random123).
    pub fn new(key: u64) -> Self {
        Self {
            key: [key as u32, (key >> 32) as u32],
        }
    }

    /// Four independent uniform 32-bit words for `counter`.
    #[inline]
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let mut key = self.key;
        let mut words = counter;
        for round in 0..ROUNDS {
            if round > 0 {
                key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            }
            let first = u64::from(MULTIPLIERS[0]) * u64::from(words[0]);
            let second = u64::from(MULTIPLIERS[1]) * u64::from(words[2]);
            words = [
                (second >> 32) as u32 ^ words[1] ^ key[0],
                second as u32,
                (first >> 32) as u32 ^ words[3] ^ key[1],
                first as u32,
            ];
        }
        words
    }
}

/// Row `row` of the standard Gaussian matrix `stream` under `seed`.
///
/// Entry (row, col) depends on (seed, stream, row, col) alone, not on the width of `out`.
pub fn gaussian_row(seed: u64, stream: u32, row: u64, out: &mut [f32]) {
    let philox = Philox::new(seed);
    for (quad, out) in out.chunks_mut(4).enumerate() {
        let counter = [row as u32, (row >> 32) as u32, quad as u32, stream];
        let words = philox.block(counter);
        let normals = [
            box_muller(words[0], words[1]),
            box_muller(words[2], words[3]),
        ];
        for (out, normal) in out.iter_mut().zip(normals.as_flattened()) {
            *out = *normal;
        }
    }
}

/// Rows `first_row..first_row + panel.nrows()` of the Gaussian matrix of [`gaussian_row`].
pub fn gaussian_panel(seed: u64, stream: u32, first_row: u64, panel: &mut Panel) {
    let ncols = panel.ncols().max(1);
    let rows = panel.as_mut_slice().par_chunks_mut(ncols).enumerate();
    rows.with_min_len(256)
        .for_each(|(row, out)| gaussian_row(seed, stream, first_row + row as u64, out));
}

/// Two independent standard normals from two uniform words. Single precision is what is stored, and
/// a third of the time of double.
fn box_muller(radius: u32, angle: u32) -> [f32; 2] {
    const SCALE: f64 = 1.0 / 4_294_967_296.0;
    // In (0, 1]: the logarithm stays finite, the largest normal is 6.66.
    let uniform = (f64::from(radius) + 1.0) * SCALE;
    let radius = libm::sqrtf(-2.0 * libm::logf(uniform as f32));
    // Two bits pick a quarter turn, the others an angle within an eighth of a turn of zero: the
    // cheapest and most accurate case of sine and cosine, without a branch to mispredict.
    let eighths = f64::from(angle << 2) * SCALE - 0.5;
    let (sine, cosine) = libm::sincosf((std::f64::consts::FRAC_PI_2 * eighths) as f32);
    let turned = [
        [cosine, sine],
        [-sine, cosine],
        [-cosine, -sine],
        [sine, -cosine],
    ];
    turned[(angle >> 30) as usize].map(|normal| radius * normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_known_answers_of_random123() {
        let zeros = Philox::new(0).block([0; 4]);
        assert_eq!(zeros, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = Philox::new(u64::MAX).block([u32::MAX; 4]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let key = 0x299f_31d0_a409_3822;
        let pi = Philox::new(key).block([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn an_entry_does_not_depend_on_the_width_of_its_row() {
        let mut wide = [0.0; 23];
        let mut narrow = [0.0; 6];
        gaussian_row(7, 1, 1 << 40, &mut wide);
        gaussian_row(7, 1, 1 << 40, &mut narrow);
        assert_eq!(wide[..6], narrow);
        let mut panel = Panel::new(3, 23);
        gaussian_panel(7, 1, (1 << 40) - 2, &mut panel);
        assert_eq!(panel.row(2), wide);
    }

    #[test]
    fn entries_have_the_moments_of_a_standard_normal() {
        let mut panel = Panel::new(4000, 50);
        gaussian_panel(42, 3, 0, &mut panel);
        let n = panel.as_slice().len() as f64;
        let moment = |p: i32| {
            let powers = panel.as_slice().iter().map(|&x| f64::from(x).powi(p));
            powers.sum::<f64>() / n
        };
        assert!(moment(1).abs() < 0.01, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.03, "skew {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.1, "kurtosis {}", moment(4));
    }

    #[test]
    fn streams_and_seeds_differ() {
        let draw = |seed, stream| {
            let mut out = [0.0; 4];
            gaussian_row(seed, stream, 5, &mut out);
            out
        };
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1 << 32, 0));
    }
}
