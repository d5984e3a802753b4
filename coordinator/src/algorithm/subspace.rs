//! Shifted subspace iteration (dashSVD: Feng, Yu, Xie & Li 2024, ACM Algorithm 1043): one block
//! of memory, more reads of A.

use rankmill_common::Result;
use rankmill_common::job::svd::SvdSpec;
use rankmill_common::matrix::TallMatrix;
use rankmill_common::operator::combine::{Coefficients, Products, Term};
use rankmill_common::operator::normal_multiply::Product;
use rankmill_common::operator::{SmallFactorization, SmallFactors};

use super::convergence::Watch;
use super::lanczos::random_block;
use super::operand::{self, Operand};
use super::svd::RightVectors;
use super::tall::{self, Combination, Made};
use crate::stages::Stages;

/// An orthonormal basis that holds the leading right singular vectors. Unlike a Krylov basis it
/// is not rotated to them: the last read of A does that.
pub(super) async fn leading(
    stages: &Stages,
    a: &mut Operand<'_>,
    spec: &SvdSpec,
) -> Result<RightVectors> {
    let width = u64::from(spec.wide_block()).min(a.ncols()).min(a.nrows()) as u32;
    let mut x = random_block(stages, spec.seed, a.ncols(), width).await?;
    let mut watch = Watch::new(spec.rank, spec.tol, a.frobenius2).after_cancelling(a.cancelled2());
    let mut shift = 0.0;
    loop {
        let w = shifted_product(stages, a, &x, shift).await?;
        let gram = w.products.clone();
        let floor = 0.0;
        let factors = tall::factorize(
            stages,
            "eigSVD",
            SmallFactorization::Orthonormalize { gram, floor },
        )
        .await?;
        let values: Vec<f64> = factors.values.iter().map(|value| value + shift).collect();
        let verdict = watch.step(&values, &[]);
        stages.note(format!("change {:.1e}", verdict.change));
        x = normalize(stages, w, &factors).await?;
        if verdict.converged || a.reads + 1 >= spec.max_reads {
            let next = values.get(verdict.rank).map(|value| value.max(0.0).sqrt());
            return Ok(RightVectors {
                product: None,
                v: x,
                next,
                converged: verdict.converged,
            });
        }
        if let Some(smallest) = factors.values.last().filter(|smallest| shift < **smallest) {
            shift = (shift + smallest) / 2.0;
        }
    }
}

/// (AᵀA − shift·I) X, with its Gram matrix. X is let go.
async fn shifted_product(
    stages: &Stages,
    a: &mut Operand<'_>,
    x: &TallMatrix,
    shift: f64,
) -> Result<Made> {
    let parts = a.normal_multiply(x, Product::Discard).await?;
    let mut terms = operand::sum_of(&parts);
    terms.push(Term {
        scale: -shift,
        ..tall::stored(x.clone(), Coefficients::Identity)
    });
    let plan = Combination::new(a.ncols(), x.ncols, terms).with(Products::Gram);
    let made = tall::combine(stages, "shift", plan).await?;
    operand::release(stages, &parts);
    stages.release(x.objects());
    Ok(made)
}

/// An orthonormal basis of the columns of `w`, which is let go: Cholesky QR or eigSVD twice.
async fn normalize(stages: &Stages, w: Made, factors: &SmallFactors) -> Result<TallMatrix> {
    let nrows = w.matrix.nrows;
    let terms = vec![tall::stored(
        w.matrix.clone(),
        tall::all(factors.matrix(0)?),
    )];
    let plan = Combination::new(nrows, factors.rank, terms).with(Products::Gram);
    let once = tall::combine(stages, "normalize the block", plan).await?;
    stages.release(w.matrix.objects());
    tall::orthonormalize(stages, "normalize the block", once, 0.0).await
}
