//! Small dense f64 matrices, one object each.

use rankmill_common::matrix::SmallMatrix;
use rankmill_common::{Error, Result};
use rankmill_kernels::tall::Entries;

use super::ipc::IpcFile;
use super::matrix_file::Numbered;
use super::tall::write_matrix;
use super::vectors::{self, Numbers};
use crate::context::TaskContext;

/// The entries of `matrix`, row-major.
///
/// # Errors
///
/// `InputLost` where the object is gone, `Internal` where it has another shape.
pub(crate) fn read(context: &TaskContext, matrix: &SmallMatrix) -> Result<Vec<f64>> {
    let (nrows, ncols) = (matrix.nrows as usize, matrix.ncols as usize);
    if let Some(file) = context.in_memory(&matrix.object)
        && let Entries::Double(entries) = file.numbers().entries()
        && entries.len() == nrows * ncols
    {
        return Ok(entries.to_vec());
    }
    let file = IpcFile::open(context, &matrix.object)?;
    let mut entries = Vec::with_capacity(nrows * ncols);
    for batch in file.batches() {
        let batch = batch?;
        match vectors::numbers(&batch, ncols) {
            Some(Numbers::Double(numbers)) => entries.extend_from_slice(numbers),
            Some(Numbers::Single(_)) | None => break,
        }
    }
    if entries.len() != nrows * ncols {
        let key = &matrix.object.key;
        return Err(Error::internal(format!(
            "object {key} is no {nrows} x {ncols} matrix of f64"
        )));
    }
    Ok(entries)
}

/// The sum of `parts`, added in order.
///
/// # Errors
///
/// As [`read`]; `Internal` for no parts, or parts of several shapes.
pub(crate) fn read_sum(context: &TaskContext, parts: &[SmallMatrix]) -> Result<Vec<f64>> {
    let (first, rest) = parts
        .split_first()
        .ok_or_else(|| Error::internal("a sum of no matrices"))?;
    let mut sum = read(context, first)?;
    for part in rest {
        if (part.nrows, part.ncols) != (first.nrows, first.ncols) {
            return Err(Error::internal("a sum of matrices of several shapes"));
        }
        for (sum, entry) in sum.iter_mut().zip(read(context, part)?) {
            *sum += entry;
        }
    }
    Ok(sum)
}

/// Writes a matrix, given row-major, as the object `name`.
///
/// # Errors
///
/// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
pub(crate) fn write(
    context: &TaskContext,
    name: &str,
    nrows: u32,
    ncols: u32,
    entries: &[f64],
) -> Result<SmallMatrix> {
    let shape = (nrows as usize, ncols as usize);
    let object = write_matrix(
        context,
        name,
        shape,
        &Numbered::Double(entries.to_vec()).into(),
    )?;
    Ok(SmallMatrix {
        nrows,
        ncols,
        object,
    })
}
