//! Z cut into pieces that one task each owns: a segment's columns of A × some columns of Z.
//!
//! Ownership is what makes the transposed product deterministic without private copies of Z or
//! atomics. A segment that one task owns alone is added to where it lies. Pieces of one that
//! several own are in memory of their own, and are written back at the end.

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

/// All of Z that a block adds to.
pub(super) struct Tiles<'a, T> {
    /// Heaviest first.
    pub(super) tiles: Vec<ZTile<'a, T>>,
    /// Rows of Z that tiles hold copies of, and the index of their segment.
    copied: Vec<(usize, &'a mut [T])>,
    l: usize,
}

/// Entries of memory that [`Tiles::load`] wants for a Z of l columns.
pub(super) fn entries(block: &SparseBlock, l: usize) -> usize {
    let copied = (0..block.segments.len()).filter(|&index| !is_whole(&cut(block, index, l), l));
    let columns: usize = copied.map(|index| block.segments[index].width).sum();
    columns * padded(l)
}

/// Whether these tiles of a segment are one that has the shape of its rows of Z.
fn is_whole(tiles: &[(usize, usize)], l: usize) -> bool {
    tiles == [(0, l)]
}

impl<'a, T: Float> Tiles<'a, T> {
    /// Cuts `z` (n×l) into tiles, those that are copies in `memory`.
    pub(super) fn load(
        block: &SparseBlock,
        z: &'a mut [T],
        l: usize,
        mut memory: &'a mut [T],
    ) -> Self {
        let (mut tiles, mut copied) = (Vec::new(), Vec::new());
        let mut rest = z;
        let mut covered = 0;
        for (index, segment) in block.segments.iter().enumerate() {
            let (_, tail) = rest.split_at_mut((segment.first_column - covered) * l);
            let (rows, tail) = tail.split_at_mut(segment.width * l);
            rest = tail;
            covered = segment.first_column + segment.width;
            let cuts = cut(block, index, l);
            if is_whole(&cuts, l) {
                tiles.push(ZTile {
                    segment: index,
                    from: 0,
                    width: l,
                    entries: rows,
                });
                continue;
            }
            for (from, width) in cuts {
                let (entries, tail) = memory.split_at_mut(segment.width * width);
                memory = tail;
                copy_in(rows, l, from, width, entries);
                tiles.push(ZTile {
                    segment: index,
                    from,
                    width,
                    entries,
                });
            }
            copied.push((index, rows));
        }
        tiles
            .sort_by_key(|tile| std::cmp::Reverse(block.segments[tile.segment].nnz() * tile.width));
        Self { tiles, copied, l }
    }

    /// Writes the copies back to Z.
    pub(super) fn store(self) {
        let l = self.l;
        for (index, rows) in self.copied {
            let owned: Vec<_> = self
                .tiles
                .iter()
                .filter(|tile| tile.segment == index)
                .collect();
            let chunks = rows.par_chunks_mut((COPY_ROWS * l).max(1)).enumerate();
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
}

/// Columns `from..from + width` of `rows` (l wide) into `entries`, the ones past l being zero.
fn copy_in<T: Float>(rows: &[T], l: usize, from: usize, width: usize, entries: &mut [T]) {
    let columns = from..(from + width).min(l);
    let pairs = entries
        .par_chunks_exact_mut(width)
        .zip(rows.par_chunks_exact(l));
    pairs.with_min_len(COPY_ROWS).for_each(|(entries, row)| {
        entries[..columns.len()].copy_from_slice(&row[columns.clone()]);
        entries[columns.len()..].fill(T::zeroed());
    });
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
