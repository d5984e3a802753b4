//! Z += Aᵀ(A − 1μᵀ) X: both products in one read of A, over panels of rows whose Y stays in cache.

use super::multiply::initial_row;
use super::phases::{gather_panel, pad, scatter_panel};
use super::tiles::{self, Tiles};
use super::{SparseBlock, padded};
use crate::block::{Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::reduce::{CHUNK_ROWS, ordered_sum};
use std::ops::Range;

/// Bytes of Y per panel: within the last-level cache, since every owner of a piece of Z reads it.
const PANEL_BYTES: usize = 16 << 20;

/// Cuts `nrows` rows of Y, `row_bytes` each, into panels of whole chunks.
pub(super) fn panels(nrows: usize, row_bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = (PANEL_BYTES / row_bytes.max(1) / CHUNK_ROWS).max(1) * CHUNK_ROWS;
    (0..nrows)
        .step_by(rows)
        .map(move |start| start..(start + rows).min(nrows))
}

pub(super) fn normal_multiply(
    block: &SparseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    z: &mut Panel,
    scratch: &mut Scratch,
) -> Option<Vec<f64>> {
    let l = x.ncols();
    assert_eq!(
        (z.nrows(), z.ncols()),
        (block.ncols, l),
        "z is columns of A by columns of x"
    );
    let stride = padded(l);
    let init = initial_row(mean, l);
    let mut sums = mean.map(|_| vec![0.0; l]);
    let Scratch {
        x: x_memory,
        y: y_memory,
        z: z_memory,
    } = scratch;
    let x = if l == stride {
        x.as_slice()
    } else {
        let wide = scratch_slice(x_memory, x.nrows() * stride);
        pad(x.as_slice(), l, stride, wide);
        wide
    };
    let memory = scratch_slice(z_memory, tiles::entries(block, l));
    let mut owned = Tiles::load(block, z.as_mut_slice(), l, memory);
    for rows in panels(block.nrows, stride * size_of::<f32>()) {
        let y: &mut [f32] = scratch_slice(y_memory, rows.len() * stride);
        gather_panel(block, rows.clone(), x, &init, y);
        scatter_panel(block, &rows, y, stride, &mut owned.tiles);
        if let Some(sums) = &mut sums {
            add_column_sums(y, stride, sums);
        }
    }
    owned.store();
    sums
}

/// sums += 1ᵀY for `y` of `stride` columns, the first of which are summed, in fixed chunks.
pub(super) fn add_column_sums(y: &[f32], stride: usize, sums: &mut [f64]) {
    let chunks: Vec<&[f32]> = y.chunks(CHUNK_ROWS * stride.max(1)).collect();
    let part = ordered_sum(chunks.len(), sums.len(), |chunk, part| {
        for row in chunks[chunk].chunks_exact(stride) {
            for (part, &entry) in part.iter_mut().zip(row) {
                *part += f64::from(entry);
            }
        }
    });
    for (sum, part) in sums.iter_mut().zip(part) {
        *sum += part;
    }
}
