//! A block of rows of a sparse matrix, as column segments.
//!
//! A segment is compressed sparse rows over a range of columns, sized so that the rows of X (or Z)
//! that it touches stay in cache while many rows of the block pass over them.
//!
//! Invariant of the products: y is summed in ascending column, z in ascending row, each by one
//! task, whatever the cut into chunks, panels and tiles. So the cut changes speed, never bits.

mod certified;
mod distances;
mod gram;
mod multiply;
mod normal;
mod norms;
mod phases;
mod tiles;
mod transposed;

use crate::block::{BlockError, Centering, Certified, MatrixBlock, Mean, Scratch, check_product};
use crate::panel::{LINE, Panel};
use crate::simd::{LocalColumn, Ones, SegmentRows, Weights, vectorized};
use rayon::prelude::*;
use std::ops::Range;

/// Column indices, local to their segment.
#[derive(Clone, Copy, Debug)]
pub enum Columns<'a> {
    /// For segments of at most 65 536 columns.
    U16(&'a [u16]),
    /// For wider ones.
    U32(&'a [u32]),
}

impl Columns<'_> {
    /// Number of indices.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(columns) => columns.len(),
            Self::U32(columns) => columns.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index `k`.
    pub(crate) fn get(&self, k: usize) -> usize {
        match self {
            Self::U16(columns) => usize::from(columns[k]),
            Self::U32(columns) => columns[k] as usize,
        }
    }
}

/// The nonzeros of a block within a range of columns.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// First column of the range, in the matrix.
    pub first_column: usize,
    /// Number of columns in the range.
    pub width: usize,
    /// One more than the rows: row i holds nonzeros `offsets[i]..offsets[i + 1]` of `columns` and
    /// `values`. May start above 0 and end before their end, as in a slice of an Arrow list array.
    pub offsets: &'a [i32],
    /// Column indices less `first_column`, ascending within a row.
    pub columns: Columns<'a>,
    /// Values, one per column index; `None` means ones.
    pub values: Option<&'a [f32]>,
}

