//! Right singular vectors from AᵀA itself: one read of A, exact in f64, for few columns.

use rankmill_common::Result;
use rankmill_common::job::svd::SvdSpec;
use rankmill_common::matrix::BlockFormat;
use rankmill_common::operator::SmallFactorization;

use super::convergence::components;
use super::operand::Operand;
use super::svd::RightVectors;
use super::tall;
use crate::stages::Stages;

/// Leading right singular vectors.
pub(super) async fn leading(
    stages: &Stages,
    a: &mut Operand<'_>,
    spec: &SvdSpec,
) -> Result<RightVectors> {
    let parts = a.gram().await?.into_iter().map(|part| part.gram).collect();
    let eigen = SmallFactorization::GramEigenpairs {
        parts,
        rank: spec.rank,
        frobenius2: a.frobenius2,
        seed: spec.seed,
        // Sparse blocks are centred after they are multiplied: what that cancels, only A shows.
        product: a.format() == BlockFormat::Dense,
    };
    let eigen = tall::factorize(stages, "eigenvectors of AᵀA", eigen).await?;
    let v = eigen
        .tall
        .ok_or_else(|| rankmill_common::Error::internal("no eigenvectors were returned"))?;
    let (_, enough) = components(spec.rank, &eigen.values, a.frobenius2);
    Ok(RightVectors {
        product: eigen.product,
        next: eigen
            .values
            .get(v.ncols as usize)
            .map(|value| value.max(0.0).sqrt()),
        v,
        converged: enough,
    })
}
