//! Sums and squared norms of rows, columns and the whole block, in f64.

use super::DenseBlock;
use crate::reduce::{chunk_count, chunk_rows, fold_in_order, ordered_sum};
use crate::simd::vectorized;
use crate::tall::squared_norm;
use rayon::prelude::*;

/// Rows whose norms one task takes.
const NORM_ROWS: usize = 512;

/// out += 1ᵀA, in fixed chunks of rows.
pub(super) fn add_to_columns(block: &DenseBlock, out: &mut [f64]) {
    let n = block.ncols;
    assert_eq!(out.len(), n, "one entry per column");
    let sums = ordered_sum(chunk_count(block.nrows), n, |chunk, sum| {
        let rows = block.rows(&chunk_rows(chunk, block.nrows));
        vectorized(
            #[inline(always)]
            || {
                for row in rows.chunks_exact(n.max(1)) {
                    for (sum, &value) in sum.iter_mut().zip(row) {
                        *sum += f64::from(value);
                    }
                }
            },
        );
    });
    for (out, sum) in out.iter_mut().zip(sums) {
        *out += sum;
    }
}

/// Squared norms of rows that are `n` wide, by all threads: of each into `out`, of their columns
/// returned.
pub(super) fn squared_norms(rows: &[f64], n: usize, out: &mut [f64]) -> Vec<f64> {
    if n == 0 {
        out.fill(0.0);
        return Vec::new();
    }
    let tasks = rows
        .par_chunks(NORM_ROWS * n)
        .zip(out.par_chunks_mut(NORM_ROWS));
    let columns: Vec<Vec<f64>> = tasks
        .map(|(rows, out)| squared_norms_of(rows, n, out))
        .collect();
    fold_in_order(&columns, n)
}

/// [`squared_norms`] by one thread, for `n` above zero.
pub(super) fn squared_norms_of(rows: &[f64], n: usize, out: &mut [f64]) -> Vec<f64> {
    const LANES: usize = 16;
    let mut columns = vec![0.0; n];
    vectorized(
        #[inline(always)]
        || {
            for (row, out) in rows.chunks_exact(n).zip(out) {
                let mut sums = [0.0; LANES];
                let mut add = |row: &[f64], columns: &mut [f64]| {
                    for ((sum, entry), column) in sums.iter_mut().zip(row).zip(columns) {
                        let square = entry * entry;
                        *sum += square;
                        *column += square;
                    }
                };
                let (blocks, rest) = row.as_chunks::<LANES>();
                let (column_blocks, column_rest) = columns.as_chunks_mut::<LANES>();
                for (row, columns) in blocks.iter().zip(column_blocks) {
                    add(row, columns);
                }
                add(rest, column_rest);
                *out = sums.iter().sum();
            }
        },
    );
    columns
}

pub(super) fn frobenius2(block: &DenseBlock) -> f64 {
    let total = ordered_sum(chunk_count(block.nrows), 1, |chunk, sum| {
        for row in chunk_rows(chunk, block.nrows) {
            sum[0] += squared_norm(block.rows(&(row..row + 1)));
        }
    });
    total[0]
}
