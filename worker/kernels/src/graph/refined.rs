//! What refined columns of a power iteration leave behind: see [`super::power`].

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::power::{GROUP, Iterate, add};
use super::take;
use std::ops::Range;

/// Some rows of the numbers that refined columns leave behind; zero in columns that are not refined.
#[derive(Debug)]
pub struct Refined<'a, T> {
    /// B as it was stored, n × width.
    pub base: &'a mut [T],
    /// R, n × width, not scaled: added in every step.
    pub residual: &'a mut [T],
    /// Per column, whether this is the step that refines it: X becomes B, and F(B) − B both R and
    /// the next X, which is E from then on.
    pub now: &'a [bool],
}

/// The rows of each of `ranges`.
pub(super) fn cut_refined<'a, T>(
    refined: Option<Refined<'a, T>>,
    ranges: &[Range<usize>],
    width: usize,
) -> Vec<Refined<'a, T>> {
    let Some(Refined {
        mut base,
        mut residual,
        now,
    }) = refined
    else {
        return Vec::new();
    };
    let cut = |rows: &Range<usize>| Refined {
        base: take(&mut base, rows.len() * width),
        residual: take(&mut residual, rows.len() * width),
        now,
    };
    ranges.iter().map(cut).collect()
}

/// The rows of a chunk of a refinement, in groups.
pub(super) struct GroupedRefinement<'a, T, const N: usize> {
    base: &'a mut [[[T; GROUP]; N]],
    residual: &'a mut [[[T; GROUP]; N]],
    now: [[bool; GROUP]; N],
    any: bool,
}

impl<'a, T: Iterate, const N: usize> GroupedRefinement<'a, T, N> {
    pub(super) fn new(refined: Refined<'a, T>) -> Self {
        let mut now = [[false; GROUP]; N];
        now.as_flattened_mut().copy_from_slice(refined.now);
        let grouped = |panel: &'a mut [T]| panel.as_chunks_mut::<GROUP>().0.as_chunks_mut::<N>().0;
        Self {
            base: grouped(refined.base),
            residual: grouped(refined.residual),
            any: refined.now.contains(&true),
            now,
        }
    }

    /// Adds R.
    #[inline(always)]
    pub(super) fn add(&self, row: usize, sum: &mut [[f64; GROUP]; N]) {
        for group in 0..N {
            add(&mut sum[group], &self.residual[row][group]);
        }
    }

    /// Refines the columns whose turn it is.
    #[inline(always)]
    pub(super) fn begin(
        &mut self,
        row: usize,
        (stored, x): (&[[T; GROUP]; N], &[[f64; GROUP]; N]),
        sum: &mut [[f64; GROUP]; N],
    ) {
        if !self.any {
            return;
        }
        for group in 0..N {
            for lane in 0..GROUP {
                if self.now[group][lane] {
                    let missing = sum[group][lane] - x[group][lane];
                    self.base[row][group][lane] = stored[group][lane];
                    self.residual[row][group][lane] = T::round(missing);
                    sum[group][lane] = missing;
                }
            }
        }
    }
}
