//! Tall matrices between the store and the kernels.

use rankmill_common::Result;
use rankmill_common::matrix::{Precision, RowRange, Shard, TallMatrix};
use rankmill_kernels::Panel;

use crate::context::TaskContext;
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
pub(super) fn write_panel(context: &TaskContext, name: &str, panel: &Panel) -> Result<TallMatrix> {
    let ncols = panel.ncols();
    write(
        name,
        panel.nrows(),
        ncols,
        Precision::Single,
        |name, rows| {
            let entries = &panel.as_slice()[entries_of(rows, ncols)];
            tall::write_f32(context, name, rows, ncols as u32, entries)
        },
    )
}

/// Stores all rows of an f64 matrix, in shards of bounded size.
pub(super) fn write_f64(
    context: &TaskContext,
    name: &str,
    ncols: usize,
    entries: &[f64],
) -> Result<TallMatrix> {
    let nrows = entries.len() / ncols.max(1);
    write(name, nrows, ncols, Precision::Double, |name, rows| {
        let entries = &entries[entries_of(rows, ncols)];
        tall::write_f64(context, name, rows, ncols as u32, entries)
    })
}

fn write(
    name: &str,
    nrows: usize,
    ncols: usize,
    precision: Precision,
    mut shard: impl FnMut(&str, RowRange) -> Result<Shard>,
) -> Result<TallMatrix> {
    let row_bytes = ncols as u64 * precision.bytes();
    let ranges = RowRange::cut(nrows as u64, SHARD_BYTES / row_bytes.max(1));
    let shards = ranges
        .into_iter()
        .enumerate()
        .map(|(index, rows)| shard(&format!("{name}-{index}"), rows))
        .collect::<Result<_>>()?;
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
