//! Σ w·y over the entries of a row, for all columns of a power iteration. Each column is added in the
//! order of the entries.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::power::{GROUP, Iterate};
use crate::simd::{LocalColumn, Weights, prefetch};
use rayon::prelude::*;

/// Entries over which one group passes before the next one does.
const STRIP: usize = 128;
/// Entries whose rows are prefetched ahead of the one in use (RMAT 20, 16 columns of f32: 46 ms a
/// step without, 32 ms with it).
pub(super) const AHEAD: usize = 24;

/// One bit per row of `x` (`width` numbers each), the lowest of a word first: whether the row holds
/// anything but zeros.
pub fn active_rows<T: Iterate>(x: &[T], width: usize) -> Vec<u64> {
    const WORDS: usize = 64;
    let bits = u64::BITS as usize;
    let mut active = vec![0; x.len().div_ceil(width * bits)];
    let chunks = active
        .par_chunks_mut(WORDS)
        .zip(x.par_chunks(WORDS * bits * width));
    chunks.for_each(|(words, x)| {
        for (word, x) in words.iter_mut().zip(x.chunks(bits * width)) {
            for (bit, row) in x.chunks_exact(width).enumerate() {
                let any = row.iter().any(|&value| value != T::default());
                *word |= u64::from(any) << bit;
            }
        }
    });
    active
}

/// As [`gather`], leaving out rows that are not `active`. Out of line, so that it takes no registers
/// from the other.
#[inline(never)]
pub(super) fn gather_active<C: LocalColumn, W: Weights, T: Iterate, const N: usize>(
    columns: &[C],
    weights: W,
    active: &[u64],
    y: &[[[T; GROUP]; N]],
) -> [[f64; GROUP]; N] {
    let mut sums = [[0.0; GROUP]; N];
    for (k, column) in columns.iter().enumerate() {
        let column = column.index();
        if (active[column / 64] >> (column % 64)) & 1 == 0 {
            continue;
        }
        let weight = f64::from(weights.at(k));
        for (sum, y) in sums.iter_mut().zip(&y[column]) {
            for lane in 0..GROUP {
                sum[lane] += weight * y[lane].widen();
            }
        }
    }
    sums
}

/// Σ w·y over the entries of a row, `ahead` being prefetched: strip by strip, group by group, so that
/// a group's sums stay in registers.
#[inline(always)]
pub(super) fn gather<C: LocalColumn, W: Weights, T: Iterate, const N: usize>(
    columns: &[C],
    weights: W,
    ahead: &[C],
    y: &[[[T; GROUP]; N]],
) -> [[f64; GROUP]; N] {
    let mut sums = [[0.0; GROUP]; N];
    for (strip, columns) in columns.chunks(STRIP).enumerate() {
        let ahead = ahead.get(STRIP * strip..).unwrap_or_default();
        for (group, total) in sums.iter_mut().enumerate() {
            let mut sum = *total;
            for (k, column) in columns.iter().enumerate() {
                if let Some(column) = ahead.get(k) {
                    prefetch(&y[column.index()][group]);
                }
                let (weight, y) = (
                    f64::from(weights.at(STRIP * strip + k)),
                    &y[column.index()][group],
                );
                for lane in 0..GROUP {
                    sum[lane] += weight * y[lane].widen();
                }
            }
            *total = sum;
        }
    }
    sums
}
