//! One-pass randomized SVD: Y = A Ω and Z = AᵀY from the same read (the pass that PerSVD shares,
//! Feng & Yu 2018), Q = orth(Y), B = QᵀA = R⁻ᵀZᵀ, and the SVD of B.
//!
//! Y is as ill-conditioned as A, and what its Gram matrix says of its shortest directions is rounding.
//! So Q and B are formed in f64, once, and their own Gram matrices are what the SVD is taken from.
//!
//! Aᵀu = σ v holds but for rounding. ‖A v − σ u‖ is bounded for every component by
//! √(‖A‖²_F − ‖B‖²_F), which is what the result reports, and no less than rounding leaves of that
//! difference.

use rankmill_common::Result;
use rankmill_common::job::svd::SvdSpec;
use rankmill_common::matrix::{Precision, SmallMatrix, TallMatrix};
use rankmill_common::operator::SmallFactorization;
use rankmill_common::operator::combine::Products;

use super::JobResult;
use super::factors::{self, Output, Triplets};
use super::lanczos::random_block;
use super::operand::Operand;
use super::tall::{self, Combination, Made};
use crate::stages::Stages;

/// What rounding leaves of ‖A‖²_F − ‖B‖²_F, relative to ‖A‖²_F.
const ROUNDING: f64 = 1e-13;

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
    let (q, b) = project(stages, a, last.y, last.z, last.grams).await?;
    let sketch = SmallFactorization::SketchSvd {
        gram_q: q.products.clone(),
        gram_b: b.products.clone(),
        rank: spec.rank,
        frobenius2: a.frobenius2,
    };
    let svd = tall::factorize(stages, "singular values", sketch).await?;
    let sigma = svd.matrix(2)?;
    let k = sigma.ncols;
    let left = Combination::new(
        a.nrows(),
        k,
        vec![tall::stored(q.matrix, tall::all(svd.matrix(0)?))],
    );
    let right = Combination::new(
        a.ncols(),
        k,
        vec![tall::stored(b.matrix, tall::all(svd.matrix(1)?))],
    );
    let (u, v) = futures::try_join!(
        tall::combine(stages, "left vectors", left.with(Products::Extremes)),
        tall::combine(stages, "right vectors", right),
    )?;
    // There is no iteration that could converge: the bound itself has to meet the tolerance.
    let captured: f64 = svd.values.iter().map(|value| value * value).sum();
    let missing = (a.frobenius2 - captured).max(0.0) + ROUNDING * a.frobenius2;
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
        tol: None,
        converged: missing.sqrt() <= spec.tol * largest,
    };
    factors::write(stages, a, triplets, output).await
}

/// Q = Y P and Bᵀ = Z P for the P that all but orthonormalizes Y, with their Gram matrices. Y and Z
/// are let go.
async fn project(
    stages: &Stages,
    a: &Operand<'_>,
    y: TallMatrix,
    z: TallMatrix,
    gram: Vec<SmallMatrix>,
) -> Result<(Made, Made)> {
    let orthonormalize = SmallFactorization::Orthonormalize { gram, floor: 0.0 };
    let found = tall::factorize(stages, "orthonormalize Y", orthonormalize).await?;
    let transform = found.matrix(0)?;
    let turned = |nrows, matrix: &TallMatrix| {
        let terms = vec![tall::stored(matrix.clone(), tall::all(transform.clone()))];
        Combination {
            precision: Precision::Double,
            ..Combination::new(nrows, transform.ncols, terms).with(Products::Gram)
        }
    };
    let made = futures::try_join!(
        tall::combine(stages, "orthonormalize Y", turned(a.nrows(), &y)),
        tall::combine(stages, "project on Q", turned(a.ncols(), &z)),
    )?;
    stages.release(y.objects().chain(z.objects()));
    Ok(made)
}
