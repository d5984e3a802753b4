//! Squared norms of the centred rows and columns, which are never formed.

use super::{SparseBlock, norms};
use rayon::prelude::*;

/// Squared norms of the rows and of the columns of A − 1μᵀ.
pub(super) fn squared_norms(block: &SparseBlock, mean: Option<&[f64]>) -> (Vec<f64>, Vec<f64>) {
    let (mut rows, mut columns) = (vec![0.0; block.nrows], vec![0.0; block.ncols]);
    // Few segments mean few tasks for the columns: the rows go by beside them.
    match mean {
        Some(mean) => rayon::join(
            || squared_column_distances(block, mean, &mut columns),
            || squared_row_distances(block, mean, &mut rows),
        ),
        None => rayon::join(
            || norms::add_to_columns(block, &mut columns, |value| value * value),
            || norms::squared_row_norms(block, &mut rows),
        ),
    };
    (rows, columns)
}

/// out = ‖a − μ‖² per row a: Σ v(v − 2μ) over its nonzeros, plus ‖μ‖².
fn squared_row_distances(block: &SparseBlock, mean: &[f64], out: &mut [f64]) {
    assert_eq!(mean.len(), block.ncols, "one mean per column");
    assert_eq!(out.len(), block.nrows, "one entry per row");
    let mean_norm2: f64 = mean.iter().map(|mean| mean * mean).sum();
    let rows = out.par_iter_mut().with_min_len(256).enumerate();
    rows.for_each(|(row, out)| {
        let mut sum = 0.0;
        for segment in &block.segments {
            for k in segment.row(row) {
                let mean = mean[segment.first_column + segment.columns.get(k)];
                let value = f64::from(segment.value(k));
                sum += value * (value - 2.0 * mean);
            }
        }
        *out = (sum + mean_norm2).max(0.0);
    });
}

/// out += Σ (a − μ)² = Σa² − 2μΣa + rows·μ² per column.
fn squared_column_distances(block: &SparseBlock, mean: &[f64], out: &mut [f64]) {
    assert_eq!(mean.len(), block.ncols, "one mean per column");
    let (mut sums, mut squares) = (vec![0.0; block.ncols], vec![0.0; block.ncols]);
    norms::add_to_columns(block, &mut sums, |value| value);
    norms::add_to_columns(block, &mut squares, |value| value * value);
    let columns = squares.iter().zip(&sums).zip(mean);
    for (out, ((square, sum), mean)) in out.iter_mut().zip(columns) {
        *out += (square - 2.0 * mean * sum + block.nrows as f64 * mean * mean).max(0.0);
    }
}
