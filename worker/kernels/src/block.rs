//! What a block of rows of the input matrix can do, be it sparse or dense.

use crate::panel::{LINE, Line, Panel, zeroed};
use crate::small::Small;

/// Why a block's arrays do not describe a matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A segment's offsets are not one more than the rows.
    #[error("segment {segment} has {found} offsets for {nrows} rows")]
    OffsetCount {
        /// Segment, counted from 0.
        segment: usize,
        /// Offsets found.
        found: usize,
        /// Rows of the block.
        nrows: usize,
    },
    /// A segment's offsets decrease, are negative, or point past its columns.
    #[error("offsets of segment {segment} are out of order or range at row {row}")]
    OffsetOrder {
        /// Segment, counted from 0.
        segment: usize,
        /// Row, counted from 0.
        row: usize,
    },
    /// A local column index is not below the segment's width.
    #[error("segment {segment} of width {width} holds column {column}")]
    ColumnOutOfRange {
        /// Segment, counted from 0.
        segment: usize,
        /// The index found.
        column: usize,
        /// Columns of the segment.
        width: usize,
    },
    /// A segment has another number of values than of columns.
    #[error("segment {segment} has {values} values for {columns} columns")]
    ValueCount {
        /// Segment, counted from 0.
        segment: usize,
        /// Number of values.
        values: usize,
        /// Number of column indices.
        columns: usize,
    },
    /// Segments overlap, are out of order or exceed the block's columns.
    #[error("segment {segment} covers columns {first}..{end}, which overlap or exceed {ncols}")]
    SegmentRange {
        /// Segment, counted from 0.
        segment: usize,
        /// Its first column.
        first: usize,
        /// One past its last column.
        end: usize,
        /// Columns of the block.
        ncols: usize,
    },
    /// A batch of a dense block has another number of values than its shape asks for.
    #[error("batch {batch} of {rows} rows of {ncols} columns has {found} values")]
    DenseBatch {
        /// Batch, counted from 0.
        batch: usize,
        /// Rows that it should have.
        rows: usize,
        /// Columns of the block.
        ncols: usize,
        /// Values found.
        found: usize,
    },
}

/// Column means to subtract from every row: the operator is A − 1μᵀ.
#[derive(Clone, Copy, Debug)]
pub struct Mean<'a> {
    /// μ, one per column of A.
    pub columns: &'a [f64],
    /// μᵀX, one per column of the factor X that is multiplied; see [`Mean::product_with`].
    pub product: &'a [f64],
}

impl Mean<'_> {
    /// μᵀX for [`Mean::product`], in f64 and in fixed order. `x` is n×l, `columns` has length n.
    pub fn product_with(columns: &[f64], x: &Panel) -> Vec<f64> {
        assert_eq!(columns.len(), x.nrows(), "one mean per row of x");
        crate::reduce::ordered_sum(
            crate::reduce::chunk_count(x.nrows()),
            x.ncols(),
            |chunk, sum| {
                crate::simd::vectorized(
                    #[inline(always)]
                    || {
                        for row in crate::reduce::chunk_rows(chunk, x.nrows()) {
                            for (sum, &entry) in sum.iter_mut().zip(x.row(row)) {
                                *sum = columns[row].mul_add(f64::from(entry), *sum);
                            }
                        }
                    },
                );
            },
        )
    }
}

/// Who subtracts the means' part from a Gram matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centering {
    /// Nothing is left to do.
    Complete,
    /// The caller subtracts m·μμᵀ (m: rows of all blocks; μ their exact column means).
    LeftToCaller,
}

/// Memory that products reuse from call to call. Its contents never matter.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) x: Vec<Line>,
    pub(crate) y: Vec<Line>,
    pub(crate) z: Vec<Line>,
}

impl Scratch {
    /// Empty scratch; it grows to what the first call needs.
    pub fn new() -> Self {
        Self::default()
    }
}

