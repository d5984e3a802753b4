//! Rounding a tall f64 matrix to f32, and how much that loses.

use crate::reduce::{CHUNK_ROWS, fold_in_order};
use crate::simd::vectorized;
use rayon::prelude::*;

/// Rounds `exact` (`stride` wide) to `rounded` (l wide); per column, the squared norm of the loss.
pub(crate) fn round(exact: &[f64], stride: usize, rounded: &mut [f32], l: usize) -> Vec<f64> {
    if l == 0 {
        return Vec::new();
    }
    let chunks = exact
        .par_chunks(CHUNK_ROWS * stride)
        .zip(rounded.par_chunks_mut(CHUNK_ROWS * l));
    let partials: Vec<Vec<f64>> = chunks
        .map(|(exact, rounded)| {
            let mut sum = vec![0.0; l];
            vectorized(
                #[inline(always)]
                || {
                    for (exact, rounded) in
                        exact.chunks_exact(stride).zip(rounded.chunks_exact_mut(l))
                    {
                        for ((sum, &exact), rounded) in sum.iter_mut().zip(exact).zip(rounded) {
                            *rounded = exact as f32;
                            let lost = exact - f64::from(*rounded);
                            *sum = lost.mul_add(lost, *sum);
                        }
                    }
                },
            );
            sum
        })
        .collect();
    fold_in_order(&partials, l)
}
