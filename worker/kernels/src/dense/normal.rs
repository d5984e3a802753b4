//! Z += (A − 1μᵀ)ᵀ(A − 1μᵀ) X, over panels of rows.

use super::DenseBlock;
use super::multiply::{add_transposed_product, product};
use crate::block::{Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use std::ops::Range;

/// Rows per panel: a batch, which is a whole number of tiles, so that panels do not change the order
/// of summation.
pub(super) const PANEL_ROWS: usize = DenseBlock::BATCH_ROWS;

/// Cuts `nrows` rows into panels.
pub(super) fn panels(nrows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..nrows)
        .step_by(PANEL_ROWS)
        .map(move |start| start..(start + PANEL_ROWS).min(nrows))
}

pub(super) fn normal_multiply(
    block: &DenseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    z: &mut Panel,
    scratch: &mut Scratch,
) {
    let (n, l) = (block.ncols, x.ncols());
    assert_eq!(
        (z.nrows(), z.ncols()),
        (n, l),
        "z is columns of A by columns of x"
    );
    for rows in panels(block.nrows) {
        let y: &mut [f32] = scratch_slice(&mut scratch.y, rows.len() * l);
        let a = match mean {
            None => block.rows(&rows),
            Some(mean) => {
                let centered = scratch_slice(&mut scratch.x, rows.len() * n);
                block.centered_rows::<f32>(&rows, Some(mean.columns), centered);
                centered
            }
        };
        product(a, n, x.as_slice(), l, y);
        add_transposed_product(a, n, y, l, z.as_mut_slice());
    }
}
