//! Small matrices between the store and the kernels.

use rankmill_common::matrix::SmallMatrix;
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_kernels::{Small, SmallError};

use crate::context::TaskContext;
use crate::storage::small;

/// The matrix in memory.
pub(super) fn read(context: &TaskContext, matrix: &SmallMatrix) -> Result<Small> {
    let entries = small::read(context, matrix)?;
    let (nrows, ncols) = (matrix.nrows as usize, matrix.ncols as usize);
    Ok(Small::from_vec(nrows, ncols, entries))
}

/// The sum of `parts` in order; `Internal` for none, or of several shapes.
pub(super) fn read_sum(context: &TaskContext, parts: &[SmallMatrix]) -> Result<Small> {
    let entries = small::read_sum(context, parts)?;
    let shape = parts.first().map(|part| (part.nrows, part.ncols));
    let (nrows, ncols) = shape.unwrap_or_default();
    Ok(Small::from_vec(nrows as usize, ncols as usize, entries))
}

/// The entries of a matrix of one row, of which there must be `len`.
pub(super) fn read_row(
    context: &TaskContext,
    matrix: &SmallMatrix,
    len: usize,
) -> Result<Vec<f64>> {
    if matrix.nrows != 1 || matrix.ncols as usize != len {
        return Err(Error::internal(format!(
            "object {} is {} x {}, not a row of {len}",
            matrix.object.key, matrix.nrows, matrix.ncols
        )));
    }
    small::read(context, matrix)
}

/// The sum of rows of `len` entries; zeros where there are none.
pub(super) fn read_row_sum(
    context: &TaskContext,
    parts: &[SmallMatrix],
    len: usize,
) -> Result<Vec<f64>> {
    let mut sum = vec![0.0; len];
    for part in parts {
        let row = read_row(context, part, len)?;
        for (sum, entry) in sum.iter_mut().zip(row) {
            *sum += entry;
        }
    }
    Ok(sum)
}

/// Stores `matrix` as the object `name`.
pub(super) fn write(context: &TaskContext, name: &str, matrix: &Small) -> Result<SmallMatrix> {
    let (nrows, ncols) = (order(matrix.nrows())?, order(matrix.ncols())?);
    small::write(context, name, nrows, ncols, matrix.as_slice())
}

/// Stores `entries` as a matrix of one row.
pub(super) fn write_row(context: &TaskContext, name: &str, entries: &[f64]) -> Result<SmallMatrix> {
    small::write(context, name, 1, order(entries.len())?, entries)
}

/// Why a factorization of `what` failed, as the error that travels.
pub(super) fn failed(what: &str, error: &SmallError) -> Error {
    let message = format!("{what}: {error}");
    match error {
        SmallError::NotFinite { .. } => Error::new(
            ErrorKind::InvalidInput,
            format!("{message}: a product of the matrix overflows; scale its values down"),
        ),
        SmallError::NotSquare { .. }
        | SmallError::NotPositiveDefinite { .. }
        | SmallError::Singular { .. }
        | SmallError::NoConvergence { .. } => Error::internal(message),
    }
}

fn order(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::internal(format!("a small matrix of order {length}")))
}
