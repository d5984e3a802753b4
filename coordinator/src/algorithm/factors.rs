//! From right vectors to result files: one last read of A gives Y = A V and Z = AᵀY, and from
//! them orthonormal U, σ and true residuals of the vectors as written.

use rankmill_common::Result;
use rankmill_common::job::OutputSpec;
use rankmill_common::job::svd::SvdSpec;
use rankmill_common::manifest::{
    ConvergenceSummary, InputFile, MatrixSummary, Quality, SPECTRUM_FOLDER,
};
use rankmill_common::matrix::{
    BlockedMatrix, Precision, RowRange, SmallMatrix, TallMatrix, even_parts,
};
use rankmill_common::operator::combine::{Coefficients, Products};
use rankmill_common::operator::normal_multiply::Product;
use rankmill_common::operator::{
    ColumnResiduals, NormalProduct, SmallFactorization, SmallFactors, Spectrum, WriteFactors,
    WriteSpectrum, WrittenFile,
};
use rankmill_common::table::IdTable;

use super::convergence::bear_out;
use super::ingest::Ingested;
use super::operand::{self, Operand};
use super::svd::RightVectors;
use super::tall::{self, Combination, Made};
use super::{JobResult, tag};
use crate::stages::Stages;

/// Most bytes of vectors in one result file.
const FILE_BYTES: u64 = 128 << 20;
/// Most files of a small factor, and fewest bytes in each: every worker has one to write.
const SMALL_FILES: u64 = 4;
const LEAST_FILE_BYTES: u64 = 8 << 20;
/// How far from orthonormal U may be where it is not polished: what rounding its columns of 10⁵ rows
/// to f32 leaves.
const ORTHONORMAL: f64 = 1e-9;
/// Stream of the random numbers that complete U where singular values are zero.
pub(super) const FILL_STREAM: u32 = 1;

/// Where the result goes and what it says of its origin.
pub(super) struct Output<'a> {
    place: &'a OutputSpec,
    tag: String,
    matrix: &'a BlockedMatrix,
    inputs: &'a [InputFile],
    method: &'static str,
}

/// Y = A V and Z = AᵀY with what certifies them.
pub(super) struct LastRead {
    pub(super) y: TallMatrix,
    pub(super) z: TallMatrix,
    pub(super) grams: Vec<SmallMatrix>,
    pub(super) rounding: Vec<SmallMatrix>,
    row_norms2: TallMatrix,
    column_norms2: TallMatrix,
}

/// U, σ, V and the squared norms of their residuals.
pub(super) struct Triplets {
    pub(super) u: Made,
    pub(super) v: TallMatrix,
    pub(super) sigma: SmallMatrix,
    pub(super) left: Vec<SmallMatrix>,
    pub(super) right: Vec<SmallMatrix>,
    pub(super) rotation: Option<SmallMatrix>,
    pub(super) right_transform: Option<SmallMatrix>,
    pub(super) left_bound: Option<f64>,
    pub(super) rounding: Vec<SmallMatrix>,
    pub(super) next: Option<f64>,
    pub(super) numerical_rank: u32,
    pub(super) converged: bool,
    /// The tolerance, where the residuals have to bear out that it is met.
    pub(super) tol: Option<f64>,
}

impl<'a> Output<'a> {
    /// The output of a job.
    pub(super) fn new(
        stages: &Stages,
        spec: &'a SvdSpec,
        ingested: &'a Ingested,
        method: &'static str,
    ) -> Self {
        Self {
            place: &spec.output,
            tag: tag(stages, &ingested.matrix.digest),
            matrix: &ingested.matrix,
            inputs: &ingested.inputs,
            method,
        }
    }
}

