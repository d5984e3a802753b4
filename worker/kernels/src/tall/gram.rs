//! AᵀA and AᵀB of tall matrices.

use super::{tiles, widen};
use crate::panel::Panel;
use crate::reduce::{chunk_count, chunk_rows, ordered_sum};
use crate::small::{Small, mirror_upper};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, MatRef, Par};

/// aᵀa (l×l) of `a` (n×l), in f64; exactly symmetric.
pub fn gram(a: &Panel) -> Small {
    let (n, l) = (a.nrows(), a.ncols());
    if l == 0 {
        return Small::zeros(0, 0);
    }
    let mut total = ordered_sum(chunk_count(n), l * l, |chunk, sum| {
        let mut wide = vec![0.0; super::TILE_ROWS.min(n) * l];
        for rows in tiles(chunk_rows(chunk, n)) {
            let wide = &mut wide[..rows.len() * l];
            widen(&a.as_slice()[rows.start * l..rows.end * l], wide);
            add_gram(wide, rows.len(), l, sum);
        }
    });
    mirror_upper(&mut total, l);
    Small::from_vec(l, l, total)
}

/// Upper triangle of sum += tileᵀ tile.
pub(super) fn add_gram(tile: &[f64], rows: usize, l: usize, sum: &mut [f64]) {
    let tile = MatRef::from_row_major_slice(tile, rows, l);
    triangular_matmul(
        MatMut::from_row_major_slice_mut(sum, l, l),
        BlockStructure::TriangularUpper,
        Accum::Add,
        tile.transpose(),
        BlockStructure::Rectangular,
        tile,
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
}

/// aᵀb (p×q) of `a` (n×p) and `b` (n×q), in f64.
///
/// # Panics
/// If the numbers of rows differ.
pub fn cross(a: &Panel, b: &Panel) -> Small {
    assert_eq!(a.nrows(), b.nrows(), "same rows");
    let (n, p, q) = (a.nrows(), a.ncols(), b.ncols());
    if p == 0 || q == 0 {
        return Small::zeros(p, q);
    }
    let total = ordered_sum(chunk_count(n), p * q, |chunk, sum| {
        let mut left = vec![0.0; super::TILE_ROWS.min(n) * p];
        let mut right = vec![0.0; super::TILE_ROWS.min(n) * q];
        for rows in tiles(chunk_rows(chunk, n)) {
            let left = &mut left[..rows.len() * p];
            let right = &mut right[..rows.len() * q];
            widen(&a.as_slice()[rows.start * p..rows.end * p], left);
            widen(&b.as_slice()[rows.start * q..rows.end * q], right);
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
