//! The two inner loops of sparse products, for every vector width: gather (y = Σ v·x) and scatter
//! (z += v·y).
//!
//! Vectors lie along the l columns of a row, so there is no horizontal sum, and every step is a
//! fused multiply-add: all widths, and the scalar fallback, give the same bits. A row's tile of
//! `N` vectors stays in registers while the row's nonzeros are walked.
//!
//! No `unsafe` is needed but for prefetches: pulp picks the instruction set, slices are cast by
//! bytemuck, and one bounds check per nonzero costs less than the gathered cache lines.

mod prefetch;
#[cfg(test)]
mod tests;
mod widening;

pub(crate) use prefetch::prefetch;
use prefetch::prefetch_part;

use bytemuck::Pod;
use pulp::{Arch, Scalar256b, Simd, WithSimd};

/// Runs `work` compiled for the widest vectors of this machine. Without it, a `mul_add` of plain
/// numbers is a function call on targets whose baseline has no such instruction.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Most vectors of one tile: with eight accumulators, eight gathered operands and the broadcast
/// value fit the sixteen registers of AVX2 as memory operands, and AVX-512 covers 128 columns.
const MAX_TILE: usize = 8;

/// Vectors that are prefetched ahead of the one in use.
const AHEAD: usize = 64;

/// A column index local to a segment.
pub(crate) trait LocalColumn: Copy + Sync {
    fn index(self) -> usize;
}

impl LocalColumn for u16 {
    #[inline(always)]
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl LocalColumn for u32 {
    #[inline(always)]
    fn index(self) -> usize {
        self as usize
    }
}

/// The values of a segment's nonzeros.
pub(crate) trait Weights: Copy + Sync {
    /// Those of nonzeros `start..end`.
    fn cut(self, start: usize, end: usize) -> Self;
    /// That of nonzero `k`.
    fn at(self, k: usize) -> f32;
    /// All, in order; without end where they are alike.
    fn each(self) -> impl Iterator<Item = f32>;
}

impl Weights for &[f32] {
    #[inline(always)]
    fn cut(self, start: usize, end: usize) -> Self {
        &self[start..end]
    }

    #[inline(always)]
    fn at(self, k: usize) -> f32 {
        self[k]
    }

    #[inline(always)]
    fn each(self) -> impl Iterator<Item = f32> {
        self.iter().copied()
    }
}

/// All ones: a binary segment.
#[derive(Clone, Copy)]
pub(crate) struct Ones;

impl Weights for Ones {
    #[inline(always)]
    fn cut(self, _: usize, _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn at(self, _: usize) -> f32 {
        1.0
    }

    #[inline(always)]
    fn each(self) -> impl Iterator<Item = f32> {
        std::iter::repeat(1.0)
    }
}

/// Some rows of one segment.
#[derive(Clone, Copy)]
pub(crate) struct SegmentRows<'a, C, W> {
    /// One more than the rows.
    pub(crate) offsets: &'a [i32],
    /// What the offsets point into.
    pub(crate) columns: &'a [C],
    pub(crate) weights: W,
}

impl<'a, C: LocalColumn, W: Weights> SegmentRows<'a, C, W> {
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> (&'a [C], W) {
        let (start, end) = (self.offsets[row] as usize, self.offsets[row + 1] as usize);
        (&self.columns[start..end], self.weights.cut(start, end))
    }

    /// Columns and weights of all rows, one after the other.
    #[inline(always)]
    pub(crate) fn all(&self) -> (&'a [C], W) {
        match self.offsets {
            [first, .., last] => {
                let (start, end) = (*first as usize, *last as usize);
                (&self.columns[start..end], self.weights.cut(start, end))
            }
            [] | [_] => (&[], self.weights.cut(0, 0)),
        }
    }

    /// The columns that come `distance` nonzeros after those of a row: what to prefetch.
    #[inline(always)]
    pub(crate) fn ahead(&self, row: usize, distance: usize) -> &'a [C] {
        let last = self.columns.len();
        let start = (self.offsets[row] as usize + distance).min(last);
        let end = (self.offsets[row + 1] as usize + distance).min(last);
        &self.columns[start..end]
    }
}

/// Runs `$body` with the constant `$n` = `$width`, for 1 to [`MAX_TILE`].
macro_rules! with_const {
    ($width:expr, $n:ident => $body:expr) => {
        match $width {
            1 => {
                const $n: usize = 1;
                $body
            }
            2 => {
                const $n: usize = 2;
                $body
            }
            3 => {
                const $n: usize = 3;
                $body
            }
            4 => {
                const $n: usize = 4;
                $body
            }
            5 => {
                const $n: usize = 5;
                $body
            }
            6 => {
                const $n: usize = 6;
                $body
            }
            7 => {
                const $n: usize = 7;
                $body
            }
            _ => {
                const $n: usize = 8;
                $body
            }
        }
    };
}