/// Finishes a factorization whose right vectors are known.
pub(super) async fn finish(
    stages: &Stages,
    a: &mut Operand<'_>,
    right: RightVectors,
    spec: &SvdSpec,
    output: &Output<'_>,
) -> Result<JobResult> {
    let known = right.product.is_some();
    let last = last_read(stages, a, &right.v, right.product).await?;
    let product_svd = SmallFactorization::ProductSvd {
        gram: last.grams.clone(),
        rank: spec.rank,
        frobenius2: a.frobenius2,
    };
    let svd = tall::factorize(stages, "singular values", product_svd).await?;
    let (rotation, sigma) = (svd.matrix(1)?, svd.matrix(2)?);
    let (polish, u) = left_vectors(stages, &last, &svd, spec.seed).await?;
    let turned = Combination {
        weights: Some(last.column_norms2.clone()),
        ..Combination::new(
            a.ncols(),
            rotation.ncols,
            vec![tall::stored(right.v.clone(), tall::all(rotation.clone()))],
        )
    };
    let (v, total) = futures::try_join!(
        tall::combine(stages, "right vectors", turned),
        product_transform(stages, &svd, polish),
    )?;
    let (mut left, mut on_right) = futures::try_join!(
        residuals(
            stages,
            "residuals of A v",
            &last.y,
            &rotation,
            &u.matrix,
            &sigma
        ),
        residuals(
            stages,
            "residuals of Aᵀu",
            &last.z,
            &total,
            &v.matrix,
            &sigma
        ),
    )?;
    left.extend(v.rounding);
    on_right.extend(u.rounding.clone());
    let triplets = Triplets {
        next: svd.values.get(sigma.ncols as usize).copied().or(right.next),
        numerical_rank: svd.rank,
        converged: right.converged,
        tol: Some(spec.tol),
        u,
        v: v.matrix,
        sigma,
        left,
        right: on_right,
        rotation: Some(rotation),
        right_transform: known.then_some(total),
        left_bound: None,
        rounding: last.rounding,
    };
    write(stages, a, triplets, output).await
}

/// The last read of A, in f64. `product` is AᵀA V, where it is known: Z then, but for what rounding
/// Y takes from it.
pub(super) async fn last_read(
    stages: &Stages,
    a: &mut Operand<'_>,
    v: &TallMatrix,
    product: Option<TallMatrix>,
) -> Result<LastRead> {
    let kept = product
        .as_ref()
        .map_or(Product::Certify, |_| Product::CertifyLeft);
    let parts = a.normal_multiply(v, kept).await?;
    let double = |ncols, terms| Combination {
        precision: Precision::Double,
        ..Combination::new(v.nrows, ncols, terms)
    };
    let norms = parts.iter().filter_map(|part| part.certificate.as_ref());
    let norms = norms.map(|part| tall::stored(part.column_norms2.clone(), Coefficients::Identity));
    let sum = async {
        match product {
            Some(product) => Ok(product),
            None => {
                let sum = double(v.ncols, operand::sum_of(&parts));
                let sum = tall::combine(stages, "sum Aᵀ(A V)", sum).await?;
                Ok(sum.matrix)
            }
        }
    };
    let norms = double(1, norms.collect());
    let (z, column_norms2) = futures::try_join!(sum, tall::combine(stages, "column norms", norms))?;
    operand::release(stages, &parts);
    Ok(collect(a.nrows(), v.ncols, parts, z, column_norms2.matrix))
}

fn collect(
    nrows: u64,
    width: u32,
    parts: Vec<NormalProduct>,
    z: TallMatrix,
    column_norms2: TallMatrix,
) -> LastRead {
    let tall = |ncols, precision| TallMatrix {
        nrows,
        ncols,
        precision,
        shards: Vec::new(),
    };
    let mut last = LastRead {
        y: tall(width, Precision::Single),
        z,
        grams: Vec::new(),
        rounding: Vec::new(),
        row_norms2: tall(1, Precision::Double),
        column_norms2,
    };
    for certificate in parts.into_iter().filter_map(|part| part.certificate) {
        last.y.shards.extend(certificate.y);
        last.row_norms2.shards.extend(certificate.row_norms2);
        last.grams.push(certificate.gram);
        last.rounding.push(certificate.rounding);
    }
    last
}

/// Whether Y M is orthonormal as it is. M comes from YᵀY in f64, where what rounding does to the
/// smallest kept σ² counts relative to the largest.
fn is_orthonormal(svd: &SmallFactors, k: u32) -> bool {
    let kept = svd.values.get(..k as usize).unwrap_or_default();
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
        return false;
    };
    let loss = svd.values.len() as f64 * f64::EPSILON * (first / last).powi(2);
    svd.rank >= k && loss <= ORTHONORMAL
}

