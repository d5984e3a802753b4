//! Sums in f64 over operands in f32, widened in registers: half the bytes of operands in f64, and the
//! same bits.

use super::{Float, MAX_TILE};
use pulp::Simd;

/// The f64 of one vector of f32, in order.
type Wide<S> = [<S as Simd>::f64s; 2];

impl Float for f64 {
    type Sums<S: Simd> = Wide<S>;
    type Value<S: Simd> = S::f64s;
    /// Sums are twice as many vectors as operands.
    const MAX_TILE: usize = MAX_TILE / 2;

    /// Not where vectors are single numbers, which have no halves.
    fn is_on<S: Simd>() -> bool {
        S::F32_LANES == 2 * S::F64_LANES
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: f32) -> S::f64s {
        simd.splat_f64s(f64::from(value))
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, operands: S::f32s) -> Wide<S> {
        widen(simd, operands)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, value: S::f64s, operands: Wide<S>, sums: Wide<S>) -> Wide<S> {
        let [low, high] = operands;
        [
            simd.mul_add_f64s(value, low, sums[0]),
            simd.mul_add_f64s(value, high, sums[1]),
        ]
    }
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
