//! A block of rows of a dense matrix.
//!
//! Products are faer's sequential matrix products on tiles of fixed shape, at most 512 terms deep,
//! so that their order of summation depends on the shape alone. Means are subtracted from the
//! entries before multiplying: nothing cancels.

mod certified;
mod gram;
mod multiply;
mod normal;
mod norms;

use crate::block::{BlockError, Centering, Certified, MatrixBlock, Mean, Scratch, check_product};
use crate::panel::Panel;
use crate::reduce::CHUNK_ROWS;
use crate::simd::vectorized;
use rayon::prelude::*;
use std::ops::Range;

/// A block of `nrows` rows of a dense matrix of `ncols` columns.
#[derive(Clone, Debug)]
pub struct DenseBlock<'a> {
    /// Rows of the block.
    pub nrows: usize,
    /// Columns of the matrix.
    pub ncols: usize,
    /// Row-major entries: [`Self::BATCH_ROWS`] rows each, but for the last.
    pub batches: Vec<&'a [f32]>,
}

impl<'a> DenseBlock<'a> {
    /// Rows that lie side by side in memory, from a multiple of this number on. What kernels take
    /// at a time divides it.
    pub const BATCH_ROWS: usize = CHUNK_ROWS;

    /// The block whose entries lie in `parts`, each of whole batches but for the last.
    pub fn new(nrows: usize, ncols: usize, parts: impl IntoIterator<Item = &'a [f32]>) -> Self {
        let batch = (Self::BATCH_ROWS * ncols).max(1);
        let batches = parts.into_iter().flat_map(|part| part.chunks(batch));
        Self {
            nrows,
            ncols,
            batches: batches.collect(),
        }
    }

    /// Checks that there are as many values as the shape says, batch by batch.
    pub fn validate(&self) -> Result<(), BlockError> {
        let batches = match self.ncols {
            0 => 0,
            _ => self.nrows.div_ceil(Self::BATCH_ROWS),
        };
        for index in 0..batches.max(self.batches.len()) {
            let rows = self.nrows.saturating_sub(index * Self::BATCH_ROWS);
            let rows = rows.min(Self::BATCH_ROWS);
            let found = self.batches.get(index).map_or(0, |batch| batch.len());
            if rows.checked_mul(self.ncols) != Some(found) {
                return Err(BlockError::DenseBatch {
                    batch: index,
                    rows,
                    ncols: self.ncols,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Entries of rows `rows`, all of one batch.
    fn rows(&self, rows: &Range<usize>) -> &'a [f32] {
        if self.ncols == 0 || rows.is_empty() {
            return &[];
        }
        let batch = rows.start / Self::BATCH_ROWS;
        let before = batch * Self::BATCH_ROWS;
        let (start, end) = (rows.start - before, rows.end - before);
        &self.batches[batch][start * self.ncols..end * self.ncols]
    }

    /// Writes A − 1μᵀ, rows `rows`, in precision `T`; the difference is taken in f64.
    fn centered_rows<T: FromWide>(&self, rows: &Range<usize>, mean: Option<&[f64]>, out: &mut [T]) {
        const AT_ONCE: usize = 64;
        let n = self.ncols.max(1);
        let pairs = out
            .par_chunks_mut(AT_ONCE * n)
            .zip(self.rows(rows).par_chunks(AT_ONCE * n));
        pairs.for_each(|(out, rows)| center(rows, n, mean, out));
    }
}

/// Writes `rows`, n wide, less the mean.
fn center<T: FromWide>(rows: &[f32], n: usize, mean: Option<&[f64]>, out: &mut [T]) {
    let pairs = out.chunks_exact_mut(n).zip(rows.chunks_exact(n));
    vectorized(
        #[inline(always)]
        || match mean {
            Some(mean) => pairs.for_each(|(out, row)| {
                for ((out, &entry), &mean) in out.iter_mut().zip(row).zip(mean) {
                    *out = T::narrow(f64::from(entry) - mean);
                }
            }),
            None => pairs.for_each(|(out, row)| {
                for (out, &entry) in out.iter_mut().zip(row) {
                    *out = T::narrow(f64::from(entry));
                }
            }),
        },
    );
}

/// A precision that f64 rounds to.
pub(crate) trait FromWide: bytemuck::Pod + Send + Sync {
    fn narrow(wide: f64) -> Self;
}

impl FromWide for f32 {
    fn narrow(wide: f64) -> Self {
        wide as f32
    }
}

impl FromWide for f64 {
    fn narrow(wide: f64) -> Self {
        wide
    }
}

impl MatrixBlock for DenseBlock<'_> {
    fn nrows(&self) -> usize {
        self.nrows
    }

    fn ncols(&self) -> usize {
        self.ncols
    }

    fn multiply(&self, x: &Panel, mean: Option<&Mean>, y: &mut Panel, scratch: &mut Scratch) {
        check_product(self, x, mean);
        multiply::multiply(self, x, mean, y, scratch);
    }

    fn multiply_transposed(&self, y: &Panel, z: &mut Panel, _: &mut Scratch) {
        multiply::multiply_transposed(self, y, z);
    }

    fn normal_multiply(
        &self,
        x: &Panel,
        mean: Option<&Mean>,
        z: &mut Panel,
        scratch: &mut Scratch,
    ) -> Option<Vec<f64>> {
        check_product(self, x, mean);
        normal::normal_multiply(self, x, mean, z, scratch);
        None
    }

    fn certified_normal_multiply(
        &self,
        x: &Panel,
        mean: Option<&Mean>,
        z: Option<&mut [f64]>,
        y: &mut Panel,
        scratch: &mut Scratch,
    ) -> Certified {
        check_product(self, x, mean);
        certified::certified_normal_multiply(self, x, mean, z, y, scratch)
    }

    fn gram(&self, mean: Option<&[f64]>, out: &mut [f64]) -> Centering {
        gram::gram(self, mean, out);
        Centering::Complete
    }

    fn column_sums(&self, out: &mut [f64]) {
        norms::add_to_columns(self, out);
    }

    fn frobenius2(&self) -> f64 {
        norms::frobenius2(self)
    }
}
