//! Y = (A − 1μᵀ) X and Z += Aᵀ Y.

use super::DenseBlock;
use super::normal::{PANEL_ROWS, panels};
use crate::block::{Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::tall::{TILE_ROWS, tiles};
use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of A, rows of Z, that one task owns.
const OWNED_COLUMNS: usize = 64;

/// Rows of Y that one task computes.
const OWNED_ROWS: usize = 512;

pub(super) fn multiply(
    block: &DenseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    y: &mut Panel,
    scratch: &mut Scratch,
) {
    let (n, l) = (block.ncols, x.ncols());
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    for rows in panels(block.nrows) {
        let y = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        match mean {
            None => product(block.rows(&rows), n, x.as_slice(), l, y),
            Some(mean) => {
                let centered = scratch_slice(&mut scratch.x, PANEL_ROWS.min(block.nrows) * n);
                let centered = &mut centered[..rows.len() * n];
                block.centered_rows::<f32>(&rows, Some(mean.columns), centered);
                product(centered, n, x.as_slice(), l, y);
            }
        }
    }
}

pub(super) fn multiply_transposed(block: &DenseBlock, y: &Panel, z: &mut Panel) {
    let l = y.ncols();
    assert_eq!(y.nrows(), block.nrows, "y has one row per row of A");
    assert_eq!(
        (z.nrows(), z.ncols()),
        (block.ncols, l),
        "z is columns of A by columns of y"
    );
    for rows in panels(block.nrows) {
        let y = &y.as_slice()[rows.start * l..rows.end * l];
        add_transposed_product(block.rows(&rows), block.ncols, y, l, z.as_mut_slice());
    }
}

/// y = a x for row-major `a` (rows×n), `x` (n×l), `y` (rows×l).
pub(super) fn product<T: ComplexField + Copy>(a: &[T], n: usize, x: &[T], l: usize, y: &mut [T]) {
    if l == 0 {
        return;
    }
    if n == 0 {
        y.fill(T::zero_impl());
        return;
    }
    let tasks = y
        .par_chunks_mut(OWNED_ROWS * l)
        .zip(a.par_chunks(OWNED_ROWS * n));
    tasks.for_each(|(y, a)| product_of_rows(a, n, x, l, y));
}

/// As [`product`], by one thread.
pub(super) fn product_of_rows<T: ComplexField + Copy>(
    a: &[T],
    n: usize,
    x: &[T],
    l: usize,
    y: &mut [T],
) {
    let rows = y.len() / l.max(1);
    let a = MatRef::from_row_major_slice(a, rows, n);
    let x = MatRef::from_row_major_slice(x, n, l);
    let mut y = MatMut::from_row_major_slice_mut(y, rows, l);
    for depth in tiles(0..n) {
        let accum = if depth.start == 0 {
            Accum::Replace
        } else {
            Accum::Add
        };
        matmul(
            y.as_mut(),
            accum,
            a.subcols(depth.start, depth.len()),
            x.subrows(depth.start, depth.len()),
            T::one_impl(),
            Par::Seq,
        );
    }
}

/// z += aᵀ y for row-major `a` (rows×n), `y` (rows×l), `z` (n×l); rows ascending, by owners of z.
pub(super) fn add_transposed_product<T: ComplexField + Copy>(
    a: &[T],
    n: usize,
    y: &[T],
    l: usize,
    z: &mut [T],
) {
    if n == 0 || l == 0 {
        return;
    }
    let tasks = z.par_chunks_mut(OWNED_COLUMNS * l).enumerate();
    tasks.for_each(|(task, z)| {
        let (first, columns) = (task * OWNED_COLUMNS, z.len() / l);
        let mut z = MatMut::from_row_major_slice_mut(z, columns, l);
        for (a, y) in a.chunks(TILE_ROWS * n).zip(y.chunks(TILE_ROWS * l)) {
            let rows = y.len() / l;
            let a = MatRef::from_row_major_slice(a, rows, n).subcols(first, columns);
            let y = MatRef::from_row_major_slice(y, rows, l);
            matmul(
                z.as_mut(),
                Accum::Add,
                a.transpose(),
                y,
                T::one_impl(),
                Par::Seq,
            );
        }
    });
}
