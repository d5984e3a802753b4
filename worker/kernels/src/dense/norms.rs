//! Sums and squared norms of rows, columns and the whole block, in f64.

use super::DenseBlock;
use crate::reduce::{chunk_count, chunk_rows, ordered_sum};
use crate::simd::vectorized;
use crate::tall::squared_norm;
use rayon::prelude::*;

/// out += per column, Σ `term`(value − mean), in fixed chunks of rows.
pub(super) fn add_to_columns(
    block: &DenseBlock,
    out: &mut [f64],
    mean: Option<&[f64]>,
    term: impl Fn(f64) -> f64 + Sync,
) {
    let n = block.ncols;
    assert_eq!(out.len(), n, "one entry per column");
    let zeros = mean.is_none().then(|| vec![0.0; n]);
    let mean = mean.or(zeros.as_deref()).unwrap_or_default();
    assert_eq!(mean.len(), n, "one mean per column");
    let sums = ordered_sum(chunk_count(block.nrows), n, |chunk, sum| {
        let rows = block.rows(&chunk_rows(chunk, block.nrows));
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact(n.max(1)) {
                    for ((sum, &value), mean) in sum.iter_mut().zip(row).zip(mean) {
                        *sum += term(f64::from(value) - mean);
                    }
                }
            },
        );
    });
    for (out, sum) in out.iter_mut().zip(sums) {
        *out += sum;
    }
}

pub(super) fn squared_row_norms(block: &DenseBlock, out: &mut [f64]) {
    assert_eq!(out.len(), block.nrows, "one entry per row");
    out.par_iter_mut()
        .with_min_len(256)
        .enumerate()
        .for_each(|(row, out)| *out = squared_norm(block.rows(&(row..row + 1))));
}

pub(super) fn frobenius2(block: &DenseBlock) -> f64 {
    let total = ordered_sum(chunk_count(block.nrows), 1, |chunk, sum| {
        for row in chunk_rows(chunk, block.nrows) {
            sum[0] += squared_norm(block.rows(&(row..row + 1)));
        }
    });
    total[0]
}
