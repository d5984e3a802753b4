//! The change of basis that makes the columns of a tall W orthonormal, from WᵀW alone.

use super::{Small, SmallError, cholesky, svd, symmetric_eigen, upper_inverse};

/// How to make W (n×b) orthonormal: W · `transform` is, and W = (W · `transform`) · `factor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Orthonormalizer {
    /// b×r.
    pub transform: Small,
    /// r×b. Upper triangular if nothing was dropped.
    pub factor: Small,
    /// r: b less the directions dropped.
    pub rank: usize,
}

/// Smallest singular value of the factor of the *equilibrated* Gram matrix for which Cholesky is
/// trusted: beyond it, rounding of the Gram matrix (κ²·u) reaches the factor's last pivots.
const CHOLESKY_LIMIT: f64 = 1e-6;

/// Orthonormalizes W (n×b), given its Gram matrix `gram` = WᵀW, and drops the directions whose
/// length (square root of the eigenvalue) is at most `floor`.
///
/// Where nothing need be dropped, this is Cholesky QR of W with its columns scaled to length one
/// first, so columns of very different lengths cost no accuracy (van der Sluis: that scaling is
/// within √b of the best). Otherwise it is eigSVD (Feng et al., dashSVD, TOMS Alg. 1043): the
/// eigenvectors of `gram`. There, lengths below √(8·b·u·λ₁) are rounding and dropped as well.
/// One application leaves an orthogonality error of κ²·u; the caller applies it twice.
///
/// Errs with [`SmallError::NotFinite`], [`SmallError::NotSquare`] or
/// [`SmallError::NoConvergence`].
pub fn scaled_rank_revealing_orthonormalizer(
    gram: &Small,
    floor: f64,
) -> Result<Orthonormalizer, SmallError> {
    gram.check_square()?;
    gram.check_finite()?;
    match by_cholesky(gram, floor)? {
        Some(full_rank) => Ok(full_rank),
        None => by_eigenvectors(gram, floor, usize::MAX),
    }
}

/// The same, by eigSVD, for the longest `most` directions.
///
/// Errs as [`scaled_rank_revealing_orthonormalizer`] does.
pub fn longest_directions(
    gram: &Small,
    floor: f64,
    most: usize,
) -> Result<Orthonormalizer, SmallError> {
    gram.check_square()?;
    gram.check_finite()?;
    by_eigenvectors(gram, floor, most)
}

/// Scaled Cholesky QR, or `None` if some direction is too short or too dependent.
fn by_cholesky(gram: &Small, floor: f64) -> Result<Option<Orthonormalizer>, SmallError> {
    let b = gram.nrows();
    let lengths: Vec<f64> = (0..b).map(|j| gram[(j, j)].max(0.0).sqrt()).collect();
    if lengths.iter().any(|&length| length <= floor) {
        return Ok(None);
    }
    let inverse_lengths: Vec<f64> = lengths.iter().map(|length| 1.0 / length).collect();
    let scaled = gram
        .scale_rows(&inverse_lengths)
        .scale_columns(&inverse_lengths);
    let Ok(scaled_factor) = cholesky(&scaled) else {
        return Ok(None);
    };
    let factor = scaled_factor.scale_columns(&lengths);
    let smallest = |r: &Small| Ok::<f64, SmallError>(svd(r)?.values.last().copied().unwrap_or(1.0));
    if smallest(&scaled_factor)? < CHOLESKY_LIMIT || (b > 0 && smallest(&factor)? <= floor) {
        return Ok(None);
    }
    Ok(Some(Orthonormalizer {
        transform: upper_inverse(&scaled_factor)?.scale_rows(&inverse_lengths),
        factor,
        rank: b,
    }))
}

/// Orthonormal directions of W by eigenvectors of its Gram matrix, the short ones dropped.
fn by_eigenvectors(gram: &Small, floor: f64, most: usize) -> Result<Orthonormalizer, SmallError> {
    let b = gram.nrows();
    let (values, vectors) = symmetric_eigen(gram)?;
    let largest = values.first().copied().unwrap_or(0.0).max(0.0);
    let noise = (8.0 * b as f64 * f64::EPSILON * largest).sqrt();
    let limit = floor.max(noise);
    let lengths: Vec<f64> = values
        .iter()
        .map(|value| value.max(0.0).sqrt())
        .take_while(|&length| length > limit)
        .take(most)
        .collect();
    let rank = lengths.len();
    let leading = vectors.submatrix(0..b, 0..rank);
    let inverse_lengths: Vec<f64> = lengths.iter().map(|length| 1.0 / length).collect();
    Ok(Orthonormalizer {
        transform: leading.scale_columns(&inverse_lengths),
        factor: leading.transpose().scale_rows(&lengths),
        rank,
    })
}
