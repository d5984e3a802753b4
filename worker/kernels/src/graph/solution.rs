//! Columns of estimates as power iteration keeps them, and the best of each.

use super::power::{Kept, stored_scale};
use super::top::{Ranked, Top};
use crate::compensated::Compensated;
use rayon::prelude::*;
use std::ops::Range;

/// Fewest rows in which one task looks for the best scores.
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
    /// γ times a score times its vertex' scale, as it is kept.
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
    // Which rows come together changes nothing: what is best is best in any order.
    let each = rows
        .div_ceil(2 * rayon::current_num_threads())
        .max(TOP_ROWS);
    let parts: Vec<Vec<Top>> = (0..rows.div_ceil(each))
        .into_par_iter()
        .map(|part| {
            let rows = part * each..rows.min((part + 1) * each);
            best_of_rows(solution, rows, columns, limit, place)
        })
        .collect();
    let mut best = vec![Top::new(limit); columns.len()];
    for part in parts {
        for (best, top) in best.iter_mut().zip(part) {
            best.merge(top);
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
    // γ times the last of the best scores, and less than its two divisions, these products and their
    // comparison may be off by together. No row whose number is below it, times its scale, can enter.
    let least = |top: &Top, column: usize| {
        top.threshold() * solution.gamma[column] * (1.0 - 8.0 * f64::EPSILON)
    };
    let mut tops = vec![Top::new(limit); columns.len()];
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
                thresholds[slot] = least(&tops[slot], column);
            }
        }
    }
    tops
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_a_sort_finds(
            rows in prop::collection::vec((0i32..3, -40i32..40, -1f64..4.0), 1..200),
            repeats in 1usize..700,
            gamma in 0.1f64..3.0,
            limit in 1usize..20,
        ) {
            // Several chunks of rows; scores that are equal, over scales that are not.
            let rows: Vec<_> = rows.iter().cycle().take(rows.len() * repeats).collect();
            let inverse: Vec<f64> = rows.iter().map(|row| match row.0 {
                0 => 0.0,
                1 => libm::exp2(f64::from(row.1)),
                _ => f64::from(row.1.abs() + 1) / 3.0,
            }).collect();
            let score = |row: usize| (2.0 * rows[row].2).round();
            let estimate: Vec<f64> = (0..rows.len())
                .map(|row| score(row) * stored_scale(inverse[row]) * gamma)
                .collect();
            let left = vec![0.0; rows.len()];
            let solution = Solution {
                width: 1,
                inverse: &inverse,
                estimate: &estimate,
                left: &left,
                gamma: &[gamma],
            };
            let place = |index: u32| index.reverse_bits();
            let mut expected: Vec<(f64, u32)> = (0..rows.len())
                .map(|row| (solution.score(row, 0), row as u32))
                .filter(|(score, _)| *score > 0.0)
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(place(a.1).cmp(&place(b.1))));
            expected.truncate(limit);
            let found = best_of_columns(solution, &[0], limit, &place);
            let found: Vec<(f64, u32)> = found[0].iter().map(|best| (best.score, best.index)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
