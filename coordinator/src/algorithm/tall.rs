//! Linear combinations of tall matrices, in shards, and the small matrices that steer them.

use rankmill_common::Result;
use rankmill_common::matrix::{Precision, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Products, Source, Term};
use rankmill_common::operator::{Combine, SmallFactorization, SmallFactors};

use crate::stages::Stages;

/// How far from 1 singular values of a block in f32 may be that needs no further transform: as far as
/// rounding the entries of some hundred rows takes them.
const ORTHONORMAL: f64 = 1e-8;

/// A linear combination to make.
pub(super) struct Combination {
    pub(super) nrows: u64,
    pub(super) ncols: u32,
    pub(super) terms: Vec<Term>,
    pub(super) arithmetic: Precision,
    pub(super) precision: Precision,
    pub(super) products: Products,
    pub(super) weights: Option<TallMatrix>,
}

/// A combination that was made; the lists hold one part per shard.
pub(super) struct Made {
    pub(super) matrix: TallMatrix,
    pub(super) products: Vec<SmallMatrix>,
    pub(super) extremes: Vec<SmallMatrix>,
    pub(super) rounding: Vec<SmallMatrix>,
}

impl Combination {
    /// A single-precision combination without inner products.
    pub(super) fn new(nrows: u64, ncols: u32, terms: Vec<Term>) -> Self {
        Self {
            nrows,
            ncols,
            terms,
            arithmetic: Precision::Double,
            precision: Precision::Single,
            products: Products::None,
            weights: None,
        }
    }

    /// Also takes inner products.
    pub(super) fn with(self, products: Products) -> Self {
        Self { products, ..self }
    }
}

/// Makes a combination, one task per shard.
pub(super) async fn combine(stages: &Stages, name: &str, plan: Combination) -> Result<Made> {
    let operators = TallMatrix::cut(plan.nrows, plan.ncols, plan.precision)
        .into_iter()
        .map(|rows| Combine {
            rows,
            ncols: plan.ncols,
            terms: plan.terms.clone(),
            arithmetic: plan.arithmetic,
            precision: plan.precision,
            products: plan.products.clone(),
            weights: plan.weights.clone(),
        });
    let parts = stages.run(name, operators.collect()).await?;
    let mut made = Made {
        matrix: TallMatrix {
            nrows: plan.nrows,
            ncols: plan.ncols,
            precision: plan.precision,
            shards: Vec::with_capacity(parts.len()),
        },
        products: Vec::new(),
        extremes: Vec::new(),
        rounding: Vec::new(),
    };
    for part in parts {
        made.matrix.shards.push(part.shard);
        made.products.extend(part.product);
        made.extremes.extend(part.extremes);
        made.rounding.push(part.rounding);
    }
    Ok(made)
}

/// X·S as a term.
pub(super) fn stored(matrix: TallMatrix, coefficients: Coefficients) -> Term {
    Term {
        matrix: Source::Stored { matrix },
        coefficients,
        scale: 1.0,
    }
}

/// All rows of `matrix` as coefficients.
pub(super) fn all(matrix: SmallMatrix) -> Coefficients {
    Coefficients::Rows {
        parts: vec![matrix],
        first_row: 0,
    }
}

/// Σ over the blocks of a basis of `scale` · Xᵢ · (rows of the coefficients that belong to Xᵢ), which
/// come in parts.
pub(super) fn basis_terms(
    basis: &[TallMatrix],
    coefficients: &[SmallMatrix],
    scale: f64,
) -> Vec<Term> {
    let mut first_row = 0;
    basis
        .iter()
        .map(|block| {
            let rows = Coefficients::Rows {
                parts: coefficients.to_vec(),
                first_row,
            };
            first_row += block.ncols;
            Term {
                scale,
                ..stored(block.clone(), rows)
            }
        })
        .collect()
}

/// Singular values of W from the parts of WᵀW.
pub(super) async fn singular_values(
    stages: &Stages,
    name: &str,
    gram: Vec<SmallMatrix>,
) -> Result<Vec<f64>> {
    let factors = factorize(
        stages,
        name,
        SmallFactorization::Orthonormalize { gram, floor: 0.0 },
    );
    Ok(factors.await?.values)
}

/// Runs a small factorization.
pub(super) async fn factorize(
    stages: &Stages,
    name: &str,
    factorization: SmallFactorization,
) -> Result<SmallFactors> {
    stages.run_one(name, factorization).await
}

/// W P for the P that orthonormalizes W, from the parts of WᵀW, or W where that is orthonormal to
/// [`ORTHONORMAL`] already. W is let go otherwise.
pub(super) async fn orthonormalize(
    stages: &Stages,
    name: &str,
    w: Made,
    floor: f64,
) -> Result<TallMatrix> {
    let gram = w.products;
    let factors = factorize(
        stages,
        name,
        SmallFactorization::Orthonormalize { gram, floor },
    )
    .await?;
    transform(stages, name, w.matrix, &factors).await
}

/// W P for the P that orthonormalizes W, or W as [`orthonormalize`] has it. W is let go otherwise.
pub(super) async fn transform(
    stages: &Stages,
    name: &str,
    w: TallMatrix,
    factors: &SmallFactors,
) -> Result<TallMatrix> {
    let is_orthonormal = |value: &f64| (value - 1.0).abs() <= ORTHONORMAL;
    if factors.rank == w.ncols && factors.values.iter().all(is_orthonormal) {
        return Ok(w);
    }
    let terms = vec![stored(w.clone(), all(factors.matrix(0)?))];
    let plan = Combination::new(w.nrows, factors.rank, terms);
    let made = combine(stages, name, plan).await?.matrix;
    stages.release(w.objects());
    Ok(made)
}
