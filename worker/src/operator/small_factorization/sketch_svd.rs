//! One-pass SVD: from Q, all but orthonormal, and Bᵀ = AᵀQ, without another read of A.
//!
//! Q P is orthonormal, its B is PᵀB, so the squared singular values of (QP)(QP)ᵀA are the eigenvalues
//! of Pᵀ(BBᵀ)P = E Σ² Eᵀ; its singular vectors are U = Q (P E) and V = Bᵀ (P E Σ⁻¹). What rounding
//! does to BBᵀ counts relative to σ₁², and to VᵀV relative to the squares of the smallest σ.

use rankmill_common::job::svd::Rank;
use rankmill_common::{Error, Result};
use rankmill_kernels::{Small, scaled_rank_revealing_orthonormalizer, symmetric_eigen};

use super::super::small_matrix::failed;
use super::{Answer, components, roots};

/// Singular values below this part of the first are left out: their vectors would not be orthonormal
/// to 1e-5.
const ZERO: f64 = 1e-5;

const WHAT: &str = "the sketch's singular values";

/// `[M, N, σ]`; no matrices where Q is zero.
pub(super) fn factorize(
    gram_q: &Small,
    gram_b: &Small,
    rank: Rank,
    frobenius2: f64,
) -> Result<Answer> {
    if gram_b.nrows() != gram_q.nrows() {
        return Err(Error::internal("Q and B have different widths"));
    }
    let q = scaled_rank_revealing_orthonormalizer(gram_q, 0.0).map_err(|e| failed(WHAT, &e))?;
    let projected = q.transform.transposed_matmul(&gram_b.matmul(&q.transform));
    let (squares, vectors) = symmetric_eigen(&projected).map_err(|e| failed(WHAT, &e))?;
    let sigma = roots(&squares);
    let limit = ZERO * sigma.first().copied().unwrap_or(0.0);
    let resolved = sigma.iter().filter(|&&sigma| sigma > limit).count();
    let k = components(rank, &squares[..resolved], frobenius2);
    if k == 0 {
        return Ok(Answer {
            values: sigma,
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
        values: sigma,
        rank: k,
        ..Answer::default()
    })
}
