//! The two halves of a sparse product over a panel of rows: Y = A X by rows, Z += Aᵀ Y by owners.

use super::tiles::ZTile;
use super::{SparseBlock, visit};
use crate::simd::{Float, Gather, LocalColumn, Scatter, SegmentRows, Weights};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of Y that one task computes. Many rows pass over a segment's X before the next segment, so
/// that X is fetched once per chunk, not once per row.
const GATHER_ROWS: usize = 2048;
/// The same where X lies outside the cache: what a chunk fetches from memory must serve more rows.
const GATHER_ROWS_OF_LARGE_X: usize = 8192;
/// Rows that one task pads.
const PAD_ROWS: usize = 1024;
/// Bytes of an X that stays in the last-level cache beside a panel of Y.
const SMALL_X: usize = 16 << 20;

fn rows_per_task(x: &[f32]) -> usize {
    if size_of_val(x) > SMALL_X {
        GATHER_ROWS_OF_LARGE_X
    } else {
        GATHER_ROWS
    }
}

/// Writes `x` (n×l) as n×`stride`, the columns past l being zero.
pub(super) fn pad(x: &[f32], l: usize, stride: usize, padded: &mut [f32]) {
    if l == 0 {
        return;
    }
    let chunks = padded
        .par_chunks_mut(PAD_ROWS * stride)
        .zip(x.par_chunks(PAD_ROWS * l));
    chunks.for_each(|(padded, x)| {
        for (padded, x) in padded.chunks_exact_mut(stride).zip(x.chunks_exact(l)) {
            padded[..l].copy_from_slice(x);
            padded[l..].fill(0.0);
        }
    });
}

/// Rows `rows` of A X + 1·initᵀ into `y`, all `stride` wide.
pub(super) fn gather_panel<T: Float>(
    block: &SparseBlock,
    rows: Range<usize>,
    x: &[f32],
    init: &[T],
    y: &mut [T],
) {
    let stride = init.len();
    if stride == 0 {
        return;
    }
    let chunk_rows = rows_per_task(x);
    y.par_chunks_mut(chunk_rows * stride)
        .enumerate()
        .for_each(|(chunk, y)| {
            let start = rows.start + chunk * chunk_rows;
            gather_rows(block, start..start + y.len() / stride, x, init, y);
        });
}

/// [`gather_panel`] by one thread.
pub(super) fn gather_rows<T: Float>(
    block: &SparseBlock,
    rows: Range<usize>,
    x: &[f32],
    init: &[T],
    y: &mut [T],
) {
    let stride = init.len();
    for y in y.chunks_exact_mut(stride) {
        y.copy_from_slice(init);
    }
    for segment in &block.segments {
        let first = segment.first_column * stride;
        let visitor = GatherVisitor {
            x: &x[first..first + segment.width * stride],
            y,
            stride,
        };
        visit(segment, rows.clone(), visitor);
    }
}

struct GatherVisitor<'a, T> {
    x: &'a [f32],
    y: &'a mut [T],
    stride: usize,
}

impl<T: Float> super::SegmentVisitor for GatherVisitor<'_, T> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        Gather {
            rows,
            x: self.x,
            y: self.y,
            stride: self.stride,
        }
        .run();
    }
}

/// Adds rows `rows` of A, transposed, times `y` (`stride` wide) to each tile of Z.
pub(super) fn scatter_panel<T: Float>(
    block: &SparseBlock,
    rows: &Range<usize>,
    y: &[f32],
    stride: usize,
    tiles: &mut [ZTile<T>],
) {
    tiles.par_iter_mut().with_max_len(1).for_each(|tile| {
        let visitor = ScatterVisitor {
            y,
            y_stride: stride,
            y_from: tile.from,
            z: &mut *tile.entries,
            z_stride: tile.width,
        };
        visit(&block.segments[tile.segment], rows.clone(), visitor);
    });
}

struct ScatterVisitor<'a, T> {
    y: &'a [f32],
    y_stride: usize,
    y_from: usize,
    z: &'a mut [T],
    z_stride: usize,
}

impl<T: Float> super::SegmentVisitor for ScatterVisitor<'_, T> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        Scatter {
            rows,
            y: self.y,
            y_stride: self.y_stride,
            y_from: self.y_from,
            z: self.z,
            z_stride: self.z_stride,
        }
        .run();
    }
}
