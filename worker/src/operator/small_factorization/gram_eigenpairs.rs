//! Leading eigenpairs of AᵀA: right singular vectors, and squared singular values.

use rankmill_common::Result;
use rankmill_common::job::svd::Rank;
use rankmill_kernels::{Panel, Small, leading_eigenpairs};

use super::super::small_matrix::failed;
use super::arithmetic::multiply;
use super::{Answer, and_next, components};

/// The tall V; values are eigenvalues, one more than V has columns where there is one.
pub(super) fn factorize(gram: &Small, rank: Rank, frobenius2: f64, seed: u64) -> Result<Answer> {
    let order = gram.nrows();
    let wanted = order.min(rank.limit() as usize + 1);
    let (mut values, vectors) = leading_eigenpairs(gram, wanted, seed)
        .map_err(|e| failed("the eigenpairs of the Gram matrix", &e))?;
    for value in &mut values {
        *value = value.max(0.0);
    }
    let k = components(rank, &values, frobenius2);
    let noise = order as f64 * f64::EPSILON * values.first().copied().unwrap_or(0.0);
    let count = values[..k].iter().filter(|&&value| value > noise).count();
    let v = Panel::from_fn(order, k, |i, j| vectors[(i, j)] as f32);
    Ok(Answer {
        tall: Some(v),
        values: and_next(&values, k),
        rank: count,
        ..Answer::default()
    })
}

/// AᵀA V of the V that is stored, rounded to f32: it is that V whose residuals are measured.
pub(super) fn product(gram: &Small, v: &Panel) -> Result<Small> {
    let stored = Small::from_fn(v.nrows(), v.ncols(), |i, j| f64::from(v.row(i)[j]));
    multiply(gram, &stored)
}
