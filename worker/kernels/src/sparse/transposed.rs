//! Z += Aᵀ Y.

use super::normal::panels;
use super::phases::{pad, scatter_panel};
use super::tiles::{self, Tiles};
use super::{SparseBlock, padded};
use crate::block::{Scratch, scratch_slice};
use crate::panel::Panel;

pub(super) fn multiply_transposed(
    block: &SparseBlock,
    y: &Panel,
    z: &mut Panel,
    scratch: &mut Scratch,
) {
    let l = y.ncols();
    assert_eq!(y.nrows(), block.nrows, "y has one row per row of A");
    assert_eq!(
        (z.nrows(), z.ncols()),
        (block.ncols, l),
        "z is columns of A by columns of y"
    );
    if l == 0 {
        return;
    }
    let stride = padded(l);
    let memory = scratch_slice(&mut scratch.z, tiles::entries(block, l));
    let mut owned = Tiles::load(block, z.as_mut_slice(), l, memory);
    for rows in panels(block.nrows, stride * size_of::<f32>()) {
        let narrow = &y.as_slice()[rows.start * l..rows.end * l];
        if l == stride {
            scatter_panel(block, &rows, narrow, stride, &mut owned.tiles);
        } else {
            let wide = scratch_slice(&mut scratch.y, rows.len() * stride);
            pad(narrow, l, stride, wide);
            scatter_panel(block, &rows, wide, stride, &mut owned.tiles);
        }
    }
    owned.store();
}
