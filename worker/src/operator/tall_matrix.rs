//! Tall matrices between the store and the kernels.

use rankmill_common::Result;
use rankmill_common::matrix::{Precision, RowRange, TallMatrix};
use rankmill_kernels::Panel;

use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::tall;

/// Rows of a tall matrix in memory, in the precision in which they are stored.
pub(super) enum Rows {
    Single(Panel),
    Double(Vec<f64>),
}

impl Rows {
    /// Rows `rows` of `matrix`.
    pub(super) fn read(context: &TaskContext, matrix: &TallMatrix, rows: RowRange) -> Result<Self> {
        Ok(match matrix.precision {
            Precision::Single => Self::Single(tall::read_panel(context, matrix, rows)?),
            Precision::Double => Self::Double(tall::read_f64(context, matrix, rows)?),
        })
    }
}

/// Every row of `matrix`.
pub(super) fn all_rows(matrix: &TallMatrix) -> RowRange {
    RowRange {
        start: 0,
        count: matrix.nrows,
    }
}

/// The single column of `matrix`, in f64.
pub(super) fn read_column(context: &TaskContext, matrix: &TallMatrix) -> Result<Vec<f64>> {
    tall::read_f64(context, matrix, all_rows(matrix))
}

/// Stores all rows of an f32 matrix.
pub(super) fn write_panel(context: &TaskContext, name: &str, panel: Panel) -> Result<TallMatrix> {
    let shape = (panel.nrows() as u64, panel.ncols());
    tall::write_shards(context, name, shape, Numbered::Single(panel))
}

/// Stores all rows of an f64 matrix.
pub(super) fn write_f64(
    context: &TaskContext,
    name: &str,
    ncols: usize,
    entries: Vec<f64>,
) -> Result<TallMatrix> {
    let nrows = entries.len() / ncols.max(1);
    tall::write_shards(
        context,
        name,
        (nrows as u64, ncols),
        Numbered::Double(entries),
    )
}
