//! Tall matrices between the store and the kernels.

use rankmill_common::Result;
use rankmill_common::matrix::{Precision, RowRange, TallMatrix};
use rankmill_kernels::Panel;
use rankmill_kernels::tall::Entries;

use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::tall;

/// Bytes of one shard, at most.
const SHARD_BYTES: u64 = 1 << 30;

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

/// Stores all rows of an f32 matrix, in shards of bounded size.
pub(super) fn write_panel(context: &TaskContext, name: &str, panel: Panel) -> Result<TallMatrix> {
    let (nrows, ncols) = (panel.nrows(), panel.ncols());
    write(context, name, (nrows, ncols), Numbered::Single(panel))
}

/// Stores all rows of an f64 matrix, in shards of bounded size.
pub(super) fn write_f64(
    context: &TaskContext,
    name: &str,
    ncols: usize,
    entries: Vec<f64>,
) -> Result<TallMatrix> {
    let nrows = entries.len() / ncols.max(1);
    write(context, name, (nrows, ncols), Numbered::Double(entries))
}

fn write(
    context: &TaskContext,
    name: &str,
    (nrows, ncols): (usize, usize),
    numbers: Numbered,
) -> Result<TallMatrix> {
    let precision = match &numbers {
        Numbered::Single(_) => Precision::Single,
        Numbered::Double(_) => Precision::Double,
    };
    let row_bytes = ncols as u64 * precision.bytes();
    let ranges = RowRange::cut(nrows as u64, SHARD_BYTES / row_bytes.max(1));
    let shards = match ranges.as_slice() {
        [rows] => {
            let shard = tall::write(context, &format!("{name}-0"), *rows, ncols as u32, numbers)?;
            vec![shard]
        }
        ranges => {
            let part = |(index, rows): (usize, &RowRange)| {
                let name = format!("{name}-{index}");
                let entries = entries_of(*rows, ncols);
                match numbers.entries().slice(entries) {
                    Entries::Single(part) => tall::write_part(context, &name, *rows, ncols, part),
                    Entries::Double(part) => tall::write_part(context, &name, *rows, ncols, part),
                }
            };
            ranges.iter().enumerate().map(part).collect::<Result<_>>()?
        }
    };
    Ok(TallMatrix {
        nrows: nrows as u64,
        ncols: ncols as u32,
        precision,
        shards,
    })
}

fn entries_of(rows: RowRange, ncols: usize) -> std::ops::Range<usize> {
    rows.start as usize * ncols..rows.end() as usize * ncols
}
