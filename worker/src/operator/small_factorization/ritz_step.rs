//! One Rayleigh–Ritz step of block Lanczos with full orthogonalization.
//!
//! The basis Q grows by the block X that AᵀA was just applied to; C = Qᵀ AᵀA X. What is left of
//! AᵀA X beyond Q is the remainder, of which only the Gram matrix is needed here. Since every
//! earlier block was orthogonalized in full, T = Qᵀ AᵀA Q grows by C's columns and their mirror
//! image, and ‖AᵀA q − θ q‖ of a Ritz vector q = Q s is ‖remainder · (last rows of s)‖.

use rankmill_common::{Error, Result};
use rankmill_kernels::{
    Small, longest_directions, scaled_rank_revealing_orthonormalizer, symmetric_eigen,
};

use super::super::small_matrix::failed;
use super::Answer;

const WHAT: &str = "a Rayleigh-Ritz step";

/// What of a step's results is wanted.
pub(super) struct Kept {
    /// Length below which a direction of the remainder is noise, relative to ‖AᵀA‖.
    pub(super) noise: f64,
    /// Directions of the remainder, at most.
    pub(super) room: usize,
    /// Values and residuals.
    pub(super) report: usize,
}

/// `[T, S, P]`; `[T, S]` where nothing is left of the remainder: no direction of it is longer than
/// the noise, or there is no room for any.
pub(super) fn factorize(
    projected: &Small,
    coefficients: &Small,
    remainder: &Small,
    kept: Kept,
) -> Result<Answer> {
    let (old, width) = (projected.nrows(), coefficients.ncols());
    let known = width..=old + width;
    if !known.contains(&coefficients.nrows()) || remainder.nrows() != width {
        return Err(Error::internal(format!(
            "a projection of order {old} grows by {} x {width} coefficients",
            coefficients.nrows()
        )));
    }
    let grown = grow(projected, coefficients);
    let (values, vectors) = symmetric_eigen(&grown).map_err(|e| failed(WHAT, &e))?;
    let reported = kept.report.min(values.len());
    let residuals = residuals(&vectors, remainder, reported);
    let largest = values.first().copied().unwrap_or(0.0).max(0.0);
    let floor = kept.noise * largest;
    let mut found =
        scaled_rank_revealing_orthonormalizer(remainder, floor).map_err(|e| failed(WHAT, &e))?;
    if found.rank > kept.room {
        found = longest_directions(remainder, floor, kept.room).map_err(|e| failed(WHAT, &e))?;
    }
    let mut matrices = vec![("projected", grown), ("vectors", vectors)];
    if found.rank > 0 {
        matrices.push(("transform", found.transform));
    }
    Ok(Answer {
        matrices,
        values: values[..reported].to_vec(),
        residuals,
        rank: found.rank,
        ..Answer::default()
    })
}

/// [[T, C₁], [C₁ᵀ, (C₂ + C₂ᵀ)/2]], C being zero above the rows that are given.
fn grow(projected: &Small, coefficients: &Small) -> Small {
    let old = projected.nrows();
    let order = old + coefficients.ncols();
    let above = order - coefficients.nrows();
    let c = |i: usize, j: usize| match i.checked_sub(above) {
        Some(row) => coefficients[(row, j)],
        None => 0.0,
    };
    Small::from_fn(order, order, |i, j| match (i < old, j < old) {
        (true, true) => projected[(i, j)],
        (true, false) => c(i, j - old),
        (false, true) => c(j, i - old),
        (false, false) => 0.5 * (c(i, j - old) + c(j, i - old)),
    })
}

/// √(sᵀ G s) for the last rows s of the first `count` eigenvectors.
fn residuals(vectors: &Small, remainder: &Small, count: usize) -> Vec<f64> {
    let (order, width) = (vectors.nrows(), remainder.nrows());
    let last = vectors.submatrix(order - width..order, 0..count);
    let image = remainder.matmul(&last);
    (0..count)
        .map(|j| {
            let square: f64 = (0..width).map(|i| last[(i, j)] * image[(i, j)]).sum();
            square.max(0.0).sqrt()
        })
        .collect()
}
