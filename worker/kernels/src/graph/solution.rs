//! Columns of estimates as power iteration keeps them, and the best of each.

use super::power::{Kept, stored_scale};
use super::top::{Ranked, Top};
use crate::compensated::Compensated;
use rayon::prelude::*;
use std::ops::Range;

/// Rows in which one task looks for the best scores.
const TOP_ROWS: usize = 1 << 15;

/// Columns of estimates.
#[derive(Clone, Copy, Debug)]
pub struct Solution<'a, A> {
    /// Columns.
    pub width: usize,
    /// Inverse out-strengths of all vertices, times the unit of the steps.
    pub inverse: &'a [f64],
    /// p as it is kept, n × width.
    pub estimate: &'a [A],
    /// What the last increments left of residuals, of the same shape: with it, p is what power
    /// iteration without rounding makes of the p before.
    pub left: &'a [A],
    /// γ of every column: scores are divided by it.
    pub gamma: &'a [f64],
}

impl<A: Kept> Solution<'_, A> {
    /// γ times a score, as it is kept.
    #[inline(always)]
    fn stored(&self, row: usize, column: usize) -> f64 {
        let place = row * self.width + column;
        self.estimate[place].widen() + self.left[place].widen()
    }

    #[inline(always)]
    fn score(&self, row: usize, column: usize) -> f64 {
        self.stored(row, column) / stored_scale(self.inverse[row]) / self.gamma[column]
    }

    /// Σ|score| of a column.
    pub fn norm(&self, column: usize) -> f64 {
        let rows = self.estimate.len() / self.width;
        let scores = (0..rows).map(|row| self.score(row, column).abs());
        scores.collect::<Compensated>().value()
    }
}

/// See [`Kept::best_of_columns`].
pub(super) fn best_of_columns<A: Kept>(
    solution: Solution<'_, A>,
    columns: &[usize],
    limit: usize,
    place: &(dyn Fn(u32) -> u32 + Sync),
) -> Vec<Vec<Ranked>> {
    let rows = solution.estimate.len() / solution.width;
    let chunks: Vec<Vec<Top>> = (0..rows.div_ceil(TOP_ROWS))
        .into_par_iter()
        .map(|chunk| {
            let rows = chunk * TOP_ROWS..rows.min((chunk + 1) * TOP_ROWS);
            best_of_rows(solution, rows, columns, limit, place)
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

fn best_of_rows<A: Kept>(
    solution: Solution<'_, A>,
    rows: Range<usize>,
    columns: &[usize],
    limit: usize,
    place: &(dyn Fn(u32) -> u32 + Sync),
) -> Vec<Top> {
    let mut tops = vec![Top::new(limit); columns.len()];
    // What is stored of a score that may be among them, over the vertex' scale, at least.
    let mut thresholds = vec![0.0; columns.len()];
    for row in rows {
        let scale = stored_scale(solution.inverse[row]);
        for (slot, &column) in columns.iter().enumerate() {
            let stored = solution.stored(row, column);
            if stored > 0.0 && stored >= thresholds[slot] * scale {
                let index = row as u32;
                tops[slot].offer(Ranked {
                    index,
                    place: place(index),
                    score: solution.score(row, column),
                });
                // Less than the roundings of a score could make of the product.
                let least = tops[slot].threshold() * solution.gamma[column];
                thresholds[slot] = least * (1.0 - 8.0 * f64::EPSILON);
            }
        }
    }
    tops
}
