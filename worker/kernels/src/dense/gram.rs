//! (A − 1μᵀ)ᵀ(A − 1μᵀ) in f64 for few columns, at the speed of a matrix product.

use super::DenseBlock;
use crate::block::scratch_slice;
use crate::simd::vectorized;
use crate::tall::widen;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Order of a square tile of the result, which one task owns.
const TILE: usize = 128;

/// Adds to the upper triangle of `out` (n×n, row-major), rows of A ascending.
///
/// Each panel of `TILE_ROWS` rows is converted once, into strips of [`TILE`] columns: contiguous,
/// because a strip of a row-major panel whose width is a power of two thrashes the cache.
pub(super) fn gram(block: &DenseBlock, mean: Option<&[f64]>, out: &mut [f64]) {
    let n = block.ncols;
    assert_eq!(out.len(), n * n, "out is n by n");
    if n == 0 {
        return;
    }
    let mut memory = Vec::new();
    let mut tiles = load(out, n);
    for rows in crate::tall::tiles(0..block.nrows) {
        let panel: &mut [f64] = scratch_slice(&mut memory, rows.len() * n);
        let strips = panel.par_chunks_mut(rows.len() * TILE).enumerate();
        strips.for_each(|(strip, out)| fill_strip(block, &rows, strip * TILE, mean, out));
        let strips: Vec<&[f64]> = panel.chunks(rows.len() * TILE).collect();
        let tasks = tiles.par_iter_mut().with_max_len(1);
        tasks.for_each(|tile| tile.add(&strips, rows.len()));
    }
    for tile in &tiles {
        for (row, entries) in tile.entries.chunks_exact(tile.columns).enumerate() {
            let at = (tile.row + row) * n + tile.column;
            out[at..at + tile.columns].copy_from_slice(entries);
        }
    }
}

/// One square of the upper triangle of the result, in memory of its own.
struct Tile {
    row: usize,
    column: usize,
    rows: usize,
    columns: usize,
    entries: Vec<f64>,
}

fn load(out: &[f64], n: usize) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for row in (0..n).step_by(TILE) {
        for column in (row..n).step_by(TILE) {
            let (rows, columns) = (TILE.min(n - row), TILE.min(n - column));
            let lines = (row..row + rows).map(|i| &out[i * n + column..][..columns]);
            let entries = lines.flatten().copied().collect();
            tiles.push(Tile {
                row,
                column,
                rows,
                columns,
                entries,
            });
        }
    }
    tiles
}

/// Writes rows `rows`, columns from `first` on, of A − 1μᵀ: as many columns as fit `out`.
fn fill_strip(
    block: &DenseBlock,
    rows: &Range<usize>,
    first: usize,
    mean: Option<&[f64]>,
    out: &mut [f64],
) {
    let width = out.len() / rows.len();
    let columns = first..first + width;
    let entries = block.rows(rows).chunks_exact(block.ncols);
    vectorized(
        #[inline(always)]
        || {
            for (out, row) in out.chunks_exact_mut(width).zip(entries) {
                widen(&row[columns.clone()], out);
                if let Some(mean) = mean {
                    let pairs = out.iter_mut().zip(&mean[columns.clone()]);
                    pairs.for_each(|(out, mean)| *out -= mean);
                }
            }
        },
    );
}

impl Tile {
    /// Adds this tile of panelᵀ panel, the panel being cut into `strips` of `depth` rows.
    fn add(&mut self, strips: &[&[f64]], depth: usize) {
        let left = MatRef::from_row_major_slice(strips[self.row / TILE], depth, self.rows);
        let right = MatRef::from_row_major_slice(strips[self.column / TILE], depth, self.columns);
        let sum = MatMut::from_row_major_slice_mut(&mut self.entries, self.rows, self.columns);
        if self.row == self.column {
            triangular_matmul(
                sum,
                BlockStructure::TriangularUpper,
                Accum::Add,
                left.transpose(),
                BlockStructure::Rectangular,
                right,
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
        } else {
            matmul(sum, Accum::Add, left.transpose(), right, 1.0, Par::Seq);
        }
    }
}