/// `lines` as at least `len` entries of f32 or f64, whatever they held before.
pub(crate) fn scratch_slice<T: bytemuck::Pod>(lines: &mut Vec<Line>, len: usize) -> &mut [T] {
    let needed = (len * size_of::<T>()).div_ceil(LINE * size_of::<f32>());
    if lines.len() < needed {
        *lines = zeroed(needed);
    }
    &mut bytemuck::cast_slice_mut(lines)[..len]
}

/// What a certified product knows about the Y it wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Certified {
    /// YᵀY (l×l) of the Y that was written, that is, after rounding to f32.
    pub gram: Small,
    /// Per column, Σᵢ (y64 − y32)²: the squared norm of what rounding Y to f32 lost.
    pub rounding_error2: Vec<f64>,
    /// As the result of [`MatrixBlock::normal_multiply`].
    pub column_sums: Option<Vec<f64>>,
    /// Squared norm of each of the m rows of A − 1μᵀ.
    pub row_norms2: Vec<f64>,
    /// Squared norm of each of the n columns of this block of A − 1μᵀ.
    pub column_norms2: Vec<f64>,
}

/// A block of m rows of the input matrix A (m×n).
///
/// Products write every output element in one fixed order (ascending column for Y, ascending row
/// for Z), whatever the number of threads. Widths l that are multiples of 16 are fastest.
///
/// # Panics
/// Every method panics if shapes disagree: that is a defect of the caller, not of its input.
pub trait MatrixBlock: Sync {
    /// Rows m of the block.
    fn nrows(&self) -> usize;

    /// Columns n of the whole matrix.
    fn ncols(&self) -> usize;

    /// Y = (A − 1μᵀ) X in f32. `x` is n×l; `y` is m×l and overwritten.
    fn multiply(&self, x: &Panel, mean: Option<&Mean>, y: &mut Panel, scratch: &mut Scratch);

    /// Z += Aᵀ Y in f32. `y` is m×l; `z` is n×l. The caller subtracts μ(1ᵀY) where it centers.
    fn multiply_transposed(&self, y: &Panel, z: &mut Panel, scratch: &mut Scratch);

    /// Z += Aᵀ(A − 1μᵀ) X in f32, one read of A. `x` and `z` are n×l.
    ///
    /// `Some(1ᵀY)` says that the caller still has to subtract μ(1ᵀY), which it does best once,
    /// after summing over all blocks (with exact means those sums cancel). `None`: Z is complete.
    fn normal_multiply(
        &self,
        x: &Panel,
        mean: Option<&Mean>,
        z: &mut Panel,
        scratch: &mut Scratch,
    ) -> Option<Vec<f64>>;

    /// As [`MatrixBlock::normal_multiply`] with products and sums in f64.
    ///
    /// `y` is m×l and receives Y rounded to f32. `z`, where it is wanted, is n×l, row-major,
    /// accumulated: the product of Aᵀ with that rounded Y, as are the column sums.
    fn certified_normal_multiply(
        &self,
        x: &Panel,
        mean: Option<&Mean>,
        z: Option<&mut [f64]>,
        y: &mut Panel,
        scratch: &mut Scratch,
    ) -> Certified;

    /// out += AᵀA in f64. `out` is n×n, row-major; only its upper triangle (j ≥ i) is meaningful
    /// afterwards, see [`crate::small::mirror_upper`].
    ///
    /// A dense block centers explicitly: out += (A−1μᵀ)ᵀ(A−1μᵀ). A sparse one ignores `mean` and
    /// leaves it to the caller.
    fn gram(&self, mean: Option<&[f64]>, out: &mut [f64]) -> Centering;

    /// out += 1ᵀA, one per column.
    fn column_sums(&self, out: &mut [f64]);

    /// ‖A‖²_F of the block.
    fn frobenius2(&self) -> f64;
}

/// Checks the shapes of Y = A X.
pub(crate) fn check_product(block: &impl MatrixBlock, x: &Panel, mean: Option<&Mean>) {
    assert_eq!(x.nrows(), block.ncols(), "x has one row per column of A");
    if let Some(mean) = mean {
        assert_eq!(mean.columns.len(), block.ncols(), "one mean per column");
        assert_eq!(
            mean.product.len(),
            x.ncols(),
            "one mean product per column of x"
        );
    }
}
