//! Small f64 matrices: Gram matrices, triangular factors, rotations.
//!
//! Not for anything whose size grows with the input. Every factorization runs on one thread, so
//! its bits do not depend on the pool.

mod factor;
mod orthonormalize;

pub use factor::{Svd, cholesky, svd, symmetric_eigen, symmetric_eigenvalues, upper_inverse};
pub use orthonormalize::{
    Orthonormalizer, longest_directions, scaled_rank_revealing_orthonormalizer,
};

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::{Index, IndexMut, Range};

/// Why a small factorization has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmallError {
    /// An entry is NaN or infinite.
    #[error("entry ({row}, {column}) is not finite")]
    NotFinite {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// The matrix is not square.
    #[error("a {nrows}x{ncols} matrix is not square")]
    NotSquare {
        /// Rows.
        nrows: usize,
        /// Columns.
        ncols: usize,
    },
    /// Cholesky met a pivot that is not positive.
    #[error("matrix is not positive definite at pivot {index}")]
    NotPositiveDefinite {
        /// The pivot, counted from 0.
        index: usize,
    },
    /// A triangular matrix has a zero on its diagonal.
    #[error("triangular matrix is singular at diagonal entry {index}")]
    Singular {
        /// The entry, counted from 0.
        index: usize,
    },
    /// An iteration within the factorization did not converge.
    #[error("{factorization} did not converge")]
    NoConvergence {
        /// Which factorization.
        factorization: &'static str,
    },
}

/// A row-major f64 matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Small {
    nrows: usize,
    ncols: usize,
    entries: Vec<f64>,
}

impl Small {
    /// The `nrows`×`ncols` zero matrix.
    pub fn zeros(nrows: usize, ncols: usize) -> Self {
        Self::from_vec(nrows, ncols, vec![0.0; nrows * ncols])
    }

