//! Operations on tall matrices: n×l, row-major f32, every sum in f64.
//!
//! Invariant: rows are taken in fixed chunks and partial sums are added in chunk order, so results
//! do not depend on the number of threads.

mod combine;
mod extremes;
mod fused;
mod gram;
mod residual;
mod round;
mod rows;

pub use combine::{combine, combine_with_rounding};
pub use extremes::{Extreme, column_extremes};
pub use fused::{Arithmetic, Fused, FusedSums, FusedTerm, Inner, Stored, fused};
pub use gram::{cross, gram};
pub use residual::{difference_norms2, difference_norms2_f64};
pub(crate) use round::round;
pub use rows::{Entries, RowsView};

use std::ops::Range;

/// Rows converted to f64 at once. Also the most terms that one matrix product adds up, which keeps
/// its order of summation independent of the cache sizes of the machine (gemm splits at 512).
pub(crate) const TILE_ROWS: usize = 512;

/// Cuts `rows` into tiles of [`TILE_ROWS`].
pub(crate) fn tiles(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(TILE_ROWS)
        .map(move |start| start..(start + TILE_ROWS).min(end))
}

/// `wide` = `narrow` in f64.
pub(crate) fn widen(narrow: &[f32], wide: &mut [f64]) {
    assert_eq!(narrow.len(), wide.len(), "same length");
    crate::simd::vectorized(
        #[inline(always)]
        || {
            for (wide, &narrow) in wide.iter_mut().zip(narrow) {
                *wide = f64::from(narrow);
            }
        },
    );
}

/// acc += part: how partial products in f32 are summed, one after the other, in f64.
///
/// # Panics
/// If the lengths differ.
pub fn accumulate(acc: &mut [f64], part: &[f32]) {
    use rayon::prelude::*;
    const PIECE: usize = 1 << 16;
    assert_eq!(acc.len(), part.len(), "same length");
    let pieces = acc.par_chunks_mut(PIECE).zip(part.par_chunks(PIECE));
    pieces.for_each(|(acc, part)| {
        crate::simd::vectorized(
            #[inline(always)]
            || {
                for (acc, &part) in acc.iter_mut().zip(part) {
                    *acc += f64::from(part);
                }
            },
        );
    });
}

/// Σ x and Σ x² in f64, by interleaved sums that fill vector units, added in fixed order.
pub fn sum_and_square(entries: &[f32]) -> (f64, f64) {
    const LANES: usize = 32;
    crate::simd::vectorized(
        #[inline(always)]
        || {
            let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
            let mut add = |entries: &[f32]| {
                for ((sum, square), &entry) in sums.iter_mut().zip(&mut squares).zip(entries) {
                    let entry = f64::from(entry);
                    *sum += entry;
                    *square = entry.mul_add(entry, *square);
                }
            };
            let (blocks, rest) = entries.as_chunks::<LANES>();
            blocks.iter().for_each(|block| add(block));
            add(rest);
            (sums.iter().sum(), squares.iter().sum())
        },
    )
}

/// Σ x² in f64, by sixteen interleaved sums that fill vector units, added in fixed order.
pub(crate) fn squared_norm(entries: &[f32]) -> f64 {
    crate::simd::vectorized(
        #[inline(always)]
        || {
            let mut sums = [0.0; 16];
            let (blocks, rest) = entries.as_chunks::<16>();
            for block in blocks {
                for (sum, &entry) in sums.iter_mut().zip(block) {
                    let entry = f64::from(entry);
                    *sum = entry.mul_add(entry, *sum);
                }
            }
            for (sum, &entry) in sums.iter_mut().zip(rest) {
                let entry = f64::from(entry);
                *sum = entry.mul_add(entry, *sum);
            }
            sums.iter().sum()
        },
    )
}
