//! Factorizations of matrices of a few hundred rows, in f64. One file per factorization.

mod arithmetic;
mod gram_eigenpairs;
mod orthonormalize;
mod product_svd;
mod ritz_outlook;
mod ritz_step;
mod sketch_svd;

use rankmill_common::Result;
use rankmill_common::job::svd::Rank;
use rankmill_common::operator::{SmallFactorization, SmallFactors};
use rankmill_kernels::Small;

use super::{small_matrix, tall_matrix};
use crate::context::TaskContext;

pub(super) fn run(context: &TaskContext, parameters: &SmallFactorization) -> Result<SmallFactors> {
    let sum = |parts| small_matrix::read_sum(context, parts);
    let answer = match parameters {
        SmallFactorization::Diagonal { values } => {
            Answer::of([("diagonal", arithmetic::diagonal(values))])
        }
        SmallFactorization::Multiply { left, right } => {
            let left = small_matrix::read(context, left)?;
            let right = small_matrix::read(context, right)?;
            Answer::of([("product", arithmetic::multiply(&left, &right)?)])
        }
        SmallFactorization::Orthonormalize { gram, floor } => {
            orthonormalize::factorize(&sum(gram)?, *floor)?
        }
        SmallFactorization::RitzStep {
            projected,
            coefficients,
            remainder_gram,
            noise,
            room,
            report,
        } => {
            let projected = match projected {
                Some(projected) => small_matrix::read(context, projected)?,
                None => Small::zeros(0, 0),
            };
            let coefficients = sum(coefficients)?;
            let remainder = sum(remainder_gram)?;
            let kept = ritz_step::Kept {
                noise: *noise,
                room: usize::try_from(*room).unwrap_or(usize::MAX),
                report: *report as usize,
            };
            ritz_step::factorize(&projected, &coefficients, &remainder, kept)?
        }
        SmallFactorization::RitzOutlook { step, wanted } => ritz_outlook::factorize(
            &small_matrix::read(context, &step.projected)?,
            &sum(&step.remainder_gram)?,
            &small_matrix::read(context, &step.transform)?,
            step.smallest,
            (step.report as usize, *wanted),
        )?,
        SmallFactorization::GramEigenpairs {
            parts,
            rank,
            frobenius2,
            seed,
            product,
        } => {
            let gram = sum(parts)?;
            let mut answer = gram_eigenpairs::factorize(&gram, *rank, *frobenius2, *seed)?;
            if *product {
                answer.product = answer
                    .tall
                    .as_ref()
                    .map(|v| gram_eigenpairs::product(&gram, v))
                    .transpose()?;
            }
            answer
        }
        SmallFactorization::ProductSvd {
            gram,
            rank,
            frobenius2,
        } => product_svd::factorize(&sum(gram)?, *rank, *frobenius2)?,
        SmallFactorization::SketchSvd {
            gram_q,
            gram_b,
            rank,
            frobenius2,
        } => sketch_svd::factorize(&sum(gram_q)?, &sum(gram_b)?, *rank, *frobenius2)?,
    };
    answer.write(context)
}

/// What a factorization made, before it is stored.
#[derive(Debug, Default)]
struct Answer {
    matrices: Vec<(&'static str, Small)>,
    tall: Option<rankmill_kernels::Panel>,
    product: Option<Small>,
    values: Vec<f64>,
    residuals: Vec<f64>,
    rank: usize,
}

impl Answer {
    /// Matrices alone; the rank is the smaller side of the first.
    fn of<const N: usize>(matrices: [(&'static str, Small); N]) -> Self {
        let first = matrices.first();
        Self {
            rank: first.map_or(0, |(_, first)| first.nrows().min(first.ncols())),
            matrices: matrices.into(),
            ..Self::default()
        }
    }

    fn write(self, context: &TaskContext) -> Result<SmallFactors> {
        let matrices = self
            .matrices
            .iter()
            .map(|(name, matrix)| small_matrix::write(context, name, matrix))
            .collect::<Result<_>>()?;
        let tall = match self.tall {
            Some(panel) => Some(tall_matrix::write_panel(context, "v", panel)?),
            None => None,
        };
        let product = match self.product {
            Some(product) => {
                let (ncols, entries) = (product.ncols(), product.as_slice().to_vec());
                Some(tall_matrix::write_f64(context, "product", ncols, entries)?)
            }
            None => None,
        };
        Ok(SmallFactors {
            matrices,
            tall,
            product,
            values: self.values,
            residuals: self.residuals,
            rank: u32::try_from(self.rank).unwrap_or(u32::MAX),
        })
    }
}

/// How many of the leading `squares` (descending σ²) make a factorization of `rank`: at least one
/// where there are any.
fn components(rank: Rank, squares: &[f64], frobenius2: f64) -> usize {
    let limit = squares.len().min(rank.limit() as usize);
    match rank {
        Rank::Fixed { .. } => limit,
        Rank::Energy { fraction, .. } => {
            let wanted = fraction * frobenius2;
            let mut captured = 0.0;
            let missing = squares[..limit].iter().position(|square| {
                captured += square.max(0.0);
                captured >= wanted
            });
            missing.map_or(limit, |last| last + 1)
        }
    }
}

/// The first `k` of descending `values`, and one more where there is one.
fn and_next(values: &[f64], k: usize) -> Vec<f64> {
    values[..values.len().min(k + 1)].to_vec()
}

/// Square roots of eigenvalues, which rounding may have made negative.
fn roots(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.max(0.0).sqrt()).collect()
}
