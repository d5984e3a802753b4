//! y += A x with sums in f64 and x in f32, widened in registers: half the bytes of an x in f64, and
//! the same bits.
//!
//! Plain loops over lanes: they are compiled for the vectors of whoever calls them.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::{AHEAD, Gather, LocalColumn, SegmentRows, Tiling, Weights};

/// Columns of a group: a cache line of f32.
const LANES: usize = 16;
/// Groups whose sums stay in registers together: eight vectors of AVX2, four of AVX-512.
const GROUPS: usize = 2;

#[inline(always)]
pub(super) fn gather<C: LocalColumn, W: Weights>(gather: &mut Gather<'_, C, W, f64>) {
    let x = gather.x.as_chunks::<LANES>().0;
    let y = gather.y.as_chunks_mut::<LANES>().0;
    let stride = gather.stride / LANES;
    for from in (0..stride).step_by(GROUPS) {
        if from + 1 < stride {
            gather_groups::<C, W, GROUPS>(&gather.rows, x, y, Tiling { stride, from });
        } else {
            gather_groups::<C, W, 1>(&gather.rows, x, y, Tiling { stride, from });
        }
    }
}

#[inline(always)]
fn gather_groups<C: LocalColumn, W: Weights, const N: usize>(
    rows: &SegmentRows<C, W>,
    x: &[[f32; LANES]],
    y: &mut [[f64; LANES]],
    tiling: Tiling<N, false>,
) {
    for row in 0..y.len() / tiling.stride {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let y: &mut [_; N] = tiling.get_mut(y, row);
        let mut sum = *y;
        for (k, (column, weight)) in columns.iter().zip(weights.each()).enumerate() {
            if let Some(column) = ahead.get(k) {
                tiling.prefetch(x, column.index());
            }
            let x: &[_; N] = tiling.get(x, column.index());
            let value = f64::from(weight);
            for group in 0..N {
                for lane in 0..LANES {
                    sum[group][lane] = value.mul_add(f64::from(x[group][lane]), sum[group][lane]);
                }
            }
        }
        *y = sum;
    }
}
