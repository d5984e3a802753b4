//! Sums and squared norms of rows, columns and the whole block, in f64.

use super::{Segment, SparseBlock};
use crate::reduce::ordered_sum;
use crate::tall::squared_norm;
use rayon::prelude::*;

/// Values whose squares one task sums.
const CHUNK_VALUES: usize = 1 << 16;

/// out += per column, Σ `term`(value), rows ascending. Segments own disjoint parts of `out`.
pub(super) fn add_to_columns(
    block: &SparseBlock,
    out: &mut [f64],
    term: impl Fn(f64) -> f64 + Sync,
) {
    assert_eq!(out.len(), block.ncols, "one entry per column");
    let mut rest = out;
    let mut covered = 0;
    let mut owned = Vec::new();
    for segment in &block.segments {
        let (_, tail) = rest.split_at_mut(segment.first_column - covered);
        let (sums, tail) = tail.split_at_mut(segment.width);
        rest = tail;
        covered = segment.first_column + segment.width;
        owned.push((segment, sums));
    }
    owned.into_par_iter().for_each(|(segment, sums)| {
        for k in segment.positions() {
            sums[segment.columns.get(k)] += term(f64::from(segment.value(k)));
        }
    });
}

pub(super) fn squared_row_norms(block: &SparseBlock, out: &mut [f64]) {
    assert_eq!(out.len(), block.nrows, "one entry per row");
    out.par_iter_mut()
        .with_min_len(1024)
        .enumerate()
        .for_each(|(row, out)| *out = squared_row_norm(block, row));
}

pub(super) fn frobenius2(block: &SparseBlock) -> f64 {
    let mut total = 0.0;
    for segment in &block.segments {
        let Some(values) = segment.values else {
            total += segment.nnz() as f64;
            continue;
        };
        let values = &values[segment.positions()];
        let chunks = values.chunks(CHUNK_VALUES);
        let chunks: Vec<&[f32]> = chunks.collect();
        let sum = ordered_sum(chunks.len(), 1, |chunk, sum| {
            sum[0] = squared_norm(chunks[chunk]);
        });
        total += sum[0];
    }
    total
}

fn squared_row_norm(block: &SparseBlock, row: usize) -> f64 {
    let square = |segment: &Segment, k| {
        let value = f64::from(segment.value(k));
        value * value
    };
    let mut sum = 0.0;
    for segment in &block.segments {
        for k in segment.row(row) {
            sum += square(segment, k);
        }
    }
    sum
}
