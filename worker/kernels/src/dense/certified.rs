//! The normal product in f64, for the last read of A.

use super::DenseBlock;
use super::multiply::{add_transposed_product, product, product_of_rows};
use super::normal::panels;
use crate::block::{Certified, Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::reduce::fold_in_order;
use crate::tall::{round, widen};
use rayon::prelude::*;

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
    let rounding_error2 = match z {
        Some(z) => normal(block, &wide_x, means, z, y, scratch),
        None => multiply(block, &wide_x, means, y),
    };
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2,
        column_sums: None,
    }
}

/// Y and Z; per column of Y, the squared norm of what rounding lost.
fn normal(
    block: &DenseBlock,
    x: &[f64],
    mean: Option<&[f64]>,
    z: &mut [f64],
    y: &mut Panel,
    scratch: &mut Scratch,
) -> Vec<f64> {
    let (n, l) = (block.ncols, y.ncols());
    let mut rounding_error2 = vec![0.0; l];
    for rows in panels(block.nrows) {
        let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
        block.centered_rows(&rows, mean, centered);
        let exact: &mut [f64] = scratch_slice(&mut scratch.y, rows.len() * l);
        product(centered, n, x, l, exact);
        let rounded = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        let lost = round(exact, l, rounded, l);
        rounding_error2
            .iter_mut()
            .zip(lost)
            .for_each(|(sum, lost)| *sum += lost);
        // Z belongs to the Y that is kept: what certifies U must be the product with that U.
        widen(rounded, exact);
        add_transposed_product(centered, n, exact, l, z);
    }
    rounding_error2
}

/// Y alone; per column, the squared norm of what rounding lost.
fn multiply(block: &DenseBlock, x: &[f64], mean: Option<&[f64]>, y: &mut Panel) -> Vec<f64> {
    let (n, l) = (block.ncols, y.ncols());
    if l == 0 {
        return Vec::new();
    }
    let rows_at = |task: usize, len: usize| task * OWNED_ROWS..task * OWNED_ROWS + len / l;
    let tasks = y.as_mut_slice().par_chunks_mut(OWNED_ROWS * l).enumerate();
    let lost: Vec<Vec<f64>> = tasks
        .with_min_len(8)
        .map_init(Scratch::new, |scratch, (task, rounded)| {
            let rows = rows_at(task, rounded.len());
            let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
            block.centered_rows(&rows, mean, centered);
            let exact: &mut [f64] = scratch_slice(&mut scratch.y, rounded.len());
            product_of_rows(centered, n, x, l, exact);
            round(exact, l, rounded, l)
        })
        .collect();
    fold_in_order(&lost, l)
}
