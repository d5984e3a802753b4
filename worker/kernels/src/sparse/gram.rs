//! AᵀA in f64 for few columns: one outer product per row, each task owning some rows of the result.

use super::SparseBlock;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of A whose entries are gathered at once.
const PANEL_ROWS: usize = 8192;

/// Rows of the result that one task owns.
const STRIPE: usize = 32;

/// Adds AᵀA to the upper triangle of `out` (n×n, row-major), rows of A ascending.
pub(super) fn gram(block: &SparseBlock, out: &mut [f64]) {
    let n = block.ncols;
    assert_eq!(out.len(), n * n, "out is n by n");
    if n == 0 {
        return;
    }
    for start in (0..block.nrows).step_by(PANEL_ROWS) {
        let rows = start..(start + PANEL_ROWS).min(block.nrows);
        let panel: Vec<Row> = rows.into_par_iter().map(|row| gather(block, row)).collect();
        let stripes = out.par_chunks_mut(STRIPE * n).enumerate();
        stripes.with_max_len(1).for_each(|(stripe, out)| {
            let owned = stripe * STRIPE..((stripe + 1) * STRIPE).min(n);
            for row in &panel {
                add_outer_product(row, &owned, n, out);
            }
        });
    }
}

/// One row of A: columns ascending, and their values.
struct Row {
    columns: Vec<u32>,
    values: Vec<f64>,
}

fn gather(block: &SparseBlock, row: usize) -> Row {
    let mut gathered = Row {
        columns: Vec::new(),
        values: Vec::new(),
    };
    for segment in &block.segments {
        for k in segment.row(row) {
            let column = segment.first_column + segment.columns.get(k);
            gathered.columns.push(column as u32);
            gathered.values.push(f64::from(segment.value(k)));
        }
    }
    gathered
}

/// out[j][k] += a_j a_k for j in `owned` and k ≥ j.
fn add_outer_product(row: &Row, owned: &Range<usize>, n: usize, out: &mut [f64]) {
    let start = row
        .columns
        .partition_point(|&column| (column as usize) < owned.start);
    for (at, &column) in row.columns.iter().enumerate().skip(start) {
        let column = column as usize;
        if column >= owned.end {
            break;
        }
        let out = &mut out[(column - owned.start) * n..][..n];
        let value = row.values[at];
        let rest = row.columns[at..].iter().zip(&row.values[at..]);
        for (&other, &factor) in rest {
            let target = &mut out[other as usize];
            *target += value * factor;
        }
    }
}
