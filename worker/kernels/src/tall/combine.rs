//! Linear combinations of tall matrices, computed in f64 and rounded once.

use super::{TILE_ROWS, tiles, widen};
use crate::panel::Panel;
use crate::reduce::{CHUNK_ROWS, chunk_rows, fold_in_order};
use crate::simd::vectorized;
use crate::small::Small;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// One tile's work space.
pub(super) struct Workspace {
    wide: Vec<f64>,
    pub(super) product: Vec<f64>,
}

impl Workspace {
    /// For terms of at most `width` columns and a product of `columns`.
    pub(super) fn new(width: usize, columns: usize) -> Self {
        Self {
            wide: vec![0.0; TILE_ROWS * width],
            product: vec![0.0; TILE_ROWS * columns],
        }
    }

    /// Rows `rows` (at most [`TILE_ROWS`]) of Σ X S, in f64.
    pub(super) fn combine_rows(
        &mut self,
        terms: &[(&Panel, &Small)],
        rows: Range<usize>,
        columns: usize,
    ) -> &mut [f64] {
        let product = &mut self.product[..rows.len() * columns];
        product.fill(0.0);
        for (x, s) in terms {
            let l = x.ncols();
            let wide = &mut self.wide[..rows.len() * l];
            widen(&x.as_slice()[rows.start * l..rows.end * l], wide);
            add_product(wide, rows.len(), s, product);
        }
        product
    }
}

/// product += wide · s, `wide` having `rows` rows.
pub(super) fn add_product(wide: &[f64], rows: usize, s: &Small, product: &mut [f64]) {
    let (l, columns) = (s.nrows(), s.ncols());
    if l == 0 || columns == 0 {
        return;
    }
    let wide = MatRef::from_row_major_slice(wide, rows, l);
    let mut product = MatMut::from_row_major_slice_mut(product, rows, columns);
    for depth in tiles(0..l) {
        matmul(
            product.as_mut(),
            Accum::Add,
            wide.subcols(depth.start, depth.len()),
            s.as_mat().subrows(depth.start, depth.len()),
            1.0,
            Par::Seq,
        );
    }
}

fn check_shapes(terms: &[(&Panel, &Small)], out: &Panel) {
    for (x, s) in terms {
        assert_eq!(x.nrows(), out.nrows(), "same rows as the result");
        assert_eq!(x.ncols(), s.nrows(), "inner dimensions agree");
        assert_eq!(s.ncols(), out.ncols(), "same columns as the result");
    }
}

/// out = Σ Xᵢ Sᵢ over `terms` (Xᵢ n×lᵢ, Sᵢ lᵢ×q), in f64, rounded once to f32. `out` is n×q.
///
/// # Panics
/// If shapes disagree.
pub fn combine(terms: &[(&Panel, &Small)], out: &mut Panel) {
    combine_and_sum(terms, out, |_, _, _, _| ());
}

/// As [`combine`], and per column j of the result Σᵢ wᵢ (exactᵢⱼ − outᵢⱼ)²: what rounding lost.
///
/// `weights` has one entry wᵢ ≥ 0 per row; `None` means ones.
///
/// # Panics
/// If shapes disagree.
pub fn combine_with_rounding(
    terms: &[(&Panel, &Small)],
    weights: Option<&[f64]>,
    out: &mut Panel,
) -> Vec<f64> {
    if let Some(weights) = weights {
        assert_eq!(weights.len(), out.nrows(), "one weight per row");
    }
    combine_and_sum(terms, out, |row, exact, rounded, sum| {
        let weight = weights.map_or(1.0, |weights| weights[row]);
        for ((sum, &exact), &rounded) in sum.iter_mut().zip(exact).zip(rounded) {
            let lost = exact - f64::from(rounded);
            *sum = (weight * lost).mul_add(lost, *sum);
        }
    })
}

/// [`combine`], and a sum over rows of what `add(row, exact, rounded, sum)` adds.
fn combine_and_sum(
    terms: &[(&Panel, &Small)],
    out: &mut Panel,
    add: impl Fn(usize, &[f64], &[f32], &mut [f64]) + Sync,
) -> Vec<f64> {
    check_shapes(terms, out);
    let (n, columns) = (out.nrows(), out.ncols());
    if columns == 0 {
        return Vec::new();
    }
    let width = terms.iter().map(|(x, _)| x.ncols()).max().unwrap_or(0);
    let chunks = out.as_mut_slice().par_chunks_mut(CHUNK_ROWS * columns);
    let partials: Vec<Vec<f64>> = chunks
        .enumerate()
        .map(|(chunk, out)| {
            let mut workspace = Workspace::new(width, columns);
            let mut sum = vec![0.0; columns];
            let tiles = tiles(chunk_rows(chunk, n));
            for (rows, out) in tiles.zip(out.chunks_mut(TILE_ROWS * columns)) {
                let exact = workspace.combine_rows(terms, rows.clone(), columns);
                vectorized(
                    #[inline(always)]
                    || {
                        for (out, &exact) in out.iter_mut().zip(&*exact) {
                            *out = exact as f32;
                        }
                        let pairs = exact.chunks_exact(columns).zip(out.chunks_exact(columns));
                        for (row, (exact, rounded)) in rows.zip(pairs) {
                            add(row, exact, rounded, &mut sum);
                        }
                    },
                );
            }
            sum
        })
        .collect();
    fold_in_order(&partials, columns)
}
