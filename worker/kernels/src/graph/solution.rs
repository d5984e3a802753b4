//! Columns of scores as power iteration stores them, and the best of each.

use super::power::{Iterate, stored_scale};
use super::top::{Ranked, Top};
use rayon::prelude::*;
use std::ops::Range;

/// Rows in which one task looks for the best scores.
const TOP_ROWS: usize = 1 << 15;

/// Columns of scores: x, and what a refinement has put aside.
#[derive(Clone, Copy, Debug)]
pub struct Solution<'a, T> {
    /// Columns.
    pub width: usize,
    /// Inverse out-strengths of all vertices, times the unit of the steps.
    pub inverse: &'a [f64],
    /// X as it is stored, n × width.
    pub x: &'a [T],
    /// B of the same shape, if there is one.
    pub base: Option<&'a [T]>,
}

impl<T: Iterate> Solution<'_, T> {
    #[inline(always)]
    fn score(&self, row: usize, column: usize) -> f64 {
        let place = row * self.width + column;
        let base = self.base.map_or(0.0, |base| base[place].widen());
        (base + self.x[place].widen()) / stored_scale(self.inverse[row])
    }
}

/// See [`Iterate::best_of_columns`].
pub(super) fn best_of_columns<T: Iterate>(
    x: Solution<'_, T>,
    columns: &[usize],
    limit: usize,
    place: &(dyn Fn(u32) -> u32 + Sync),
) -> Vec<Vec<Ranked>> {
    let rows = x.x.len() / x.width;
    let chunks: Vec<Vec<Top>> = (0..rows.div_ceil(TOP_ROWS))
        .into_par_iter()
        .map(|chunk| {
            let rows = chunk * TOP_ROWS..rows.min((chunk + 1) * TOP_ROWS);
            best_of_rows(x, rows, columns, limit, place)
        })
        .collect();
    let mut best = vec![Top::new(limit); columns.len()];
    for chunk in chunks {
        for (best, part) in best.iter_mut().zip(chunk) {
            best.merge(part);
        }
    }
    best.into_iter().map(Top::into_sorted).collect()
}

fn best_of_rows<T: Iterate>(
    x: Solution<'_, T>,
    rows: Range<usize>,
    columns: &[usize],
    limit: usize,
    place: &(dyn Fn(u32) -> u32 + Sync),
) -> Vec<Top> {
    let mut tops = vec![Top::new(limit); columns.len()];
    let mut thresholds = vec![0.0; columns.len()];
    for row in rows {
        for (slot, &column) in columns.iter().enumerate() {
            let score = x.score(row, column);
            if score > 0.0 && score >= thresholds[slot] {
                let index = row as u32;
                tops[slot].offer(Ranked {
                    index,
                    place: place(index),
                    score,
                });
                thresholds[slot] = tops[slot].threshold();
            }
        }
    }
    tops
}
