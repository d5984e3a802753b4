//! The Rayleigh–Ritz step that the next read of A would allow, as far as it is known without it.
//!
//! The next block X' is the orthonormalized remainder W = X' R of AᵀA X. So T grows by [0 R]ᵀ beside
//! and below, and of the grown matrix only X'ᵀAᵀA X' is missing. A Krylov space sees much the same of
//! AᵀA in one block as in the next: the mean eigenvalue of the newest diagonal block, μ, stands for
//! it, as μI, which needs no basis of X' to be the right one. (A last block that is made up is what
//! Gauss–Radau quadrature does with Lanczos' matrix: Golub & Meurant, *Matrices, Moments and
//! Quadrature with Applications*, §6.2.)
//!
//! For one Ritz vector by itself, the part z along X' is optimal up to what μI is off by, and its gain
//! in the Rayleigh quotient suffers from that in second order only: 2zᵀb − zᵀ(θ − M)z with
//! z = (θ − μ)⁻¹b. That is no loss where θ ≥ 2μ, whatever M = X'ᵀAᵀA X' ⪰ 0 is. Where Ritz vectors mix
//! it is not a theorem; docs/decisions/0023-the-step-ahead.md has what was measured. Where μ is more
//! than half of the smallest value that counts, as in flat spectra, much hangs on M, and there is no
//! outlook. The residual of AᵀA on the whole basis must lie in W.

use rankmill_common::operator::Wanted;
use rankmill_common::{Error, Result};
use rankmill_kernels::{Small, SmallError, symmetric_eigen, symmetric_eigenvalues};

use super::super::small_matrix::failed;
use super::Answer;

/// `[S]` where vectors are wanted, whose first rows are coefficients in the basis and whose last ones
/// are in W; nothing where there is no outlook.
pub(super) fn factorize(
    projected: &Small,
    remainder: &Small,
    transform: &Small,
    smallest: f64,
    (report, wanted): (usize, Wanted),
) -> Result<Answer> {
    let (known, width, added) = (projected.nrows(), remainder.nrows(), transform.ncols());
    if width == 0 || width > known || transform.nrows() != width {
        return Err(Error::internal(format!(
            "a projection of order {known} cannot grow by {added} of {width} directions"
        )));
    }
    let newest = known - width;
    let mean = (newest..known).map(|i| projected[(i, i)]).sum::<f64>() / width as f64;
    if mean > 0.5 * smallest {
        return Ok(Answer::default());
    }
    let grown = grown(projected, &transform.transposed_matmul(remainder), mean);
    let failed = |e: SmallError| failed("the outlook of a Rayleigh-Ritz step", &e);
    let reported = report.min(known + added);
    let (mut values, matrices) = match wanted {
        Wanted::Values => (symmetric_eigenvalues(&grown).map_err(failed)?, Vec::new()),
        Wanted::Pairs => {
            let (values, vectors) = symmetric_eigen(&grown).map_err(failed)?;
            let inside = vectors.submatrix(0..known, 0..reported);
            let outside = vectors.submatrix(known..known + added, 0..reported);
            let coefficients = inside.vstack(&transform.matmul(&outside));
            (values, vec![("vectors", coefficients)])
        }
    };
    values.truncate(reported);
    Ok(Answer {
        matrices,
        values,
        rank: reported,
        ..Answer::default()
    })
}

/// T, with R = PᵀG beside and below its newest rows and μI in the corner.
fn grown(projected: &Small, shape: &Small, mean: f64) -> Small {
    let (known, added) = (projected.nrows(), shape.nrows());
    let newest = known - shape.ncols();
    Small::from_fn(known + added, known + added, |i, j| {
        match (i.checked_sub(known), j.checked_sub(known)) {
            (None, None) => projected[(i, j)],
            (Some(row), None) if j >= newest => shape[(row, j - newest)],
            (None, Some(column)) if i >= newest => shape[(column, i - newest)],
            (Some(row), Some(column)) if row == column => mean,
            _ => 0.0,
        }
    })
}
