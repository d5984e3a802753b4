//! Z cut into pieces that one task each owns: a segment's columns of A × some columns of Z.
//!
//! Ownership is what makes the transposed product deterministic without private copies of Z or
//! atomics. A piece is contiguous, in memory of its own, and is written back at the end.

use super::{SparseBlock, padded};
use crate::panel::LINE;
use crate::simd::Float;
use rayon::prelude::*;

/// A segment with this share (1/n) of the nonzeros is cut into two tiles, and so on: the heaviest
/// piece of work is then at most about this share of all.
const SHARES: usize = 8;

/// Rows of Z that one task copies.
const COPY_ROWS: usize = 512;

/// One piece of Z.
pub(super) struct ZTile<'a, T> {
    /// Index of the segment.
    pub(super) segment: usize,
    /// First column of Z.
    pub(super) from: usize,
    /// Columns, a multiple of 16; the last ones may lie past Z's.
    pub(super) width: usize,
    /// The segment's width × `width`, row-major.
    pub(super) entries: &'a mut [T],
}

/// Entries that the tiles of Z (l columns) take.
pub(super) fn entries(block: &SparseBlock, l: usize) -> usize {
    let columns: usize = block.segments.iter().map(|segment| segment.width).sum();
    columns * padded(l)
}

/// Cuts `memory` into tiles, heaviest first, holding what `z` (n×l) holds.
pub(super) fn load<'a, T: Float>(
    block: &SparseBlock,
    z: &[T],
    l: usize,
    mut memory: &'a mut [T],
) -> Vec<ZTile<'a, T>> {
    let mut tiles = Vec::new();
    for (index, segment) in block.segments.iter().enumerate() {
        for (from, width) in cut(block, index, l) {
            let (entries, rest) = memory.split_at_mut(segment.width * width);
            memory = rest;
            tiles.push(ZTile {
                segment: index,
                from,
                width,
                entries,
            });
        }
    }
    tiles.par_iter_mut().for_each(|tile| {
        let first = block.segments[tile.segment].first_column;
        let columns = tile.from..(tile.from + tile.width).min(l);
        for (row, entries) in tile.entries.chunks_exact_mut(tile.width).enumerate() {
            let row = &z[(first + row) * l..(first + row + 1) * l];
            entries[..columns.len()].copy_from_slice(&row[columns.clone()]);
            entries[columns.len()..].fill(T::zeroed());
        }
    });
    tiles.sort_by_key(|tile| std::cmp::Reverse(block.segments[tile.segment].nnz() * tile.width));
    tiles
}

/// Copies the tiles back into `z` (n×l).
pub(super) fn store<T: Float>(block: &SparseBlock, tiles: &[ZTile<T>], z: &mut [T], l: usize) {
    if l == 0 {
        return;
    }
    let mut rest = z;
    let mut covered = 0;
    for (index, segment) in block.segments.iter().enumerate() {
        let (_, tail) = rest.split_at_mut((segment.first_column - covered) * l);
        let (rows, tail) = tail.split_at_mut(segment.width * l);
        rest = tail;
        covered = segment.first_column + segment.width;
        let owned: Vec<_> = tiles.iter().filter(|tile| tile.segment == index).collect();
        let chunks = rows.par_chunks_mut(COPY_ROWS * l).enumerate();
        chunks.for_each(|(chunk, rows)| {
            for tile in &owned {
                let entries = &tile.entries[chunk * COPY_ROWS * tile.width..];
                let columns = tile.from..(tile.from + tile.width).min(l);
                let pairs = rows
                    .chunks_exact_mut(l)
                    .zip(entries.chunks_exact(tile.width));
                for (row, entries) in pairs {
                    row[columns.clone()].copy_from_slice(&entries[..columns.len()]);
                }
            }
        });
    }
}

/// (first column, width) of the tiles of segment `index`: more for one with more of the nonzeros.
fn cut(block: &SparseBlock, index: usize, l: usize) -> Vec<(usize, usize)> {
    let lines = padded(l) / LINE;
    let (nnz, total) = (block.segments[index].nnz(), block.nnz().max(1));
    let tiles = (nnz * SHARES).div_ceil(total).clamp(1, lines.max(1));
    let bounds = (0..=tiles).map(|tile| tile * lines / tiles * LINE);
    let bounds: Vec<usize> = bounds.collect();
    let pairs = bounds.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    pairs.filter(|&(_, width)| width > 0).collect()
}
