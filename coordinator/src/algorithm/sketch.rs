//! One-pass randomized SVD: Y = A Ω and Z = AᵀY from the same read (the pass that PerSVD shares,
//! Feng & Yu 2018), Q = orth(Y), B = QᵀA = R⁻ᵀZᵀ, and the SVD of B.
//!
//! Aᵀu = σ v holds exactly. ‖A v − σ u‖ is bounded for every component by
//! √(‖A‖²_F − ‖B‖²_F), which is what the result reports.

use rankmill_common::Result;
use rankmill_common::job::svd::SvdSpec;
use rankmill_common::operator::SmallFactorization;
use rankmill_common::operator::combine::{Coefficients, Products};

use super::JobResult;
use super::factors::{self, Output, Triplets};
use super::lanczos::random_block;
use super::operand::Operand;
use super::tall::{self, Combination};
use crate::stages::Stages;

/// The whole factorization from one read of A.
pub(super) async fn finish(
    stages: &Stages,
    a: &mut Operand<'_>,
    spec: &SvdSpec,
    output: &Output<'_>,
) -> Result<JobResult> {
    let width = u64::from(spec.wide_block()).min(a.ncols()).min(a.nrows()) as u32;
    let omega = random_block(stages, spec.seed, a.ncols(), width).await?;
    let last = factors::last_read(stages, a, &omega, None).await?;
    let gram_z = Combination::new(
        a.ncols(),
        width,
        vec![tall::stored(last.z.clone(), Coefficients::Identity)],
    )
    .with(Products::Gram);
    let gram_z = tall::combine(stages, "Gram matrix of Z", gram_z)
        .await?
        .products;
    let sketch = SmallFactorization::SketchSvd {
        gram_y: last.grams.clone(),
        gram_z,
        rank: spec.rank,
        frobenius2: a.frobenius2,
    };
    let svd = tall::factorize(stages, "singular values", sketch).await?;
    let sigma = svd.matrix(2)?;
    let k = sigma.ncols;
    let left = Combination::new(
        a.nrows(),
        k,
        vec![tall::stored(last.y, tall::all(svd.matrix(0)?))],
    );
    let right = Combination::new(
        a.ncols(),
        k,
        vec![tall::stored(last.z, tall::all(svd.matrix(1)?))],
    );
    let (u, v) = futures::try_join!(
        tall::combine(stages, "left vectors", left.with(Products::Extremes)),
        tall::combine(stages, "right vectors", right),
    )?;
    // There is no iteration that could converge: the bound itself has to meet the tolerance.
    let captured: f64 = svd.values.iter().map(|value| value * value).sum();
    let missing = (a.frobenius2 - captured).max(0.0);
    let largest = svd.values.first().copied().unwrap_or(0.0);
    let triplets = Triplets {
        u,
        v: v.matrix,
        sigma,
        left: Vec::new(),
        right: Vec::new(),
        rotation: None,
        right_transform: None,
        left_bound: Some(missing),
        rounding: Vec::new(),
        next: None,
        numerical_rank: svd.rank,
        converged: missing.sqrt() <= spec.tol * largest,
    };
    factors::write(stages, a, triplets, output).await
}
