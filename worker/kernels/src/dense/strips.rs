//! A panel of rows of A − 1μᵀ in f64, cut into strips of columns.
//!
//! A strip is contiguous: one of a row-major panel whose width is a power of two would thrash the
//! cache.

use super::DenseBlock;
use crate::simd::vectorized;
use crate::tall::{TILE_ROWS, widen};
use faer::MatRef;
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a strip.
pub(super) const STRIP: usize = 128;

/// `nrows`×`ncols` entries as strips of [`STRIP`] columns, the last one narrower.
pub(super) struct Strips<'a> {
    nrows: usize,
    ncols: usize,
    entries: &'a [f64],
}

impl<'a> Strips<'a> {
    /// Rows `rows` of A − 1μᵀ, written to `entries`: one for every entry of those rows.
    pub(super) fn fill(
        block: &DenseBlock,
        rows: &Range<usize>,
        mean: Option<&[f64]>,
        entries: &'a mut [f64],
    ) -> Self {
        let (nrows, ncols) = (rows.len(), block.ncols);
        let strips = entries.par_chunks_mut(nrows * STRIP).enumerate();
        strips.for_each(|(strip, entries)| {
            let columns = strip * STRIP..strip * STRIP + entries.len() / nrows;
            let chunks = entries.par_chunks_mut(TILE_ROWS * columns.len());
            chunks.enumerate().for_each(|(chunk, entries)| {
                let first = rows.start + chunk * TILE_ROWS;
                let rows = first..first + entries.len() / columns.len();
                fill_strip(block, &rows, &columns, mean, entries);
            });
        });
        Self {
            nrows,
            ncols,
            entries,
        }
    }

    /// Number of strips.
    pub(super) fn len(&self) -> usize {
        self.ncols.div_ceil(STRIP)
    }

    /// Rows `rows` of strip `strip`, counted from the start of the panel.
    pub(super) fn rows(&self, strip: usize, rows: Range<usize>) -> MatRef<'a, f64> {
        let width = STRIP.min(self.ncols - strip * STRIP);
        let start = self.nrows * strip * STRIP;
        let entries = &self.entries[start + rows.start * width..start + rows.end * width];
        MatRef::from_row_major_slice(entries, rows.len(), width)
    }
}

fn fill_strip(
    block: &DenseBlock,
    rows: &Range<usize>,
    columns: &Range<usize>,
    mean: Option<&[f64]>,
    out: &mut [f64],
) {
    let entries = block.rows(rows).chunks_exact(block.ncols);
    vectorized(
        #[inline(always)]
        || {
            for (out, row) in out.chunks_exact_mut(columns.len()).zip(entries) {
                widen(&row[columns.clone()], out);
                if let Some(mean) = mean {
                    let pairs = out.iter_mut().zip(&mean[columns.clone()]);
                    pairs.for_each(|(out, mean)| *out -= mean);
                }
            }
        },
    );
}
