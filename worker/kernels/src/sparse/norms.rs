//! Sums and squared norms of rows, columns and the whole block, in f64.

use super::{SegmentVisitor, SparseBlock, visit};
use crate::compensated;
use crate::reduce::ordered_sum;
use crate::simd::{LocalColumn, SegmentRows, Weights};
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
    let term = &term;
    owned
        .into_par_iter()
        .for_each(|(segment, sums)| visit(segment, 0..block.nrows, AddToColumns { sums, term }));
}

struct AddToColumns<'a, F> {
    sums: &'a mut [f64],
    term: F,
}

impl<F: Fn(f64) -> f64> SegmentVisitor for AddToColumns<'_, F> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        let (columns, weights) = rows.all();
        for (column, weight) in columns.iter().zip(weights.each()) {
            self.sums[column.index()] += (self.term)(f64::from(weight));
        }
    }
}

/// The same of the values themselves, compensated: `lost` has what `out` lacks of the sums (zeros at
/// first) and goes from block to block with it.
pub(super) fn add_compensated(block: &SparseBlock, out: &mut [f64], lost: &mut [f64]) {
    assert_eq!(out.len(), block.ncols, "one entry per column");
    assert_eq!(lost.len(), block.ncols, "one entry per column");
    let (mut out, mut lost) = (out, lost);
    let mut covered = 0;
    let mut owned = Vec::new();
    for segment in &block.segments {
        let skipped = segment.first_column - covered;
        let [sums, lost] = [&mut out, &mut lost].map(|rest| {
            let (_, tail) = std::mem::take(rest).split_at_mut(skipped);
            let (columns, tail) = tail.split_at_mut(segment.width);
            *rest = tail;
            columns
        });
        covered = segment.first_column + segment.width;
        owned.push((segment, AddCompensated { sums, lost }));
    }
    owned
        .into_par_iter()
        .for_each(|(segment, add)| visit(segment, 0..block.nrows, add));
}

struct AddCompensated<'a> {
    sums: &'a mut [f64],
    lost: &'a mut [f64],
}

impl SegmentVisitor for AddCompensated<'_> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        let (columns, weights) = rows.all();
        for (column, weight) in columns.iter().zip(weights.each()) {
            let column = column.index();
            let (sum, lost) = (&mut self.sums[column], &mut self.lost[column]);
            compensated::add(sum, lost, f64::from(weight));
        }
    }
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
    let mut sum = 0.0;
    for segment in &block.segments {
        let positions = segment.row(row);
        let Some(values) = segment.values else {
            sum += positions.len() as f64;
            continue;
        };
        for &value in &values[positions] {
            sum += f64::from(value) * f64::from(value);
        }
    }
    sum
}
