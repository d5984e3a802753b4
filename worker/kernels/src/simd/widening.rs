//! y += A x with sums in f64 and x in f32, widened in registers: half the bytes of an x in f64, and
//! the same bits.
//!
//! Plain loops over lanes: they are compiled for the vectors of whoever calls them.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::{AHEAD, Gather, LocalColumn, SegmentRows, Weights, prefetch, tile, tile_mut};

/// Columns of a group: a cache line of f32.
const LANES: usize = 16;
/// Groups whose sums stay in registers together: sixteen vectors of AVX2, four of AVX-512.
const GROUPS: usize = 2;

#[inline(always)]
pub(super) fn gather<C: LocalColumn, W: Weights>(gather: &mut Gather<'_, C, W, f64>) {
    let x = gather.x.as_chunks::<LANES>().0;
    let y = gather.y.as_chunks_mut::<LANES>().0;
    let groups = gather.stride / LANES;
    for from in (0..groups).step_by(GROUPS) {
        if from + 1 < groups {
            gather_groups::<C, W, GROUPS>(&gather.rows, x, y, groups, from);
        } else {
            gather_groups::<C, W, 1>(&gather.rows, x, y, groups, from);
        }
    }
}

#[inline(always)]
fn gather_groups<C: LocalColumn, W: Weights, const N: usize>(
    rows: &SegmentRows<C, W>,
    x: &[[f32; LANES]],
    y: &mut [[f64; LANES]],
    groups: usize,
    from: usize,
) {
    for (row, y) in y.chunks_exact_mut(groups).enumerate() {
        let (columns, weights) = rows.row(row);
        let ahead = rows.ahead(row, AHEAD / N);
        let y: &mut [_; N] = tile_mut(y, from);
        let mut sum = *y;
        for (k, column) in columns.iter().enumerate() {
            if let Some(column) = ahead.get(k) {
                prefetch(tile::<_, N>(x, column.index() * groups + from));
            }
            let x: &[_; N] = tile(x, column.index() * groups + from);
            let value = f64::from(weights.at(k));
            for group in 0..N {
                for lane in 0..LANES {
                    sum[group][lane] = value.mul_add(f64::from(x[group][lane]), sum[group][lane]);
                }
            }
        }
        *y = sum;
    }
}