/// U = Y M P: the transform M of the product's SVD, then, where that is not enough, Cholesky QR
/// once more. Where singular values are zero, random directions stand in for columns of Y.
/// Returns P, if there is one, and U.
async fn left_vectors(
    stages: &Stages,
    last: &LastRead,
    svd: &SmallFactors,
    seed: u64,
) -> Result<(Option<SmallMatrix>, Made)> {
    let (m, fill) = (svd.matrix(0)?, svd.matrix(3)?);
    let (nrows, k) = (last.y.nrows, m.ncols);
    let is_last = |plan| {
        Combination {
            weights: Some(last.row_norms2.clone()),
            ..plan
        }
        .with(Products::Extremes)
    };
    let mut terms = vec![tall::stored(last.y.clone(), tall::all(m))];
    if is_orthonormal(svd, k) {
        let plan = is_last(Combination::new(nrows, k, terms));
        return Ok((None, tall::combine(stages, "left vectors", plan).await?));
    }
    if svd.rank < k {
        terms.push(operand::gaussian(seed, FILL_STREAM, k, tall::all(fill)));
    }
    let plan = Combination::new(nrows, k, terms).with(Products::Gram);
    let raw = tall::combine(stages, "left vectors", plan).await?;
    let polish = SmallFactorization::Orthonormalize {
        gram: raw.products,
        floor: 0.0,
    };
    let polish = tall::factorize(stages, "polish left vectors", polish)
        .await?
        .matrix(0)?;
    let terms = vec![tall::stored(raw.matrix.clone(), tall::all(polish.clone()))];
    let plan = is_last(Combination::new(nrows, k, terms));
    let u = tall::combine(stages, "polish left vectors", plan).await?;
    stages.release(raw.matrix.objects());
    Ok((Some(polish), u))
}

/// T such that Z T = AᵀU. A direction that only completes U is orthogonal to the range of A, so
/// that its column of T is zero.
async fn product_transform(
    stages: &Stages,
    svd: &SmallFactors,
    polish: Option<SmallMatrix>,
) -> Result<SmallMatrix> {
    let name = "left transform";
    let multiply = |left, right| SmallFactorization::Multiply { left, right };
    let left = svd.matrix(0)?;
    let Some(polish) = polish else {
        return Ok(left);
    };
    let right = if svd.rank < left.ncols {
        let kept = tall::factorize(stages, name, multiply(polish, svd.matrix(4)?)).await?;
        kept.matrix(0)?
    } else {
        polish
    };
    tall::factorize(stages, name, multiply(left, right))
        .await?
        .matrix(0)
}

async fn residuals(
    stages: &Stages,
    name: &str,
    product: &TallMatrix,
    transform: &SmallMatrix,
    factor: &TallMatrix,
    sigma: &SmallMatrix,
) -> Result<Vec<SmallMatrix>> {
    let operators = TallMatrix::cut(factor.nrows, factor.ncols, Precision::Single)
        .into_iter()
        .map(|rows| ColumnResiduals {
            rows,
            product: product.clone(),
            transform: transform.clone(),
            factor: factor.clone(),
            sigma: sigma.clone(),
        });
    let parts = stages.run(name, operators.collect()).await?;
    Ok(parts.into_iter().map(|part| part.squared_norms).collect())
}

/// The rows of each file of a factor, from its size alone.
fn files(factor: &TallMatrix) -> Vec<RowRange> {
    let row_bytes = Precision::Single.bytes() * u64::from(factor.ncols.max(1));
    let bytes = factor.nrows.saturating_mul(row_bytes);
    let parts = even_parts(bytes, LEAST_FILE_BYTES).min(SMALL_FILES);
    let rows = factor.nrows.div_ceil(parts);
    RowRange::cut(factor.nrows, rows.min(FILE_BYTES / row_bytes))
}

