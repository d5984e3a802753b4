//! Squared distances of the rows from a point: norms of centred rows.

use super::DenseBlock;
use crate::simd::vectorized;
use rayon::prelude::*;

/// out = ‖a − μ‖² per row a, by interleaved sums that fill vector units, added in fixed order.
pub(super) fn squared_row_distances(block: &DenseBlock, mean: &[f64], out: &mut [f64]) {
    assert_eq!(mean.len(), block.ncols, "one mean per column");
    assert_eq!(out.len(), block.nrows, "one entry per row");
    let rows = out.par_iter_mut().with_min_len(256).enumerate();
    rows.for_each(|(row, out)| *out = squared_distance(block.rows(&(row..row + 1)), mean));
}

fn squared_distance(row: &[f32], mean: &[f64]) -> f64 {
    const LANES: usize = 32;
    vectorized(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            let (blocks, rest) = row.as_chunks::<LANES>();
            let (mean_blocks, mean_rest) = mean.as_chunks::<LANES>();
            let mut add = |row: &[f32], mean: &[f64]| {
                for ((sum, &entry), mean) in sums.iter_mut().zip(row).zip(mean) {
                    let difference = f64::from(entry) - mean;
                    *sum = difference.mul_add(difference, *sum);
                }
            };
            for (row, mean) in blocks.iter().zip(mean_blocks) {
                add(row, mean);
            }
            add(rest, mean_rest);
            sums.iter().sum()
        },
    )
}
