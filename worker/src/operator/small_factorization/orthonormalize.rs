//! From G = WᵀW the transform that makes W orthonormal.

use rankmill_common::Result;
use rankmill_kernels::{Small, scaled_rank_revealing_orthonormalizer, symmetric_eigen};

use super::super::small_matrix::failed;
use super::{Answer, roots};

const WHAT: &str = "orthonormalizing a block";

/// `[P, R]` with W P orthonormal and W = (W P) R; no matrices where every direction is shorter
/// than `floor`.
pub(super) fn factorize(gram: &Small, floor: f64) -> Result<Answer> {
    let found = scaled_rank_revealing_orthonormalizer(gram, floor).map_err(|e| failed(WHAT, &e))?;
    let (eigenvalues, _) = symmetric_eigen(gram).map_err(|e| failed(WHAT, &e))?;
    let matrices = match found.rank {
        0 => Vec::new(),
        _ => vec![("transform", found.transform), ("factor", found.factor)],
    };
    Ok(Answer {
        matrices,
        values: roots(&eigenvalues),
        rank: found.rank,
        ..Answer::default()
    })
}
