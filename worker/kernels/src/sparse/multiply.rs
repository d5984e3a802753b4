//! Y = (A − 1μᵀ) X.

use super::phases::{gather_panel, gather_rows, pad};
use super::{SparseBlock, padded};
use crate::block::{Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use rayon::prelude::*;

/// Rows of one task where Y has to be cut out of wider rows.
const NARROW_ROWS: usize = 2048;

pub(super) fn multiply(
    block: &SparseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    y: &mut Panel,
    scratch: &mut Scratch,
) {
    let l = x.ncols();
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    if l == 0 {
        return;
    }
    let init = initial_row(mean, l);
    if l == padded(l) {
        gather_panel(block, 0..block.nrows, x.as_slice(), &init, y.as_mut_slice());
        return;
    }
    let stride = padded(l);
    let wide_x: &mut [f32] = scratch_slice(&mut scratch.x, x.nrows() * stride);
    pad(x.as_slice(), l, stride, wide_x);
    let wide_x = &*wide_x;
    let chunks = y.as_mut_slice().par_chunks_mut(NARROW_ROWS * l).enumerate();
    chunks.for_each(|(chunk, y)| {
        let nrows = y.len() / l;
        let start = chunk * NARROW_ROWS;
        let mut wide_y = Panel::new(nrows, stride);
        gather_rows(
            block,
            start..start + nrows,
            wide_x,
            &init,
            wide_y.as_mut_slice(),
        );
        for (row, y) in y.chunks_exact_mut(l).enumerate() {
            y.copy_from_slice(&wide_y.row(row)[..l]);
        }
    });
}

/// What every row of Y starts from: −μᵀX or zero, padded.
pub(super) fn initial_row(mean: Option<&Mean>, l: usize) -> Vec<f32> {
    let mut init = vec![0.0; padded(l)];
    if let Some(mean) = mean {
        for (init, &product) in init.iter_mut().zip(mean.product) {
            *init = -product as f32;
        }
    }
    init
}
