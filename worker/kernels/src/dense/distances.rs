//! Squared distances of the rows from a point: norms of centred rows.

use super::DenseBlock;
use rayon::prelude::*;

/// out = ‖a − μ‖² per row a.
pub(super) fn squared_row_distances(block: &DenseBlock, mean: &[f64], out: &mut [f64]) {
    assert_eq!(mean.len(), block.ncols, "one mean per column");
    assert_eq!(out.len(), block.nrows, "one entry per row");
    let rows = out.par_iter_mut().with_min_len(256).enumerate();
    rows.for_each(|(row, out)| {
        let entries = block.rows(&(row..row + 1)).iter().zip(mean);
        *out = entries
            .map(|(&entry, mean)| (f64::from(entry) - mean).powi(2))
            .sum();
    });
}
