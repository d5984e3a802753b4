//! Linear combinations and inner products of tall matrices of either precision, one summand at a
//! time, so that a sum of many needs the memory of one.

use super::combine::add_product as add_tile_product;
use super::{TILE_ROWS, tiles, widen};
use crate::reduce::{CHUNK_ROWS, chunk_count, chunk_rows, fold_in_order, ordered_sum};
use crate::simd::vectorized;
use crate::small::Small;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// The entries of a tall matrix, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// Of 32 bits.
    Single(&'a [f32]),
    /// Of 64 bits.
    Double(&'a [f64]),
}

impl Entries<'_> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(entries) => entries.len(),
            Self::Double(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries `range` in f64.
    fn copy(&self, range: Range<usize>, wide: &mut [f64]) {
        match self {
            Self::Single(entries) => widen(&entries[range], wide),
            Self::Double(entries) => wide.copy_from_slice(&entries[range]),
        }
    }
}

/// acc += scale · x.
///
/// # Panics
/// If the lengths differ.
pub fn add_scaled(acc: &mut [f64], x: Entries, scale: f64) {
    const PIECE: usize = 1 << 16;
    assert_eq!(acc.len(), x.len(), "same length");
    let pieces = acc.par_chunks_mut(PIECE).enumerate();
    pieces.for_each(|(piece, acc)| {
        let range = piece * PIECE..piece * PIECE + acc.len();
        vectorized(
            #[inline(always)]
            || match x {
                Entries::Single(x) => {
                    for (acc, &x) in acc.iter_mut().zip(&x[range]) {
                        *acc = scale.mul_add(f64::from(x), *acc);
                    }
                }
                Entries::Double(x) => {
                    for (acc, &x) in acc.iter_mut().zip(&x[range]) {
                        *acc = scale.mul_add(x, *acc);
                    }
                }
            },
        );
    });
}

/// acc += x · s for `acc` n×q, `x` n×l and `s` l×q.
///
/// # Panics
/// If shapes disagree.
pub fn add_product(acc: &mut [f64], x: Entries, s: &Small) {
    let (l, q) = (s.nrows(), s.ncols());
    if l == 0 || q == 0 {
        return;
    }
    assert_eq!(acc.len() / q * l, x.len(), "x has the rows of the sum");
    let chunks = acc.par_chunks_mut(CHUNK_ROWS * q).enumerate();
    chunks.for_each(|(chunk, acc)| {
        let first = chunk * CHUNK_ROWS;
        let mut wide = vec![0.0; TILE_ROWS.min(acc.len() / q) * l];
        for rows in tiles(0..acc.len() / q) {
            let wide = &mut wide[..rows.len() * l];
            x.copy((first + rows.start) * l..(first + rows.end) * l, wide);
            add_tile_product(wide, rows.len(), s, &mut acc[rows.start * q..rows.end * q]);
        }
    });
}

/// Rounds `exact` (n×`ncols`) to `rounded`; per column j, Σᵢ wᵢ (exactᵢⱼ − roundedᵢⱼ)².
///
/// `weights` has one entry wᵢ ≥ 0 per row; `None` means ones.
///
/// # Panics
/// If shapes disagree.
pub fn round_weighted(
    exact: &[f64],
    ncols: usize,
    weights: Option<&[f64]>,
    rounded: &mut [f32],
) -> Vec<f64> {
    assert_eq!(exact.len(), rounded.len(), "same shape");
    if ncols == 0 {
        return Vec::new();
    }
    if let Some(weights) = weights {
        assert_eq!(weights.len() * ncols, exact.len(), "one weight per row");
    }
    let chunks = exact
        .par_chunks(CHUNK_ROWS * ncols)
        .zip(rounded.par_chunks_mut(CHUNK_ROWS * ncols));
    let partials: Vec<Vec<f64>> = chunks
        .enumerate()
        .map(|(chunk, (exact, rounded))| {
            let mut sum = vec![0.0; ncols];
            let rows = exact
                .chunks_exact(ncols)
                .zip(rounded.chunks_exact_mut(ncols));
            vectorized(
                #[inline(always)]
                || {
                    for (row, (exact, rounded)) in rows.enumerate() {
                        let weight =
                            weights.map_or(1.0, |weights| weights[chunk * CHUNK_ROWS + row]);
                        for ((sum, &exact), rounded) in sum.iter_mut().zip(exact).zip(rounded) {
                            *rounded = exact as f32;
                            let lost = exact - f64::from(*rounded);
                            *sum = (weight * lost).mul_add(lost, *sum);
                        }
                    }
                },
            );
            sum
        })
        .collect();
    fold_in_order(&partials, ncols)
}

/// aᵀb (p×q) of `a` (n×p) and `b` (n×q), in f64.
///
/// # Panics
/// If the numbers of rows differ.
pub fn cross_entries(a: Entries, p: usize, b: Entries, q: usize) -> Small {
    if p == 0 || q == 0 {
        return Small::zeros(p, q);
    }
    let n = a.len() / p;
    assert_eq!(b.len() / q, n, "same rows");
    let total = ordered_sum(chunk_count(n), p * q, |chunk, sum| {
        let mut left = vec![0.0; TILE_ROWS.min(n) * p];
        let mut right = vec![0.0; TILE_ROWS.min(n) * q];
        for rows in tiles(chunk_rows(chunk, n)) {
            let left = &mut left[..rows.len() * p];
            let right = &mut right[..rows.len() * q];
            a.copy(rows.start * p..rows.end * p, left);
            b.copy(rows.start * q..rows.end * q, right);
            matmul(
                MatMut::from_row_major_slice_mut(sum, p, q),
                Accum::Add,
                MatRef::from_row_major_slice(left, rows.len(), p).transpose(),
                MatRef::from_row_major_slice(right, rows.len(), q),
                1.0,
                Par::Seq,
            );
        }
    });
    Small::from_vec(p, q, total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize, salt: usize) -> Vec<f64> {
        (0..len)
            .map(|i| ((i * 7919 + salt * 104_729) % 1009) as f64 / 1009.0 - 0.4)
            .collect()
    }

    fn narrow(wide: &[f64]) -> Vec<f32> {
        wide.iter().map(|&x| x as f32).collect()
    }

    #[test]
    fn a_product_is_added_row_by_row_for_either_precision() {
        let (n, l, q) = (CHUNK_ROWS + 700, 5, 3);
        let x = numbers(n * l, 1);
        let s = Small::from_vec(l, q, numbers(l * q, 2));
        let mut acc = vec![1.0; n * q];
        add_product(&mut acc, Entries::Double(&x), &s);
        let single = narrow(&x);
        let mut rough = vec![1.0; n * q];
        add_product(&mut rough, Entries::Single(&single), &s);
        for i in 0..n {
            for j in 0..q {
                let exact: f64 = 1.0 + (0..l).map(|k| x[i * l + k] * s[(k, j)]).sum::<f64>();
                assert!((acc[i * q + j] - exact).abs() < 1e-14);
                assert!((rough[i * q + j] - exact).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn scaled_sums_subtract_what_they_added() {
        let x = numbers(200_000, 3);
        let mut acc = vec![0.25; x.len()];
        add_scaled(&mut acc, Entries::Double(&x), -2.0);
        assert_eq!(acc[77], 0.25 - 2.0 * x[77]);
        add_scaled(&mut acc, Entries::Single(&narrow(&x)), 2.0);
        assert!((acc[199_999] - 0.25).abs() < 1e-6);
    }

    #[test]
    fn rounding_is_weighed_per_row() {
        let (n, ncols) = (CHUNK_ROWS + 9, 2);
        let exact = numbers(n * ncols, 4);
        let weights = numbers(n, 5).iter().map(|w| w.abs()).collect::<Vec<_>>();
        let mut rounded = vec![0.0; exact.len()];
        let lost = round_weighted(&exact, ncols, Some(&weights), &mut rounded);
        for (j, lost) in lost.into_iter().enumerate() {
            let expected: f64 = (0..n)
                .map(|i| {
                    let at = i * ncols + j;
                    weights[i] * (exact[at] - f64::from(exact[at] as f32)).powi(2)
                })
                .sum();
            assert!((lost - expected).abs() <= 1e-12 * expected);
        }
        assert_eq!(rounded, narrow(&exact));
    }

    #[test]
    fn inner_products_mix_precisions() {
        let (n, p, q) = (2 * CHUNK_ROWS + 1, 2, 3);
        let (a, b) = (numbers(n * p, 6), numbers(n * q, 7));
        let b = narrow(&b);
        let product = cross_entries(Entries::Double(&a), p, Entries::Single(&b), q);
        for i in 0..p {
            for j in 0..q {
                let exact: f64 = (0..n).map(|r| a[r * p + i] * f64::from(b[r * q + j])).sum();
                assert!((product[(i, j)] - exact).abs() < 1e-9);
            }
        }
    }
}
