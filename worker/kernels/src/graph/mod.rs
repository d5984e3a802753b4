//! Kernels on graphs: a block of a graph is a sparse block of one segment, whose rows are the edges
//! that enter (to pull scores along) or leave (to push residuals along) some vertices.
//!
//! Invariant: a number depends on the graph alone. Rows are cut into chunks by their entries, each
//! row has one owner, and partial sums are folded in the order of the chunks.

mod complete;
mod increments;
mod page_rank;
mod power;
mod power_rows;
mod push;
mod push_part;
mod solution;
mod top;
mod transpose;
mod walk;
mod walk_part;

pub use complete::{Completion, FingerprintShard, Fingerprints};
pub use increments::Increments;
pub use page_rank::{PageRankStep, StepSums, inverse_strengths, page_rank_step, scale};
pub use power::{
    INCREMENT_ROUNDOFF, Kept, PowerRows, PowerStep, PowerSums, SeedEntry, place_seeds, row_terms,
    sequential_terms, stored_scale,
};
pub use push::{OutEdges, Pushed, Pushing, StopAt, Workspace};
pub use push_part::{PartEntry, PartPush, PartSums, PartWorkspace};
pub use solution::Solution;
pub use top::{Ranked, Top};
pub use transpose::{Transposed, count_columns};
pub use walk::{Cumulative, Fingerprint, Walker, Walking};
pub use walk_part::{Travelled, Traveller, travel};

use crate::sparse::{Segment, SparseBlock};
use std::ops::Range;

/// Entries after which a chunk of rows ends.
const CHUNK_ENTRIES: usize = 1 << 15;
/// Rows after which a chunk ends, however few entries they have.
const CHUNK_ROWS: usize = 1 << 12;

/// Unit roundoff of f64.
const ROUNDOFF: f64 = f64::EPSILON / 2.0;

/// Roundings that the share of a seed has behind it where there are several: of its own weights'
/// sum, of the sum of all, of their quotient, and one to spare.
pub const SHARE_ROUNDINGS: u32 = 4;

/// What rounding of the shares of so many seeds may have moved, in units of [`ROUNDOFF`] of their
/// sum: a single one has a share of exactly one.
fn share_rounding(seeds: usize) -> f64 {
    match seeds {
        0 | 1 => 0.0,
        _ => f64::from(SHARE_ROUNDINGS),
    }
}

/// The rows of a graph's block.
///
/// # Panics
/// If the block has several segments, which no block of a graph has.
fn edges<'a, 'b>(block: &'b SparseBlock<'a>) -> &'b Segment<'a> {
    assert_eq!(block.segments.len(), 1, "a graph's block is one segment");
    &block.segments[0]
}

/// Rows in chunks of about equal work.
fn row_chunks(offsets: &[i32]) -> Vec<Range<usize>> {
    let nrows = offsets.len().saturating_sub(1);
    let (mut chunks, mut first) = (Vec::new(), 0);
    for row in 0..nrows {
        let entries = (offsets[row + 1] - offsets[first]) as usize;
        if entries >= CHUNK_ENTRIES || row + 1 - first >= CHUNK_ROWS {
            chunks.push(first..row + 1);
            first = row + 1;
        }
    }
    if first < nrows {
        chunks.push(first..nrows);
    }
    chunks
}

/// Cuts the first `len` items off `rest`.
fn take<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(len);
    *rest = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_hold_every_row_once(lengths in prop::collection::vec(0i32..40_000, 0..200)) {
            let mut offsets = vec![7];
            for length in &lengths {
                offsets.push(offsets[offsets.len() - 1] + length);
            }
            let mut next = 0;
            for chunk in row_chunks(&offsets) {
                prop_assert_eq!(chunk.start, next);
                prop_assert!(!chunk.is_empty() && chunk.len() <= CHUNK_ROWS);
                next = chunk.end;
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