/// Writes the result's files.
pub(super) async fn write(
    stages: &Stages,
    a: &Operand<'_>,
    triplets: Triplets,
    output: &Output<'_>,
) -> Result<JobResult> {
    let spectrum = WriteSpectrum {
        sigma: triplets.sigma,
        left: triplets.left,
        right: triplets.right,
        product_rounding: triplets.rounding,
        rotation: triplets.rotation,
        right_transform: triplets.right_transform,
        left_bound: triplets.left_bound,
        frobenius2: a.frobenius2,
        next_sigma: triplets.next,
        output: output.place.url.clone(),
        path: format!("{SPECTRUM_FOLDER}/part-00000-{}.parquet", output.tag),
    };
    let side = |name: &str, factor: &TallMatrix, ids: &IdTable| {
        let operators = files(factor)
            .into_iter()
            .enumerate()
            .map(|(index, rows)| WriteFactors {
                rows,
                factor: factor.clone(),
                ids: ids.clone(),
                extremes: triplets.u.extremes.clone(),
                output: output.place.url.clone(),
                path: format!("{name}/part-{index:05}-{}.parquet", output.tag),
            });
        operators.collect::<Vec<_>>()
    };
    let (spectrum, left, right) = futures::try_join!(
        stages.run_one("write singular values", spectrum),
        stages.run(
            "write left",
            side("left", &triplets.u.matrix, &output.matrix.row_ids)
        ),
        stages.run(
            "write right",
            side("right", &triplets.v, &output.matrix.column_ids)
        ),
    )?;
    let converged = triplets.converged
        && triplets
            .tol
            .is_none_or(|tol| bear_out(&spectrum.residuals, &spectrum.values, tol));
    let files: Vec<WrittenFile> = left
        .into_iter()
        .chain(right)
        .chain([spectrum.file.clone()])
        .collect();
    Ok(JobResult {
        inputs: output.inputs.to_vec(),
        matrix: summary(output.matrix, a.frobenius2),
        files,
        convergence: Quality::Factors(convergence(
            &spectrum,
            a.reads,
            output,
            triplets.numerical_rank,
            converged,
        )),
    })
}

fn summary(matrix: &BlockedMatrix, frobenius2: f64) -> MatrixSummary {
    MatrixSummary {
        nrows: matrix.nrows,
        ncols: matrix.ncols,
        nnz: matrix.nnz,
        frobenius2,
        skipped_rows: matrix.skipped_rows,
    }
}

fn convergence(
    spectrum: &Spectrum,
    reads: u32,
    output: &Output<'_>,
    numerical_rank: u32,
    converged: bool,
) -> ConvergenceSummary {
    ConvergenceSummary {
        converged,
        method: output.method.to_owned(),
        reads,
        pve: spectrum.pve,
        max_residual: spectrum.residuals.iter().copied().fold(0.0, f64::max),
        captured_energy: spectrum.captured_energy,
        components: spectrum.values.len() as u32,
        numerical_rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_rows(nrows: u64, ncols: u32) -> Vec<u64> {
        let factor = TallMatrix {
            nrows,
            ncols,
            precision: Precision::Single,
            shards: Vec::new(),
        };
        files(&factor).iter().map(|rows| rows.count).collect()
    }

    #[test]
    fn only_directions_that_all_count_are_orthonormal_unpolished() {
        let factors = |values: &[f64], rank| SmallFactors {
            matrices: Vec::new(),
            tall: None,
            product: None,
            values: values.to_vec(),
            residuals: Vec::new(),
            rank,
        };
        assert!(is_orthonormal(&factors(&[1.0, 0.5, 1e-9], 3), 2));
        assert!(!is_orthonormal(&factors(&[1.0, 0.5, 1e-9], 3), 3));
        assert!(!is_orthonormal(&factors(&[1.0, 0.5, 0.4], 1), 2));
        assert!(!is_orthonormal(&factors(&[1.0], 1), 2));
        assert!(!is_orthonormal(&factors(&[0.0, 0.0], 0), 2));
    }

    #[test]
    fn files_are_neither_tiny_nor_huge() {
        assert_eq!(file_rows(943, 64), [943]);
        assert_eq!(file_rows(100_000, 64), [50_000; 2]);
        assert_eq!(file_rows(200_000, 64), [50_000; 4]);
        assert!(file_rows(0, 64).is_empty());
        let huge = file_rows(5_000_000, 64);
        assert_eq!(huge.iter().sum::<u64>(), 5_000_000);
        assert!(huge.iter().all(|rows| rows * 256 <= FILE_BYTES));
    }
}
