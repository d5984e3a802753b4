//! The normal product in f64, for the last read of A.

use super::multiply::{add_transposed_product, product, product_of_rows};
use super::normal::panels;
use super::norms::{squared_norms, squared_norms_of};
use super::{DenseBlock, center};
use crate::block::{Certified, Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::reduce::fold_in_order;
use crate::tall::{round, widen};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of Y that one task computes where Z is not wanted: what they need stays in a core's cache.
const OWNED_ROWS: usize = 128;

pub(super) fn certified_normal_multiply(
    block: &DenseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    z: Option<&mut [f64]>,
    y: &mut Panel,
    scratch: &mut Scratch,
) -> Certified {
    let (n, l) = (block.ncols, x.ncols());
    let z_len = z.as_deref().map_or(n * l, <[f64]>::len);
    assert_eq!(z_len, n * l, "z is columns of A by columns of x");
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    let mut wide_x = vec![0.0; n * l];
    widen(x.as_slice(), &mut wide_x);
    let means = mean.map(|mean| mean.columns);
    let mut row_norms2 = vec![0.0; block.nrows];
    let parts = match z {
        Some(z) => normal(block, &wide_x, means, z, y, &mut row_norms2, scratch),
        None => multiply(block, &wide_x, means, y, &mut row_norms2),
    };
    let (lost, norms): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2: fold_in_order(&lost, l),
        column_sums: None,
        row_norms2,
        column_norms2: fold_in_order(&norms, n),
    }
}

/// Of some rows: per column of Y the squared norm of what rounding lost, and per column of A its
/// squared norm.
type Part = (Vec<f64>, Vec<f64>);

/// Y and Z.
fn normal(
    block: &DenseBlock,
    x: &[f64],
    mean: Option<&[f64]>,
    z: &mut [f64],
    y: &mut Panel,
    row_norms2: &mut [f64],
    scratch: &mut Scratch,
) -> Vec<Part> {
    let (n, l) = (block.ncols, y.ncols());
    let panel = |rows: Range<usize>| {
        let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
        block.centered_rows(&rows, mean, centered);
        let exact: &mut [f64] = scratch_slice(&mut scratch.y, rows.len() * l);
        product(centered, n, x, l, exact);
        let rounded = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        let lost = round(exact, l, rounded, l);
        // Z belongs to the Y that is kept: what certifies U must be the product with that U.
        widen(rounded, exact);
        add_transposed_product(centered, n, exact, l, z);
        (lost, squared_norms(centered, n, &mut row_norms2[rows]))
    };
    panels(block.nrows).map(panel).collect()
}

/// Y alone.
fn multiply(
    block: &DenseBlock,
    x: &[f64],
    mean: Option<&[f64]>,
    y: &mut Panel,
    row_norms2: &mut [f64],
) -> Vec<Part> {
    let (n, l) = (block.ncols, y.ncols());
    if n == 0 || l == 0 {
        return Vec::new();
    }
    let tasks = y
        .as_mut_slice()
        .par_chunks_mut(OWNED_ROWS * l)
        .zip(row_norms2.par_chunks_mut(OWNED_ROWS))
        .enumerate();
    tasks
        .with_min_len(8)
        .map_init(Scratch::new, |scratch, (task, (rounded, norms))| {
            let rows = task * OWNED_ROWS..task * OWNED_ROWS + norms.len();
            let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
            center(block.rows(&rows), n, mean, centered);
            let exact: &mut [f64] = scratch_slice(&mut scratch.y, rounded.len());
            product_of_rows(centered, n, x, l, exact);
            let lost = round(exact, l, rounded, l);
            (lost, squared_norms_of(centered, n, norms))
        })
        .collect()
}
