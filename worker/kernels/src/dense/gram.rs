//! (A − 1μᵀ)ᵀ(A − 1μᵀ) in f64 for few columns, at the speed of a matrix product.

use super::DenseBlock;
use crate::block::scratch_slice;
use crate::tall::TILE_ROWS;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Order of a square tile of the result, which one task owns.
const TILE: usize = 128;

/// Most bytes of a panel of A in f64.
const PANEL_BYTES: usize = 16 << 20;

/// Adds to the upper triangle of `out` (n×n, row-major), rows of A ascending.
pub(super) fn gram(block: &DenseBlock, mean: Option<&[f64]>, out: &mut [f64]) {
    let n = block.ncols;
    assert_eq!(out.len(), n * n, "out is n by n");
    if n == 0 {
        return;
    }
    let panel_rows = (PANEL_BYTES / (8 * n) / TILE_ROWS).max(1) * TILE_ROWS;
    let mut memory = Vec::new();
    let mut tiles = load(out, n);
    for start in (0..block.nrows).step_by(panel_rows) {
        let rows = start..(start + panel_rows).min(block.nrows);
        let panel: &mut [f64] = scratch_slice(&mut memory, rows.len() * n);
        block.centered_rows(&rows, mean, panel);
        let panel = &*panel;
        tiles
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|tile| tile.add(panel, n));
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

impl Tile {
    /// Adds this tile of panelᵀ panel.
    fn add(&mut self, panel: &[f64], n: usize) {
        let mut sum = MatMut::from_row_major_slice_mut(&mut self.entries, self.rows, self.columns);
        for panel in panel.chunks(TILE_ROWS * n) {
            let panel = MatRef::from_row_major_slice(panel, panel.len() / n, n);
            let left = panel.subcols(self.row, self.rows).transpose();
            let right = panel.subcols(self.column, self.columns);
            if self.row == self.column {
                triangular_matmul(
                    sum.as_mut(),
                    BlockStructure::TriangularUpper,
                    Accum::Add,
                    left,
                    BlockStructure::Rectangular,
                    right,
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
            } else {
                matmul(sum.as_mut(), Accum::Add, left, right, 1.0, Par::Seq);
            }
        }
    }
}
