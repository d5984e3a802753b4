//! Truncated SVD: ingest, find the right singular vectors, finish with one last read of A.

use rankmill_common::job::svd::{MAX_GRAM_COLUMNS, Method, Rank, SvdSpec};
use rankmill_common::matrix::{BlockFormat, BlockedMatrix, TallMatrix};
use rankmill_common::{Error, Result};

use super::ingest::ingest;
use super::operand::Operand;
use super::{JobResult, factors, gram, lanczos, sketch, subspace};
use crate::stages::Stages;

/// Columns up to which `auto` considers AᵀA.
const AUTO_GRAM_COLUMNS: u64 = 4096;
/// ‖A‖²_F below which products in f32 are too small to have all their digits.
const SMALLEST: f64 = 1e-30;
/// Multiplications per n²·b of the eigenvectors of an n×n matrix by block iteration.
const EIGEN_COST: f64 = 16.0;

/// An orthonormal n×l matrix whose span holds the leading right singular vectors.
pub(super) struct RightVectors {
    pub(super) v: TallMatrix,
    /// AᵀA V in f64, where it is known without reading A again.
    pub(super) product: Option<TallMatrix>,
    /// Estimate of σ_{k+1}.
    pub(super) next: Option<f64>,
    pub(super) converged: bool,
}

/// Truncated SVD A ≈ U Σ Vᵀ, or that of the centred A.
pub(super) async fn svd(stages: &Stages, spec: &SvdSpec) -> Result<JobResult> {
    let ingested = ingest(stages, &spec.input).await?;
    let spec = spec.fitted(ingested.matrix.nrows, ingested.matrix.ncols)?;
    let mut a = Operand::open(stages, &ingested.matrix, &spec).await?;
    let method = choose(&spec, &ingested.matrix)?;
    check_size(method, a.frobenius2)?;
    if let (Rank::Fixed { k }, Method::Auto | Method::Lanczos | Method::Gram | Method::Subspace) =
        (spec.rank, method)
    {
        a.foresee_last_read(k);
    }
    let output = factors::Output::new(stages, &spec, &ingested, method.name());
    let right = match method {
        Method::Auto | Method::Lanczos => lanczos::leading(stages, &mut a, &spec).await?,
        Method::Gram => gram::leading(stages, &mut a, &spec).await?,
        Method::Subspace => subspace::leading(stages, &mut a, &spec).await?,
        Method::Sketch => return sketch::finish(stages, &mut a, &spec, &output).await,
    };
    factors::finish(stages, &mut a, right, &spec, &output).await
}

/// Refuses what products in f32 would lose without a word.
fn check_size(method: Method, frobenius2: f64) -> Result<()> {
    if method == Method::Gram || frobenius2 >= SMALLEST {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "the Frobenius norm is {:.1e}: products of such small values underflow; scale the values up, \
         or use --method gram, which works in 64 bits",
        frobenius2.sqrt()
    )))
}

/// The method that `auto` stands for here, by the multiplications that each would cost.
fn choose(spec: &SvdSpec, matrix: &BlockedMatrix) -> Result<Method> {
    match spec.method {
        Method::Auto => {}
        Method::Gram if matrix.ncols > MAX_GRAM_COLUMNS => {
            return Err(Error::invalid_input(format!(
                "--method gram forms an n×n matrix and n is {}; at most {MAX_GRAM_COLUMNS} \
                 columns are possible; use --method lanczos",
                matrix.ncols
            )));
        }
        Method::Lanczos | Method::Gram | Method::Subspace | Method::Sketch => {
            return Ok(spec.method);
        }
    }
    let krylov = spec.krylov_block(matrix.nnz);
    let (n, b, steps) = (
        matrix.ncols as f64,
        f64::from(krylov.width),
        f64::from(krylov.steps),
    );
    let gram = match matrix.format {
        BlockFormat::Sparse => matrix.row_nnz2,
        BlockFormat::Dense => matrix.nrows as f64 * n * n,
    };
    let gram = gram + EIGEN_COST * n * n * f64::from(spec.wide_block()).min(n);
    let krylov_basis = 4.0 * n * (steps * b) * (steps * b);
    let lanczos = 2.0 * matrix.nnz as f64 * (steps * b) + krylov_basis;
    if matrix.ncols <= AUTO_GRAM_COLUMNS && gram <= lanczos {
        Ok(Method::Gram)
    } else {
        Ok(Method::Lanczos)
    }
}