impl Segment<'_> {
    /// Number of nonzeros.
    pub fn nnz(&self) -> usize {
        self.positions().len()
    }

    /// Positions of this block's nonzeros in `columns` and `values`.
    pub(crate) fn positions(&self) -> Range<usize> {
        match (self.offsets.first(), self.offsets.last()) {
            (Some(&first), Some(&last)) => first as usize..last as usize,
            (_, None) | (None, _) => 0..0,
        }
    }

    /// Positions of row `row` in `columns` and `values`.
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// Value at position `k`.
    pub(crate) fn value(&self, k: usize) -> f32 {
        self.values.map_or(1.0, |values| values[k])
    }

    fn validate(&self, segment: usize, nrows: usize) -> Result<(), BlockError> {
        let found = self.offsets.len();
        if found != nrows + 1 {
            return Err(BlockError::OffsetCount {
                segment,
                found,
                nrows,
            });
        }
        let descent = self.offsets.windows(2).position(|pair| pair[0] > pair[1]);
        let past_end = self.offsets[nrows] as usize > self.columns.len();
        if self.offsets[0] < 0 || descent.is_some() || past_end {
            let row = descent.unwrap_or(if past_end { nrows } else { 0 });
            return Err(BlockError::OffsetOrder { segment, row });
        }
        if let Some(values) = self.values
            && values.len() != self.columns.len()
        {
            return Err(BlockError::ValueCount {
                segment,
                values: values.len(),
                columns: self.columns.len(),
            });
        }
        let largest = match self.columns {
            Columns::U16(columns) => largest(&columns[self.positions()]),
            Columns::U32(columns) => largest(&columns[self.positions()]),
        };
        match largest {
            Some(column) if column >= self.width => Err(BlockError::ColumnOutOfRange {
                segment,
                column,
                width: self.width,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

fn largest<C: LocalColumn + Ord>(columns: &[C]) -> Option<usize> {
    let largest = vectorized(
        #[inline(always)]
        || columns.iter().copied().reduce(Ord::max),
    );
    largest.map(LocalColumn::index)
}

/// A block of `nrows` rows of a sparse matrix of `ncols` columns.
#[derive(Clone, Debug)]
pub struct SparseBlock<'a> {
    /// Rows of the block.
    pub nrows: usize,
    /// Columns of the matrix.
    pub ncols: usize,
    /// Disjoint, in ascending column order. Columns in no segment are zero.
    pub segments: Vec<Segment<'a>>,
}

impl SparseBlock<'_> {
    /// Number of nonzeros.
    pub fn nnz(&self) -> usize {
        self.segments.iter().map(Segment::nnz).sum()
    }

    /// `sums` += 1ᵀA, one per column, compensated: `lost` has what `sums` lack (zeros at first) and
    /// goes with them from block to block. However long the columns, sums of positive values are off
    /// by little more than one unit roundoff.
    ///
    /// # Panics
    /// If there is not one entry per column.
    pub fn compensated_column_sums(&self, sums: &mut [f64], lost: &mut [f64]) {
        norms::add_compensated(self, sums, lost);
    }

    /// Checks what the products rely on: offsets, counts, index ranges, segment ranges.
    ///
    /// Products of a block that does not pass may panic; they never read out of bounds. Whether
    /// columns ascend within a row is not checked: it decides the order of summation only.
    pub fn validate(&self) -> Result<(), BlockError> {
        let segments = self.segments.par_iter().enumerate();
        let checked = segments.map(|(index, segment)| segment.validate(index, self.nrows));
        let checked: Vec<Result<(), BlockError>> = checked.collect();
        let mut covered = 0;
        for (index, (segment, checked)) in self.segments.iter().zip(checked).enumerate() {
            let (first, end) = (
                segment.first_column,
                segment.first_column.saturating_add(segment.width),
            );
            if first < covered || end > self.ncols {
                return Err(BlockError::SegmentRange {
                    segment: index,
                    first,
                    end,
                    ncols: self.ncols,
                });
            }
            covered = end;
            checked?;
        }
        Ok(())
    }
}

/// Something to do with some rows of a segment, for any type of index and value.
pub(crate) trait SegmentVisitor {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>);
}

/// Calls `visitor` with rows `rows` of `segment` in their static types.
pub(crate) fn visit(segment: &Segment, rows: Range<usize>, visitor: impl SegmentVisitor) {
    let offsets = &segment.offsets[rows.start..=rows.end];
    macro_rules! with {
        ($columns:expr, $weights:expr) => {
            visitor.visit(SegmentRows {
                offsets,
                columns: $columns,
                weights: $weights,
            })
        };
    }
    match (segment.columns, segment.values) {
        (Columns::U16(columns), Some(values)) => with!(columns, values),
        (Columns::U16(columns), None) => with!(columns, Ones),
        (Columns::U32(columns), Some(values)) => with!(columns, values),
        (Columns::U32(columns), None) => with!(columns, Ones),
    }
}

/// Width of a factor of `l` columns inside the products.
pub(crate) fn padded(l: usize) -> usize {
    l.next_multiple_of(LINE)
}

impl MatrixBlock for SparseBlock<'_> {
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

    fn multiply_transposed(&self, y: &Panel, z: &mut Panel, scratch: &mut Scratch) {
        transposed::multiply_transposed(self, y, z, scratch);
    }

    fn normal_multiply(
        &self,
        x: &Panel,
        mean: Option<&Mean>,
        z: &mut Panel,
        scratch: &mut Scratch,
    ) -> Option<Vec<f64>> {
        check_product(self, x, mean);
        normal::normal_multiply(self, x, mean, z, scratch)
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
        gram::gram(self, out);
        match mean {
            Some(_) => Centering::LeftToCaller,
            None => Centering::Complete,
        }
    }

    fn column_sums(&self, out: &mut [f64]) {
        norms::add_to_columns(self, out, |value| value);
    }

    fn frobenius2(&self) -> f64 {
        norms::frobenius2(self)
    }
}
