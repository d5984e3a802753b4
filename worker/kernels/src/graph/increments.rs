//! The increments of power iteration: bfloat16, a cache line of 32 columns for every vertex.
//!
//! A line is sixteen words. Columns come in groups of sixteen, and a word holds a number of either
//! group: one shift or mask makes a vector of numbers of it.

use bytemuck::Zeroable;
use rayon::prelude::*;

/// Columns are handled in groups of so many.
pub const GROUP: usize = 16;
/// Groups of columns in a line.
pub(super) const GROUPS: usize = 2;
/// Most columns.
pub const LINE_COLUMNS: usize = GROUPS * GROUP;
/// The largest relative error of a number that is rounded to bfloat16, by way of f32.
pub const INCREMENT_ROUNDOFF: f64 = 1.0 / 256.0;

/// The increments of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub(super) [u32; GROUP]);

impl Line {
    /// The numbers of a group.
    #[inline(always)]
    pub(super) fn group(&self, group: usize) -> [f64; GROUP] {
        // The upper half of f32.
        let widen = |word: u32| f64::from(f32::from_bits((word >> (16 * group)) << 16));
        self.0.map(widen)
    }

    /// Rounds numbers of a group, puts them where zeros are, and returns them.
    #[inline(always)]
    pub(super) fn put(&mut self, group: usize, numbers: [f64; GROUP]) -> [f64; GROUP] {
        let bits = numbers.map(shortened);
        for (word, bits) in self.0.iter_mut().zip(bits) {
            *word |= bits << (16 * group);
        }
        bits.map(|bits| f64::from(f32::from_bits(bits << 16)))
    }

    /// Rounds the number of a column, puts it there, and returns it.
    pub(super) fn set(&mut self, column: usize, number: f64) -> f64 {
        let (group, lane) = (column / GROUP, column % GROUP);
        let other = self.0[lane] & !(0xffff << (16 * group));
        self.0[lane] = other | shortened(number) << (16 * group);
        self.group(group)[lane]
    }
}

/// Bits of the bfloat16 next to `value`, ties to even.
#[inline(always)]
fn shortened(value: f64) -> u32 {
    let bits = (value as f32).to_bits();
    bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16
}

/// The increments of all vertices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Increments {
    lines: Vec<Line>,
}

impl Increments {
    /// Makes zeros of this, for so many vertices.
    pub fn clear(&mut self, vertices: usize) {
        if self.lines.len() < vertices {
            self.lines = bytemuck::zeroed_vec(vertices);
        } else {
            self.lines.truncate(vertices);
            let lines = self.lines.par_iter_mut();
            lines.for_each(|line| *line = Line::zeroed());
        }
    }

    /// A line for each vertex.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// All lines, to write.
    pub fn lines_mut(&mut self) -> &mut [Line] {
        &mut self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_start_on_a_cache_line_and_are_zeros_again_once_cleared() {
        let mut increments = Increments::default();
        for vertices in [96, 40, 33, 0] {
            increments.clear(vertices);
            assert_eq!(increments.lines().as_ptr() as usize % 64, 0);
            assert_eq!(increments.lines(), vec![Line::zeroed(); vertices]);
            increments.lines_mut().fill(Line([7; GROUP]));
        }
    }

    /// Of any size that f32 holds in full, and zero.
    fn number() -> impl Strategy<Value = f64> {
        let sign = prop::sample::select(vec![-1.0, 1.0, 0.0]);
        (sign, -120f64..120.0).prop_map(|(sign, exponent)| sign * libm::exp2(exponent))
    }

    proptest! {
        #[test]
        fn groups_of_a_line_are_near_to_what_was_put_there(
            numbers in prop::array::uniform2(prop::array::uniform16(number())),
        ) {
            let mut line = Line::zeroed();
            let put = [line.put(0, numbers[0]), line.put(1, numbers[1])];
            for group in 0..GROUPS {
                prop_assert_eq!(line.group(group), put[group]);
                for (lane, &number) in numbers[group].iter().enumerate() {
                    let rounded = put[group][lane];
                    prop_assert!((rounded - number).abs() <= INCREMENT_ROUNDOFF * number.abs());
                    let before = line;
                    prop_assert_eq!(line.set(GROUP * group + lane, number), rounded);
                    prop_assert_eq!(line, before);
                }
            }
        }
    }
}
