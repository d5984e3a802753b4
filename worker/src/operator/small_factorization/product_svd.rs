//! Singular vectors of Y = A V from YᵀY: M and W such that U = Y M, and V W are singular vectors.
//!
//! Cholesky QR of Y with its columns scaled to length one keeps small singular values accurate to
//! their own size. Where the columns are too dependent for it, eigenvectors of YᵀY give what f64
//! can resolve. Directions that are zero to rounding are marked as missing from U: what is left of
//! them is no direction of A, and AᵀU would be divided by them.

use rankmill_common::Result;
use rankmill_common::job::svd::Rank;
use rankmill_kernels::{Small, SmallError, cholesky, svd, symmetric_eigen, upper_inverse};

use super::super::small_matrix::failed;
use super::{Answer, and_next, components, roots};

/// Smallest squared pivot of the scaled Gram matrix for which Cholesky is trusted.
const SMALLEST_PIVOT2: f64 = 1e-10;

/// Singular values below this, relative to the first, are zero to rounding.
const ZERO: f64 = 1e-7;

/// `[M, W, σ, fill, keep]`.
pub(super) fn factorize(gram: &Small, rank: Rank, frobenius2: f64) -> Result<Answer> {
    let width = gram.nrows();
    let found = decompose(gram).map_err(|e| failed("the product's singular values", &e))?;
    let squares: Vec<f64> = found.sigma.iter().map(|sigma| sigma * sigma).collect();
    let k = components(rank, &squares, frobenius2);
    let kept = found.rank.min(k);
    let diagonal = |first: usize, end: usize| {
        Small::from_fn(k, k, |i, j| {
            if i == j && (first..end).contains(&i) {
                1.0
            } else {
                0.0
            }
        })
    };
    let sigma = Small::from_vec(1, k, found.sigma[..k].to_vec());
    Ok(Answer {
        matrices: vec![
            ("left", found.left.submatrix(0..width, 0..k)),
            ("rotation", found.rotation.submatrix(0..width, 0..k)),
            ("sigma", sigma),
            ("fill", diagonal(kept, k)),
            ("keep", diagonal(0, kept)),
        ],
        values: and_next(&found.sigma, k),
        rank: kept,
        ..Answer::default()
    })
}

/// M, W and σ in full width.
struct Decomposition {
    left: Small,
    rotation: Small,
    sigma: Vec<f64>,
    rank: usize,
}

fn decompose(gram: &Small) -> Result<Decomposition, SmallError> {
    match by_cholesky(gram)? {
        Some(found) => Ok(found),
        None => by_eigenvectors(gram),
    }
}

/// R = R̂ D with D the lengths of the columns; then the SVD of R.
fn by_cholesky(gram: &Small) -> Result<Option<Decomposition>, SmallError> {
    let width = gram.nrows();
    let lengths: Vec<f64> = roots(&(0..width).map(|j| gram[(j, j)]).collect::<Vec<_>>());
    if lengths.contains(&0.0) {
        return Ok(None);
    }
    let inverse: Vec<f64> = lengths.iter().map(|length| 1.0 / length).collect();
    let scaled = gram.scale_rows(&inverse).scale_columns(&inverse);
    let factor = match cholesky(&scaled) {
        Ok(factor) => factor,
        Err(SmallError::NotPositiveDefinite { .. }) => return Ok(None),
        Err(
            error @ (SmallError::NotFinite { .. }
            | SmallError::NotSquare { .. }
            | SmallError::Singular { .. }
            | SmallError::NoConvergence { .. }),
        ) => return Err(error),
    };
    if (0..width).any(|j| factor[(j, j)].powi(2) <= SMALLEST_PIVOT2) {
        return Ok(None);
    }
    let found = svd(&factor.scale_columns(&lengths))?;
    let inverse_factor = upper_inverse(&factor)?.scale_rows(&inverse);
    let rank = resolved(&found.values);
    let kept: Vec<f64> = (0..width).map(|j| f64::from(u8::from(j < rank))).collect();
    Ok(Some(Decomposition {
        left: inverse_factor.matmul(&found.u).scale_columns(&kept),
        rotation: found.v,
        sigma: found.values,
        rank,
    }))
}

/// G = W Λ Wᵀ; M = W Λ^{-1/2}, with zero columns where Λ is zero to rounding.
fn by_eigenvectors(gram: &Small) -> Result<Decomposition, SmallError> {
    let (values, vectors) = symmetric_eigen(gram)?;
    let sigma = roots(&values);
    let rank = resolved(&sigma);
    let inverse = sigma.iter().enumerate();
    let inverse: Vec<f64> = inverse
        .map(|(j, &sigma)| if j < rank { 1.0 / sigma } else { 0.0 })
        .collect();
    Ok(Decomposition {
        left: vectors.scale_columns(&inverse),
        rotation: vectors,
        sigma,
        rank,
    })
}

/// How many of descending singular values are not zero to rounding.
fn resolved(sigma: &[f64]) -> usize {
    let limit = ZERO * sigma.first().copied().unwrap_or(0.0);
    sigma.partition_point(|&sigma| sigma > limit)
}
