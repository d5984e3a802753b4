//! The rows of a part of a graph, which may begin and end within blocks.

use std::sync::Arc;

use rankmill_common::matrix::{BlockFormat, BlockRef, RowRange};
use rankmill_common::{Error, Result};
use rankmill_kernels::{Segment, SparseBlock};

use crate::context::TaskContext;
use crate::storage::block::{self, OpenBlock};

/// Maps `blocks` of a graph of `vertices`.
///
/// # Errors
///
/// As [`block::open`].
pub(super) fn open(
    context: &TaskContext,
    format: BlockFormat,
    vertices: u64,
    blocks: &[BlockRef],
) -> Result<Vec<Arc<OpenBlock>>> {
    let blocks = blocks.iter();
    blocks
        .map(|reference| block::open(context, format, vertices, reference))
        .collect()
}

/// What `blocks`, which are `open`, hold of `rows`, in order.
///
/// # Errors
///
/// `Internal` where they do not hold all of them.
pub(super) fn views<'a>(
    blocks: &[BlockRef],
    open: &'a [Arc<OpenBlock>],
    rows: RowRange,
) -> Result<Vec<SparseBlock<'a>>> {
    let (mut views, mut next) = (Vec::with_capacity(open.len()), rows.start);
    for (block, open) in blocks.iter().zip(open) {
        let from = rows.start.clamp(block.start, block.start + block.nrows);
        let to = rows.end().clamp(block.start, block.start + block.nrows);
        if from == to {
            continue;
        }
        if from != next {
            return Err(Error::internal(format!("no block holds row {next}")));
        }
        next = to;
        let view = open.sparse().map_err(Error::internal)?;
        let (from, to) = ((from - block.start) as usize, (to - block.start) as usize);
        let segments = view.segments.iter().map(|segment| Segment {
            offsets: &segment.offsets[from..=to],
            ..*segment
        });
        views.push(SparseBlock {
            nrows: to - from,
            segments: segments.collect(),
            ncols: view.ncols,
        });
    }
    match next == rows.end() {
        true => Ok(views),
        false => Err(Error::internal(format!("no block holds row {next}"))),
    }
}