/// Runs `$body` with the constants `$n` = `$width` and `$whole`, whether rows of `$stride` vectors
/// are one tile.
macro_rules! with_tiling {
    ($width:expr, $stride:expr, $n:ident, $whole:ident => $body:expr) => {
        with_const!($width, $n => if $stride == $n {
            const $whole: bool = true;
            $body
        } else {
            const $whole: bool = false;
            $body
        })
    };
}

/// The precision of a product's sums.
pub(crate) trait Float: Pod + Send + Sync {
    /// The sums that go with one vector of operands.
    type Sums<S: Simd>: Pod;
    /// A value that multiplies vectors.
    type Value<S: Simd>: Copy;
    /// Most vectors of operands of one tile.
    const MAX_TILE: usize;

    /// Whether `S` has such sums.
    fn is_on<S: Simd>() -> bool;

    fn splat<S: Simd>(simd: S, value: f32) -> Self::Value<S>;
    /// Operands as precise as sums, exactly.
    fn widen<S: Simd>(simd: S, operands: S::f32s) -> Self::Sums<S>;
    fn mul_add<S: Simd>(
        simd: S,
        value: Self::Value<S>,
        operands: Self::Sums<S>,
        sums: Self::Sums<S>,
    ) -> Self::Sums<S>;
}

impl Float for f32 {
    type Sums<S: Simd> = S::f32s;
    type Value<S: Simd> = S::f32s;
    const MAX_TILE: usize = MAX_TILE;

    fn is_on<S: Simd>() -> bool {
        true
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f32) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn widen<S: Simd>(_: S, operands: S::f32s) -> S::f32s {
        operands
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, value: S::f32s, operands: S::f32s, sums: S::f32s) -> S::f32s {
        simd.mul_add_f32s(value, operands, sums)
    }
}

/// Cuts a row of `vectors` of operands into tiles, as even as can be.
#[inline(always)]
fn for_each_tile<T: Float>(vectors: usize, mut visit: impl FnMut(usize, usize)) {
    let tiles = vectors.div_ceil(T::MAX_TILE).max(1);
    let (short, longer) = (vectors / tiles, vectors % tiles);
    let mut from = 0;
    for tile in 0..tiles {
        let width = short + usize::from(tile < longer);
        if width > 0 {
            visit(from, width);
        }
        from += width;
    }
}

/// Where a tile of `N` vectors lies in every row of a matrix.
///
/// A row that is one tile (`WHOLE`) is found by its number alone: one comparison and no product.
#[derive(Clone, Copy)]
struct Tiling<const N: usize, const WHOLE: bool> {
    /// Vectors of a row.
    stride: usize,
    /// The tile's first one.
    from: usize,
}

impl<const N: usize, const WHOLE: bool> Tiling<N, WHOLE> {
    #[inline(always)]
    fn at(self, row: usize) -> usize {
        if WHOLE {
            row * N
        } else {
            row * self.stride + self.from
        }
    }

    #[inline(always)]
    fn get<V>(self, vectors: &[V], row: usize) -> &[V; N] {
        if WHOLE {
            &vectors.as_chunks().0[row]
        } else {
            let at = self.at(row);
            vectors[at..at + N].first_chunk().expect("N vectors")
        }
    }

    #[inline(always)]
    fn get_mut<V>(self, vectors: &mut [V], row: usize) -> &mut [V; N] {
        if WHOLE {
            &mut vectors.as_chunks_mut().0[row]
        } else {
            let at = self.at(row);
            vectors[at..at + N].first_chunk_mut().expect("N vectors")
        }
    }

    /// Asks for a tile that is wanted soon.
    #[inline(always)]
    fn prefetch<V>(self, vectors: &[V], row: usize) {
        prefetch_part(vectors, self.at(row), N);
    }
}

/// y += A x over some rows of a segment, in the precision `T`.
///
/// `x` (rows: the segment's columns) and `y` have `stride` entries per row, a multiple of 16.
pub(crate) struct Gather<'a, C, W, T> {
    pub(crate) rows: SegmentRows<'a, C, W>,
    pub(crate) x: &'a [f32],
    pub(crate) y: &'a mut [T],
    pub(crate) stride: usize,
}

