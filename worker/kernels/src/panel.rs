//! Dense tall matrices in memory: row-major f32, the shape of every factor and basis.
//!
//! Rows are contiguous (stride = number of columns) and the first one starts on a cache line, so a
//! row of a multiple of 16 columns never straddles more lines than it must. A width that is a
//! multiple of 16 is what the kernels work on; they copy any other into one.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

/// Columns per cache line of f32; the kernels' unit of width.
pub(crate) const LINE: usize = 16;

/// One cache line of f32.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([f32; LINE]);

/// `len` zeros, cleared by the threads of the pool: an allocator clears by one, for which the others
/// wait.
pub fn zeroed<T: Zeroable + Send>(len: usize) -> Vec<T> {
    /// Bytes that one thread clears.
    const SHARE: usize = 1 << 20;
    let share = SHARE / size_of::<T>().max(1);
    if len <= share {
        return bytemuck::zeroed_vec(len);
    }
    let zeros = (0..len).into_par_iter().with_min_len(share);
    zeros.map(|_| T::zeroed()).collect()
}

/// A row-major f32 matrix of `nrows`×`ncols`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    nrows: usize,
    ncols: usize,
    lines: Vec<Line>,
}

impl Panel {
    /// The `nrows`×`ncols` zero matrix.
    pub fn new(nrows: usize, ncols: usize) -> Self {
        let lines = zeroed((nrows * ncols).div_ceil(LINE));
        Self {
            nrows,
            ncols,
            lines,
        }
    }

    /// Copies `entries` (row-major, `nrows`·`ncols` of them) into aligned memory.
    ///
    /// # Panics
    /// If the number of entries is not `nrows`·`ncols`.
    pub fn from_slice(nrows: usize, ncols: usize, entries: &[f32]) -> Self {
        let mut panel = Self::new(nrows, ncols);
        panel.as_mut_slice().copy_from_slice(entries);
        panel
    }

    /// As [`Panel::from_slice`], from an owned vector.
    ///
    /// # Panics
    /// If the number of entries is not `nrows`·`ncols`.
    #[allow(clippy::needless_pass_by_value)]
    pub fn from_vec(nrows: usize, ncols: usize, entries: Vec<f32>) -> Self {
        Self::from_slice(nrows, ncols, &entries)
    }

    /// The matrix whose entry (i, j) is `entry(i, j)`.
    pub fn from_fn(nrows: usize, ncols: usize, mut entry: impl FnMut(usize, usize) -> f32) -> Self {
        let mut panel = Self::new(nrows, ncols);
        for i in 0..nrows {
            for (j, target) in panel.row_mut(i).iter_mut().enumerate() {
                *target = entry(i, j);
            }
        }
        panel
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }

    /// Number of columns, which is also the distance between rows.
    pub fn ncols(&self) -> usize {
        self.ncols
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.as_slice()[i * self.ncols..(i + 1) * self.ncols]
    }

    /// Row `i`, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        let ncols = self.ncols;
        &mut self.as_mut_slice()[i * ncols..(i + 1) * ncols]
    }

    /// All entries, row-major.
    pub fn as_slice(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.nrows * self.ncols]
    }

    /// All entries, row-major, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.nrows * self.ncols;
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..len]
    }

    /// Bytes that a panel of this shape takes.
    pub fn bytes(nrows: usize, ncols: usize) -> usize {
        (nrows * ncols).next_multiple_of(LINE) * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_contiguous_and_start_on_a_cache_line() {
        let panel = Panel::from_fn(5, 3, |i, j| (10 * i + j) as f32);
        assert_eq!(panel.row(2), [20.0, 21.0, 22.0]);
        assert_eq!(panel.as_slice().len(), 15);
        assert_eq!(panel.as_slice().as_ptr() as usize % 64, 0);
        assert_eq!(Panel::from_vec(5, 3, panel.as_slice().to_vec()), panel);
    }

    #[test]
    fn empty_panels_are_allowed() {
        assert!(Panel::new(0, 7).as_slice().is_empty());
        assert!(Panel::new(7, 0).as_slice().is_empty());
    }
}
