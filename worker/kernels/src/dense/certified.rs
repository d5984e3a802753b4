//! The normal product in f64, for the last read of A.

use super::DenseBlock;
use super::normal::panels;
use super::strips::{STRIP, Strips};
use crate::block::{Certified, Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::tall::{TILE_ROWS, round, tiles, widen};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of A, rows of Z, that one task owns: part of a strip.
const OWNED_COLUMNS: usize = STRIP / 2;

pub(super) fn certified_normal_multiply(
    block: &DenseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    z: &mut [f64],
    y: &mut Panel,
    scratch: &mut Scratch,
) -> Certified {
    let (n, l) = (block.ncols, x.ncols());
    assert_eq!(z.len(), n * l, "z is columns of A by columns of x");
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    if n == 0 || l == 0 {
        return empty(y);
    }
    let mut wide_x = vec![0.0; n * l];
    widen(x.as_slice(), &mut wide_x);
    let mut rounding_error2 = vec![0.0; l];
    for rows in panels(block.nrows) {
        let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
        let centered = Strips::fill(block, &rows, mean.map(|mean| mean.columns), centered);
        let exact: &mut [f64] = scratch_slice(&mut scratch.y, rows.len() * l);
        multiply(&centered, &wide_x, l, exact);
        let rounded = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        let lost = round(exact, l, rounded, l);
        rounding_error2
            .iter_mut()
            .zip(lost)
            .for_each(|(sum, lost)| *sum += lost);
        // Z belongs to the Y that is kept: what certifies U must be the product with that U.
        widen(rounded, exact);
        add_transposed(&centered, exact, l, z);
    }
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2,
        column_sums: None,
    }
}

/// What is certified where there is nothing to multiply: Y = 0.
fn empty(y: &mut Panel) -> Certified {
    y.as_mut_slice().fill(0.0);
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2: vec![0.0; y.ncols()],
        column_sums: None,
    }
}

/// y = a x for `x` (n×l) and `y` (rows×l), strips of `a` ascending.
fn multiply(a: &Strips, x: &[f64], l: usize, y: &mut [f64]) {
    let tasks = y.par_chunks_mut(TILE_ROWS * l).enumerate();
    tasks.for_each(|(task, y)| {
        let (first, rows) = (task * TILE_ROWS, y.len() / l);
        let mut y = MatMut::from_row_major_slice_mut(y, rows, l);
        for strip in 0..a.len() {
            let accum = if strip == 0 {
                Accum::Replace
            } else {
                Accum::Add
            };
            let a = a.rows(strip, first..first + rows);
            let x = &x[strip * STRIP * l..(strip * STRIP + a.ncols()) * l];
            let x = MatRef::from_row_major_slice(x, a.ncols(), l);
            matmul(y.as_mut(), accum, a, x, 1.0, Par::Seq);
        }
    });
}

/// z += aᵀ y for `y` (rows×l) and `z` (n×l); rows ascending, by owners of z.
fn add_transposed(a: &Strips, y: &[f64], l: usize, z: &mut [f64]) {
    let tasks = z.par_chunks_mut(OWNED_COLUMNS * l).enumerate();
    tasks.for_each(|(task, z)| {
        let (first, columns) = (task * OWNED_COLUMNS, z.len() / l);
        let mut z = MatMut::from_row_major_slice_mut(z, columns, l);
        for rows in tiles(0..y.len() / l) {
            let a = a.rows(first / STRIP, rows.clone());
            let a = a.subcols(first % STRIP, columns);
            let y = &y[rows.start * l..rows.end * l];
            let y = MatRef::from_row_major_slice(y, rows.len(), l);
            matmul(z.as_mut(), Accum::Add, a.transpose(), y, 1.0, Par::Seq);
        }
    });
}
