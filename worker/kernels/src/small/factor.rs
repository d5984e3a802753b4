//! Dense factorizations of small matrices by faer, on one thread, with finiteness checked first.

use super::{Small, SmallError};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::svd::{ComputeSvdVectors, svd as faer_svd, svd_scratch};
use faer::linalg::triangular_inverse::invert_upper_triangular;
use faer::{Col, Mat, MatMut, Par};

/// Singular value decomposition A = U diag(values) Vᵀ, thin.
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// Left vectors, m×min(m, n).
    pub u: Small,
    /// Singular values, descending.
    pub values: Vec<f64>,
    /// Right vectors, n×min(m, n).
    pub v: Small,
}

/// Eigenvalues (descending) and orthonormal eigenvectors (columns) of a symmetric matrix.
///
/// Only the lower triangle is read. Errs with [`SmallError::NotFinite`],
/// [`SmallError::NotSquare`] or [`SmallError::NoConvergence`].
pub fn symmetric_eigen(a: &Small) -> Result<(Vec<f64>, Small), SmallError> {
    let n = a.nrows();
    let mut vectors = Mat::<f64>::zeros(n, a.ncols());
    let values = decompose(a, Some(vectors.as_mut()))?;
    let vectors = Small::from_fn(n, n, |i, j| vectors[(i, n - 1 - j)]);
    Ok((values, vectors))
}

/// The eigenvalues alone, descending; the same but for rounding. Errs as [`symmetric_eigen`].
pub fn symmetric_eigenvalues(a: &Small) -> Result<Vec<f64>, SmallError> {
    decompose(a, None)
}

/// The eigenvalues, descending; the vectors belong to the ascending ones.
fn decompose(a: &Small, vectors: Option<MatMut<'_, f64>>) -> Result<Vec<f64>, SmallError> {
    a.check_square()?;
    a.check_finite()?;
    let n = a.nrows();
    if n == 0 {
        return Ok(Vec::new());
    }
    let mut values = Col::<f64>::zeros(n);
    let wanted = match vectors {
        Some(_) => ComputeEigenvectors::Yes,
        None => ComputeEigenvectors::No,
    };
    let request = self_adjoint_evd_scratch::<f64>(n, wanted, Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(request);
    self_adjoint_evd(
        a.as_mat(),
        values.as_diagonal_mut(),
        vectors,
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    )
    .map_err(|_| SmallError::NoConvergence {
        factorization: "symmetric eigendecomposition",
    })?;
    Ok((0..n).map(|j| values[n - 1 - j]).collect())
}

/// Upper triangular R with A = RᵀR.
///
/// Only the lower triangle of `a` is read. Errs with [`SmallError::NotPositiveDefinite`] at the
/// first pivot that is not positive, [`SmallError::NotFinite`] or [`SmallError::NotSquare`].
pub fn cholesky(a: &Small) -> Result<Small, SmallError> {
    a.check_square()?;
    a.check_finite()?;
    let n = a.nrows();
    let mut factor = a.as_mat().to_owned();
    let request = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(request);
    cholesky_in_place(
        factor.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    )
    .map_err(|LltError::NonPositivePivot { index }| SmallError::NotPositiveDefinite { index })?;
    Ok(Small::from_fn(n, n, |i, j| {
        if i <= j { factor[(j, i)] } else { 0.0 }
    }))
}

/// The inverse of an upper triangular matrix.
///
/// Errs with [`SmallError::Singular`] at a zero on the diagonal, [`SmallError::NotFinite`] or
/// [`SmallError::NotSquare`].
pub fn upper_inverse(r: &Small) -> Result<Small, SmallError> {
    r.check_square()?;
    r.check_finite()?;
    let n = r.nrows();
    if let Some(index) = (0..n).find(|&i| r[(i, i)] == 0.0) {
        return Err(SmallError::Singular { index });
    }
    let mut inverse = Mat::<f64>::zeros(n, n);
    invert_upper_triangular(inverse.as_mut(), r.as_mat(), Par::Seq);
    Ok(Small::from_mat(inverse.as_ref()))
}

/// The thin singular value decomposition.
///
/// Errs with [`SmallError::NotFinite`] or [`SmallError::NoConvergence`].
pub fn svd(a: &Small) -> Result<Svd, SmallError> {
    a.check_finite()?;
    let (m, n) = (a.nrows(), a.ncols());
    let size = m.min(n);
    if size == 0 {
        return Ok(Svd {
            u: Small::zeros(m, 0),
            values: Vec::new(),
            v: Small::zeros(n, 0),
        });
    }
    let mut values = Col::<f64>::zeros(size);
    let (mut u, mut v) = (Mat::<f64>::zeros(m, size), Mat::<f64>::zeros(n, size));
    let thin = ComputeSvdVectors::Thin;
    let request = svd_scratch::<f64>(m, n, thin, thin, Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(request);
    faer_svd(
        a.as_mat(),
        values.as_diagonal_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut buffer),
        Default::default(),
    )
    .map_err(|_| SmallError::NoConvergence {
        factorization: "singular value decomposition",
    })?;
    Ok(Svd {
        u: Small::from_mat(u.as_ref()),
        values: (0..size).map(|j| values[j]).collect(),
        v: Small::from_mat(v.as_ref()),
    })
}
