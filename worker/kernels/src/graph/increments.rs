//! The increments of power iteration: bits of bfloat16, a row of columns for every vertex.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

/// Numbers of a cache line.
const LINE: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u16; LINE]);

/// Numbers of which the first lies at the beginning of a cache line: a row of 32 that straddled two
/// would be fetched as two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Increments {
    lines: Vec<Line>,
    len: usize,
}

impl Increments {
    /// Makes `len` zeros of this.
    pub fn clear(&mut self, len: usize) {
        let lines = len.div_ceil(LINE);
        if self.lines.len() < lines {
            self.lines = bytemuck::zeroed_vec(lines);
        } else {
            let used = &mut self.lines[..lines];
            used.par_iter_mut().for_each(|line| *line = Line::zeroed());
        }
        self.len = len;
    }

    /// All numbers.
    pub fn as_slice(&self) -> &[u16] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    /// All numbers, to write.
    pub fn as_mut_slice(&mut self) -> &mut [u16] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_on_a_cache_line_and_are_zeros_again_once_cleared() {
        let mut increments = Increments::default();
        for len in [96, 40, 33, 0] {
            increments.clear(len);
            assert_eq!(increments.as_slice().as_ptr() as usize % 64, 0);
            assert_eq!(increments.as_slice(), vec![0; len]);
            increments.as_mut_slice().fill(7);
        }
    }
}
