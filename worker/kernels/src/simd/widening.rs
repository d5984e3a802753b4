//! The same loops with sums in f64 over operands in f32, widened in registers: half the bytes of
//! operands in f64, and the same bits.

use super::{
    AHEAD, Float, Gather, LocalColumn, MAX_TILE, Scatter, SegmentRows, Tiling, Weights,
    for_each_tile, with_const, with_tiling,
};
use pulp::{Scalar256b, Simd};

/// Most vectors of f32 of one tile: their sums are twice as many vectors.
const MAX_WIDE_TILE: usize = MAX_TILE / 2;

/// The f64 of one vector of f32, in order.
type Wide<S> = [<S as Simd>::f64s; 2];

impl Float for f64 {
    #[inline(always)]
    fn gather<S: Simd, C: LocalColumn, W: Weights>(simd: S, gather: Gather<'_, C, W, Self>) {
        if !has_halves::<S>() {
            return Self::gather(Scalar256b, gather);
        }
        let x: &[S::f32s] = bytemuck::cast_slice(gather.x);
        let y: &mut [Wide<S>] = bytemuck::cast_slice_mut(gather.y);
        let rows = gather.rows;
        let stride = gather.stride / S::F32_LANES;
        for_each_tile(
            stride,
            MAX_WIDE_TILE,
            #[inline(always)]
            |from, width| {
                with_tiling!(width, stride, N, WHOLE => gather_rows::<S, C, W, N, WHOLE>(
                    simd, &rows, x, y, Tiling { stride, from }
                ));
            },
        );
    }

    #[inline(always)]
    fn scatter<S: Simd, C: LocalColumn, W: Weights>(simd: S, scatter: Scatter<'_, C, W, Self>) {
        if !has_halves::<S>() {
            return Self::scatter(Scalar256b, scatter);
        }
        let y: &[S::f32s] = bytemuck::cast_slice(scatter.y);
        let z: &mut [Wide<S>] = bytemuck::cast_slice_mut(scatter.z);
        let lanes = S::F32_LANES;
        let (y_stride, z_stride) = (scatter.y_stride / lanes, scatter.z_stride / lanes);
        for_each_tile(
            z_stride,
            MAX_WIDE_TILE,
            #[inline(always)]
            |from, width| {
                let y_from = scatter.y_from / lanes + from;
                with_tiling!(width, z_stride, N, WHOLE => scatter_rows::<S, C, W, N, WHOLE>(
                    simd,
                    &scatter.rows,
                    (y, y_stride, y_from),
                    z,
                    Tiling { stride: z_stride, from },
                ));
            },
        );
    }
}

#[inline(always)]
fn gather_rows<S: Simd, C: LocalColumn, W: Weights, const N: usize, const WHOLE: bool>(
    simd: S,
    rows: &SegmentRows<C, W>,
    x: &[S::f32s],
    y: &mut [Wide<S>],
    tiling: Tiling<N, WHOLE>,
) {
    for row in 0..y.len() / tiling.stride {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let y = tiling.get_mut(y, row);
        let mut sum = *y;
        for (k, (column, weight)) in columns.iter().zip(weights.each()).enumerate() {
            if let Some(column) = ahead.get(k) {
                tiling.prefetch(x, column.index());
            }
            let value = simd.splat_f64s(f64::from(weight));
            for (sum, &x) in sum.iter_mut().zip(tiling.get(x, column.index())) {
                let [low, high] = widen(simd, x);
                sum[0] = simd.mul_add_f64s(value, low, sum[0]);
                sum[1] = simd.mul_add_f64s(value, high, sum[1]);
            }
        }
        *y = sum;
    }
}

#[inline(always)]
fn scatter_rows<S: Simd, C: LocalColumn, W: Weights, const N: usize, const WHOLE: bool>(
    simd: S,
    rows: &SegmentRows<C, W>,
    (y, y_stride, y_from): (&[S::f32s], usize, usize),
    z: &mut [Wide<S>],
    tiling: Tiling<N, WHOLE>,
) {
    for (row, y) in y.chunks_exact(y_stride).enumerate() {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let narrow: &[_; N] = y[y_from..].first_chunk().expect("N vectors");
        let y = narrow.map(
            #[inline(always)]
            |y| widen(simd, y),
        );
        for (k, (column, weight)) in columns.iter().zip(weights.each()).enumerate() {
            if let Some(column) = ahead.get(k) {
                tiling.prefetch(z, column.index());
            }
            let value = simd.splat_f64s(f64::from(weight));
            for (z, y) in tiling.get_mut(z, column.index()).iter_mut().zip(&y) {
                z[0] = simd.mul_add_f64s(value, y[0], z[0]);
                z[1] = simd.mul_add_f64s(value, y[1], z[1]);
            }
        }
    }
}

/// Whether a vector of f32 has the numbers of two of f64: not where vectors are single numbers.
const fn has_halves<S: Simd>() -> bool {
    S::F32_LANES == 2 * S::F64_LANES
}

/// A vector of f32 as two of f64, exactly.
#[inline(always)]
fn widen<S: Simd>(simd: S, narrow: S::f32s) -> Wide<S> {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        use std::any::Any;
        // Which one `S` is is known when this is compiled: no test is left of it.
        if let Some(v4) = (&simd as &dyn Any).downcast_ref::<V4>() {
            let halves: [pulp::f32x8; 2] = bytemuck::cast(narrow);
            return halves.map(
                #[inline(always)]
                |half| bytemuck::cast(v4.convert_f32x8_to_f64x8(half)),
            );
        }
        if let Some(v3) = (&simd as &dyn Any).downcast_ref::<V3>() {
            let halves: [pulp::f32x4; 2] = bytemuck::cast(narrow);
            return halves.map(
                #[inline(always)]
                |half| bytemuck::cast(v3.convert_f32x4_to_f64x4(half)),
            );
        }
    }
    let mut wide = [simd.splat_f64s(0.0); 2];
    let lanes: &mut [f64] = bytemuck::cast_slice_mut(&mut wide);
    for (wide, &narrow) in lanes.iter_mut().zip(pulp::bytemuck::cast_slice(&[narrow])) {
        let narrow: f32 = narrow;
        *wide = f64::from(narrow);
    }
    wide
}