    /// The identity of order `n`.
    pub fn identity(n: usize) -> Self {
        Self::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 })
    }

    /// The diagonal matrix of `diagonal`.
    pub fn diagonal(diagonal: &[f64]) -> Self {
        let n = diagonal.len();
        Self::from_fn(n, n, |i, j| if i == j { diagonal[i] } else { 0.0 })
    }

    /// The matrix whose entry (i, j) is `entry(i, j)`.
    pub fn from_fn(nrows: usize, ncols: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let mut entries = Vec::with_capacity(nrows * ncols);
        for i in 0..nrows {
            entries.extend((0..ncols).map(|j| entry(i, j)));
        }
        Self::from_vec(nrows, ncols, entries)
    }

    /// The matrix of these row-major entries.
    ///
    /// # Panics
    /// If the number of entries is not `nrows`·`ncols`.
    pub fn from_vec(nrows: usize, ncols: usize, entries: Vec<f64>) -> Self {
        assert_eq!(entries.len(), nrows * ncols, "entries of the shape");
        Self {
            nrows,
            ncols,
            entries,
        }
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }

    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.ncols
    }

    /// All entries, row-major.
    pub fn as_slice(&self) -> &[f64] {
        &self.entries
    }

    /// All entries, row-major, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f64] {
        &mut self.entries
    }

    /// The row-major entries.
    pub fn into_vec(self) -> Vec<f64> {
        self.entries
    }

    /// Entry (i, j).
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self[(i, j)]
    }

    /// Sets entry (i, j).
    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self[(i, j)] = value;
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.entries[i * self.ncols..(i + 1) * self.ncols]
    }

    /// Column `j`, copied.
    pub fn column(&self, j: usize) -> Vec<f64> {
        (0..self.nrows).map(|i| self[(i, j)]).collect()
    }

    /// The transpose.
    pub fn transpose(&self) -> Self {
        Self::from_fn(self.ncols, self.nrows, |i, j| self[(j, i)])
    }

    /// `self · other`.
    ///
    /// # Panics
    /// If the inner dimensions differ.
    pub fn matmul(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.nrows, other.ncols);
        let target = product.as_mat_mut();
        matmul(
            target,
            Accum::Replace,
            self.as_mat(),
            other.as_mat(),
            1.0,
            Par::Seq,
        );
        product
    }

    /// `selfᵀ · other`.
    ///
    /// # Panics
    /// If the numbers of rows differ.
    pub fn transposed_matmul(&self, other: &Self) -> Self {
        let mut product = Self::zeros(self.ncols, other.ncols);
        let (left, target) = (self.as_mat().transpose(), product.as_mat_mut());
        matmul(target, Accum::Replace, left, other.as_mat(), 1.0, Par::Seq);
        product
    }

    /// `self + other`.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn add(&self, other: &Self) -> Self {
        assert_eq!(
            (self.nrows, self.ncols),
            (other.nrows, other.ncols),
            "same shape"
        );
        Self::from_fn(self.nrows, self.ncols, |i, j| self[(i, j)] + other[(i, j)])
    }

    /// `factor · self`.
    pub fn scale(&self, factor: f64) -> Self {
        Self::from_fn(self.nrows, self.ncols, |i, j| factor * self[(i, j)])
    }

    /// `self · diag(factors)`.
    ///
    /// # Panics
    /// If there is not one factor per column.
    pub fn scale_columns(&self, factors: &[f64]) -> Self {
        assert_eq!(factors.len(), self.ncols, "one factor per column");
        Self::from_fn(self.nrows, self.ncols, |i, j| self[(i, j)] * factors[j])
    }

    /// `diag(factors) · self`.
    ///
    /// # Panics
    /// If there is not one factor per row.
    pub fn scale_rows(&self, factors: &[f64]) -> Self {
        assert_eq!(factors.len(), self.nrows, "one factor per row");
        Self::from_fn(self.nrows, self.ncols, |i, j| factors[i] * self[(i, j)])
    }

    /// The rows and columns of these ranges.
    ///
    /// # Panics
    /// If a range exceeds the matrix.
    pub fn submatrix(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        Self::from_fn(rows.len(), columns.len(), |i, j| {
            self[(rows.start + i, columns.start + j)]
        })
    }

    /// `[self, other]`.
    ///
    /// # Panics
    /// If the numbers of rows differ.
    pub fn hstack(&self, other: &Self) -> Self {
        assert_eq!(self.nrows, other.nrows, "same rows");
        Self::from_fn(self.nrows, self.ncols + other.ncols, |i, j| {
            if j < self.ncols {
                self[(i, j)]
            } else {
                other[(i, j - self.ncols)]
            }
        })
    }

    /// `self` above `other`.
    ///
    /// # Panics
    /// If the numbers of columns differ.
    pub fn vstack(&self, other: &Self) -> Self {
        assert_eq!(self.ncols, other.ncols, "same columns");
        let entries = [self.as_slice(), other.as_slice()].concat();
        Self::from_vec(self.nrows + other.nrows, self.ncols, entries)
    }

    /// ‖self‖_F.
    pub fn frobenius(&self) -> f64 {
        self.entries.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    pub(crate) fn as_mat(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.entries, self.nrows, self.ncols)
    }

    pub(crate) fn as_mat_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_row_major_slice_mut(&mut self.entries, self.nrows, self.ncols)
    }

    fn from_mat(mat: MatRef<'_, f64>) -> Self {
        Self::from_fn(mat.nrows(), mat.ncols(), |i, j| mat[(i, j)])
    }

    fn check_finite(&self) -> Result<(), SmallError> {
        match self.entries.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(SmallError::NotFinite {
                row: at / self.ncols,
                column: at % self.ncols,
            }),
        }
    }

    fn check_square(&self) -> Result<(), SmallError> {
        if self.nrows == self.ncols {
            Ok(())
        } else {
            Err(SmallError::NotSquare {
                nrows: self.nrows,
                ncols: self.ncols,
            })
        }
    }
}

impl Index<(usize, usize)> for Small {
    type Output = f64;

    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        debug_assert!(j < self.ncols);
        &self.entries[i * self.ncols + j]
    }
}

impl IndexMut<(usize, usize)> for Small {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        debug_assert!(j < self.ncols);
        &mut self.entries[i * self.ncols + j]
    }
}

/// Copies the upper triangle of a row-major n×n matrix onto its lower one.
///
/// # Panics
/// If `matrix` does not hold n² entries.
pub fn mirror_upper(matrix: &mut [f64], n: usize) {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    for i in 1..n {
        for j in 0..i {
            matrix[i * n + j] = matrix[j * n + i];
        }
    }
}

#[cfg(test)]
mod tests;
