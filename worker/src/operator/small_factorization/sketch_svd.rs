//! One-pass SVD: from Y = A X and Z = AᵀY, without another read of A.
//!
//! Q = Y P is orthonormal, B = QᵀA = PᵀZᵀ, so B Bᵀ = Pᵀ(ZᵀZ)P. With B Bᵀ = E Σ² Eᵀ the singular
//! vectors of Q B are U = Q E = Y (P E) and V = Bᵀ E Σ⁻¹ = Z (P E Σ⁻¹).

use rankmill_common::job::svd::Rank;
use rankmill_common::{Error, Result};
use rankmill_kernels::{Small, scaled_rank_revealing_orthonormalizer, symmetric_eigen};

use super::super::small_matrix::failed;
use super::{Answer, and_next, components, roots};

/// Directions of Y, and singular values, below this part of the first are zero to rounding.
const ZERO: f64 = 1e-7;

const WHAT: &str = "the sketch's singular values";

/// `[M, N, σ]`; no matrices where Y is zero.
pub(super) fn factorize(
    gram_y: &Small,
    gram_z: &Small,
    rank: Rank,
    frobenius2: f64,
) -> Result<Answer> {
    let width = gram_y.nrows();
    if gram_z.nrows() != width {
        return Err(Error::internal("Y and Z have different widths"));
    }
    let longest = (0..width).fold(0.0_f64, |longest, j| longest.max(gram_y[(j, j)]));
    let q = scaled_rank_revealing_orthonormalizer(gram_y, ZERO * longest.sqrt())
        .map_err(|e| failed(WHAT, &e))?;
    let projected = q.transform.transposed_matmul(&gram_z.matmul(&q.transform));
    let (squares, vectors) = symmetric_eigen(&projected).map_err(|e| failed(WHAT, &e))?;
    let sigma = roots(&squares);
    let limit = ZERO * sigma.first().copied().unwrap_or(0.0);
    let resolved = sigma.iter().filter(|&&sigma| sigma > limit).count();
    let k = components(rank, &squares[..resolved], frobenius2);
    let values = and_next(&sigma, k);
    if k == 0 {
        return Ok(Answer {
            values,
            ..Answer::default()
        });
    }
    let left = q.transform.matmul(&vectors.submatrix(0..q.rank, 0..k));
    let inverse: Vec<f64> = sigma[..k].iter().map(|sigma| 1.0 / sigma).collect();
    Ok(Answer {
        matrices: vec![
            ("left", left.clone()),
            ("right", left.scale_columns(&inverse)),
            ("sigma", Small::from_vec(1, k, sigma[..k].to_vec())),
        ],
        values,
        rank: k,
        ..Answer::default()
    })
}