impl<C: LocalColumn, W: Weights, T: Float> Gather<'_, C, W, T> {
    /// Runs on the widest vectors of this machine.
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<C: LocalColumn, W: Weights, T: Float> WithSimd for Gather<'_, C, W, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if !T::is_on::<S>() {
            return self.with_simd(Scalar256b);
        }
        let x: &[S::f32s] = bytemuck::cast_slice(self.x);
        let y: &mut [T::Sums<S>] = bytemuck::cast_slice_mut(self.y);
        let stride = self.stride / S::F32_LANES;
        for_each_tile::<T>(
            stride,
            #[inline(always)]
            |from, width| {
                with_tiling!(width, stride, N, WHOLE => gather_rows::<S, C, W, T, N, WHOLE>(
                    simd, &self.rows, x, y, Tiling { stride, from }
                ));
            },
        );
    }
}

#[inline(always)]
fn gather_rows<S: Simd, C: LocalColumn, W: Weights, T: Float, const N: usize, const WHOLE: bool>(
    simd: S,
    rows: &SegmentRows<C, W>,
    x: &[S::f32s],
    y: &mut [T::Sums<S>],
    tiling: Tiling<N, WHOLE>,
) {
    for row in 0..y.len() / tiling.stride {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let y = tiling.get_mut(y, row);
        let mut sums = *y;
        for (k, (column, weight)) in columns.iter().zip(weights.each()).enumerate() {
            if let Some(column) = ahead.get(k) {
                tiling.prefetch(x, column.index());
            }
            let value = T::splat(simd, weight);
            for (sums, &x) in sums.iter_mut().zip(tiling.get(x, column.index())) {
                *sums = T::mul_add(simd, value, T::widen(simd, x), *sums);
            }
        }
        *y = sums;
    }
}

/// z += Aᵀ y over some rows of a segment, in the precision `T`, rows ascending.
///
/// `y` has `y_stride` entries per row, of which `z_stride` from `y_from` on are used; `z` (rows:
/// the segment's columns) has `z_stride`. All are multiples of 16.
pub(crate) struct Scatter<'a, C, W, T> {
    pub(crate) rows: SegmentRows<'a, C, W>,
    pub(crate) y: &'a [f32],
    pub(crate) y_stride: usize,
    pub(crate) y_from: usize,
    pub(crate) z: &'a mut [T],
    pub(crate) z_stride: usize,
}

impl<C: LocalColumn, W: Weights, T: Float> Scatter<'_, C, W, T> {
    /// Runs on the widest vectors of this machine.
    pub(crate) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<C: LocalColumn, W: Weights, T: Float> WithSimd for Scatter<'_, C, W, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if !T::is_on::<S>() {
            return self.with_simd(Scalar256b);
        }
        let lanes = S::F32_LANES;
        let y: &[S::f32s] = bytemuck::cast_slice(self.y);
        let z: &mut [T::Sums<S>] = bytemuck::cast_slice_mut(self.z);
        let (y_stride, z_stride) = (self.y_stride / lanes, self.z_stride / lanes);
        for_each_tile::<T>(
            z_stride,
            #[inline(always)]
            |from, width| {
                let y_from = self.y_from / lanes + from;
                with_tiling!(width, z_stride, N, WHOLE => scatter_rows::<S, C, W, T, N, WHOLE>(
                    simd, &self.rows, (y, y_stride, y_from), z, Tiling { stride: z_stride, from }
                ));
            },
        );
    }
}

#[inline(always)]
fn scatter_rows<
    S: Simd,
    C: LocalColumn,
    W: Weights,
    T: Float,
    const N: usize,
    const WHOLE: bool,
>(
    simd: S,
    rows: &SegmentRows<C, W>,
    (y, y_stride, y_from): (&[S::f32s], usize, usize),
    z: &mut [T::Sums<S>],
    tiling: Tiling<N, WHOLE>,
) {
    for (row, y) in y.chunks_exact(y_stride).enumerate() {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let operands: &[_; N] = y[y_from..].first_chunk().expect("N vectors");
        let y = operands.map(
            #[inline(always)]
            |y| T::widen(simd, y),
        );
        for (k, (column, weight)) in columns.iter().zip(weights.each()).enumerate() {
            if let Some(column) = ahead.get(k) {
                tiling.prefetch(z, column.index());
            }
            let value = T::splat(simd, weight);
            let z = tiling.get_mut(z, column.index());
            for (z, &y) in z.iter_mut().zip(&y) {
                *z = T::mul_add(simd, value, y, *z);
            }
        }
    }
}
