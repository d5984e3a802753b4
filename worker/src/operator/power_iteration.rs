//! Power iteration of some sources in blocks, on a graph of incoming edges that a task holds.
//!
//! A source whose bound is met gives its place in the block's result at once, so that its answer
//! does not depend on the sources beside it.

use rankmill_common::Result;
use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::Precision;
use rankmill_common::operator::power_scores::Personal;
use rankmill_kernels::SparseBlock;
use rankmill_kernels::graph::{
    self, Increments, Kept, PowerRows, PowerStep, PowerSums, SeedEntry, Solution, row_terms,
};
use rayon::prelude::*;

use super::chebyshev::{Chebyshev, Outlook};
use super::personal::{Answer, Sources, Work};
use super::power_bound::{self, Errors, Rounding, Terms};
use crate::context::TaskContext;
use crate::storage::order::Order;

/// Blocks have a multiple of so many columns.
const NARROWEST: usize = 16;
/// The largest number that a score is multiplied by when it is stored: bfloat16 holds the products.
const LARGEST_SCALE: f64 = (1u128 << 118) as f64;

/// How sources iterate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Sources side by side.
    pub(super) width: u32,
    /// What residuals and estimates are kept in.
    pub(super) kept: Precision,
    /// Most iterations.
    pub(super) max_iterations: u32,
}

/// A graph, ready to iterate on.
pub(super) struct Power<'a> {
    personal: &'a Personal,
    order: &'a Order,
    views: &'a [SparseBlock<'a>],
    manner: Manner,
    /// Inverse out-strengths times `unit`.
    inverse: Vec<f64>,
    unit: f64,
    entries: u64,
    rounding: Rounding,
}

/// The sources of a block while they iterate.
struct Columns {
    width: usize,
    answers: Vec<Option<Answer>>,
    /// What the last step left.
    sums: PowerSums,
    /// γ: estimates are of γ times the scores.
    gamma: Vec<f64>,
    errors: Vec<Errors>,
    /// Vertices that increments have reached.
    reached: Vec<u64>,
    /// Whether any vertex has ever waited to be passed on.
    waited: Vec<bool>,
    /// Whether the last step reached nothing new: no later one will.
    closed: Vec<bool>,
    chebyshev: Chebyshev,
}

/// What blocks of sources hold one after the other, as [`PowerRows`] describes it.
#[derive(Default)]
struct Panels<A> {
    moved: Increments,
    next: Increments,
    left: Vec<A>,
    estimate: Vec<A>,
}

impl<A: Kept> Panels<A> {
    /// Makes all of it zeros, `len` each.
    fn clear(&mut self, len: usize) {
        self.moved.clear(len);
        self.next.clear(len);
        for panel in [&mut self.left, &mut self.estimate] {
            if panel.len() < len {
                // Fresh pages are zeros already: the threads that step touch them first.
                *panel = vec![A::default(); len];
            } else {
                panel.truncate(len);
                panel
                    .par_iter_mut()
                    .for_each(|number| *number = A::default());
            }
        }
    }
}

impl<'a> Power<'a> {
    /// Looks at the graph whose incoming edges `views` hold.
    pub(super) fn new(
        personal: &'a Personal,
        order: &'a Order,
        views: &'a [SparseBlock<'a>],
        strengths: &[f64],
        manner: Manner,
    ) -> Self {
        let unit = unit(strengths);
        let mut inverse = graph::inverse_strengths(strengths);
        for inverse in &mut inverse {
            *inverse *= unit;
        }
        Self {
            personal,
            order,
            manner,
            inverse,
            unit,
            entries: views.iter().map(|view| view.nnz() as u64).sum(),
            rounding: Rounding::new(
                personal.damping,
                manner.kept,
                terms(views, strengths, personal.dangling),
            ),
            views,
        }
    }

    /// Edges of the graph.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// The answers of `chosen` sources, in their order.
    pub(super) fn answers(
        &self,
        context: &TaskContext,
        sources: &Sources,
        chosen: &[usize],
        work: &mut Work,
    ) -> Result<Vec<Answer>> {
        match self.manner.kept {
            Precision::Single => self.solve_all::<f32>(context, sources, chosen, work),
            Precision::Double => self.solve_all::<f64>(context, sources, chosen, work),
        }
    }

    fn solve_all<A: Kept>(
        &self,
        context: &TaskContext,
        sources: &Sources,
        chosen: &[usize],
        work: &mut Work,
    ) -> Result<Vec<Answer>> {
        let width = (self.manner.width as usize).max(NARROWEST);
        let mut answers = Vec::with_capacity(chosen.len());
        let mut panels = Panels::<A>::default();
        for block in chosen.chunks(width) {
            let seeds = seed_entries(sources, block);
            let mut columns = self.start(&mut panels, &seeds, block.len());
            let mut iteration = 0;
            while columns.answers.iter().any(Option::is_none) {
                context.check_cancelled()?;
                self.step(&mut panels, &mut columns, &seeds);
                iteration += 1;
                work.edges += self.entries;
                self.collect(&panels, &mut columns, iteration);
                self.accelerate(&mut columns, iteration);
            }
            work.iterations = work.iterations.max(iteration);
            answers.extend(columns.answers.into_iter().flatten());
        }
        Ok(answers)
    }

    /// All mass at the seeds.
    fn start<A: Kept>(&self, panels: &mut Panels<A>, seeds: &[SeedEntry], count: usize) -> Columns {
        let width = count.next_multiple_of(NARROWEST);
        panels.clear(self.inverse.len() * width);
        let rows = PowerRows {
            next: panels.moved.as_mut_slice(),
            left: &mut panels.left,
            estimate: &mut panels.estimate,
        };
        let sums = graph::place_seeds(seeds, &self.inverse, width, rows);
        Columns {
            width,
            answers: (0..count).map(|_| None).collect(),
            errors: sums.moved.iter().map(|&mass| Errors::new(mass)).collect(),
            reached: sums.reached.clone(),
            sums,
            gamma: vec![0.0; width],
            waited: vec![false; width],
            closed: vec![false; width],
            chebyshev: Chebyshev::new(self.personal.damping, width),
        }
    }

    /// Whether any source may still turn out to reach no more than is written.
    fn may_close(&self, columns: &Columns) -> bool {
        let limit = self.limit();
        let mut open = columns.answers.iter().zip(&columns.reached);
        open.any(|(answer, &reached)| answer.is_none() && reached <= limit)
    }

    /// Scores of a source that are written, at most.
    fn limit(&self) -> u64 {
        u64::from(self.personal.top_k).min(self.inverse.len() as u64)
    }

    /// One step of all columns.
    fn step<A: Kept>(&self, panels: &mut Panels<A>, columns: &mut Columns, seeds: &[SeedEntry]) {
        let width = columns.width;
        let (anew, share) = self.inflow(columns);
        let step = PowerStep {
            damping: self.personal.damping,
            width,
            anew: &anew,
            share: &share,
            self_loops: self.personal.dangling == Dangling::SelfLoop,
            seeds,
            inverse: &self.inverse,
            unit: self.unit,
            moved: panels.moved.as_slice(),
            count: self.may_close(columns),
            omega: columns.chebyshev.omega(),
        };
        let mut rows = PowerRows {
            next: panels.next.as_mut_slice(),
            left: &mut panels.left,
            estimate: &mut panels.estimate,
        };
        let (mut sums, mut first) = (PowerSums::new(width), 0);
        for view in self.views {
            let part = rows.take(view.nrows, width);
            sums.add(&A::power_step(view, first, &step, part));
            first += view.nrows;
        }
        for column in 0..width {
            let omega = step.omega.map_or(1.0, |omega| omega[column]);
            self.rounding.add_step(
                &mut columns.errors[column],
                sums.residual[column],
                columns.gamma[column],
                omega,
            );
            if step.count {
                let (before, reached) = (columns.reached[column], sums.reached[column]);
                // One that has waited may have been rounded away since.
                columns.waited[column] |= sums.waiting[column] > 0;
                columns.closed[column] = reached == before && !columns.waited[column];
                columns.reached[column] = reached.max(before);
            }
        }
        std::mem::swap(&mut panels.moved, &mut panels.next);
        columns.sums = sums;
    }

    /// Per column, what starts anew at its seeds, so that residuals will sum to zero, and what every
    /// vertex receives.
    fn inflow(&self, columns: &mut Columns) -> (Vec<f64>, Vec<f64>) {
        let damping = self.personal.damping;
        let sums = &columns.sums;
        let mut anew = vec![0.0; columns.width];
        let mut share = vec![0.0; columns.width];
        for column in 0..columns.width {
            columns.gamma[column] += sums.moved[column];
            anew[column] = (1.0 - damping) * sums.moved[column];
            let dangling = damping * sums.dangling[column];
            match self.personal.dangling {
                Dangling::Restart => anew[column] += dangling,
                Dangling::Uniform => share[column] = dangling / self.inverse.len() as f64,
                Dangling::SelfLoop => {}
            }
        }
        (anew, share)
    }

    /// Chooses how far each column's next step goes: plainly where it can give the answer.
    fn accelerate(&self, columns: &mut Columns, iteration: u32) {
        if !self.personal.symmetric {
            return;
        }
        let last_next = iteration + 1 >= self.manner.max_iterations;
        for column in 0..columns.answers.len() {
            let outlook = Outlook {
                change: columns.sums.residual[column],
                plain_next: last_next
                    || self.bound(columns, column) <= self.personal.tol
                    || self.is_hopeless(columns, column),
            };
            columns.chebyshev.next(column, outlook);
        }
    }

    /// The error bound of a column after the last step, if that was a plain one.
    fn bound(&self, columns: &Columns, column: usize) -> f64 {
        self.rounding.bound(
            &columns.errors[column],
            columns.sums.residual[column],
            columns.gamma[column],
        )
    }

    /// Whether rounding keeps a column from its tolerance.
    fn is_hopeless(&self, columns: &Columns, column: usize) -> bool {
        self.rounding.is_hopeless(
            &columns.errors[column],
            columns.sums.residual[column],
            columns.gamma[column],
            self.personal.tol,
        )
    }

    /// Takes the answers of sources whose bound is met or cannot be, or, after the last iteration, of
    /// all that are left.
    fn collect<A: Kept>(&self, panels: &Panels<A>, columns: &mut Columns, iteration: u32) {
        let personal = self.personal;
        let last = iteration >= self.manner.max_iterations;
        let mut done = Vec::new();
        for (column, answer) in columns.answers.iter().enumerate() {
            let residual = self.bound(columns, column);
            let enough = residual <= personal.tol || last || self.is_hopeless(columns, column);
            if answer.is_none() && columns.chebyshev.is_plain(column) && enough {
                done.push((column, residual));
            }
        }
        if done.is_empty() {
            return;
        }
        let indices: Vec<usize> = done.iter().map(|&(column, _)| column).collect();
        let limit = self.limit() as usize;
        let place = |index| self.order.place(index);
        let solution = Solution {
            width: columns.width,
            inverse: &self.inverse,
            estimate: &panels.estimate,
            left: &panels.left,
            gamma: &columns.gamma,
        };
        let best = A::best_of_columns(solution, &indices, limit + 1, &place);
        for ((column, mut residual), mut best) in done.into_iter().zip(best) {
            if residual > power_bound::FARTHEST {
                residual = residual.min(power_bound::farthest(solution.norm(column)));
            }
            let reached = columns.reached[column];
            let closed =
                columns.closed[column] && reached <= limit as u64 && reached == best.len() as u64;
            let next = best.get(limit).map_or(0.0, |ranked| ranked.score);
            best.truncate(limit);
            let gap = best.len() == limit && best[limit - 1].score - next > residual;
            columns.answers[column] = Some(Answer {
                best,
                residual,
                proven: closed || gap,
                iterations: iteration,
            });
        }
    }
}

/// A power of two near the largest out-strength, or below it where strengths lie so far apart that
/// scores over the smallest would not fit into bfloat16.
fn unit(strengths: &[f64]) -> f64 {
    let positive = || strengths.iter().copied().filter(|&strength| strength > 0.0);
    let largest = positive().fold(f64::MIN_POSITIVE, f64::max);
    let smallest = positive().fold(largest, f64::min);
    let most = largest.min(smallest * LARGEST_SCALE);
    let mut unit = 1.0;
    while 2.0 * unit <= most {
        unit *= 2.0;
    }
    while unit > most {
        unit /= 2.0;
    }
    unit
}

/// Operations that a term of a step goes through at most: the sums of a row and of its out-strength,
/// those over vertices, those behind the share of a seed, and two dozen products and sums.
fn terms(views: &[SparseBlock<'_>], strengths: &[f64], dangling: Dangling) -> Terms {
    let weighted = |view: &SparseBlock<'_>| view.segments.iter().any(|s| s.values.is_some());
    let mut longest = 0;
    for segment in views.iter().flat_map(|view| &view.segments) {
        for pair in segment.offsets.windows(2) {
            longest = longest.max(pair[1] - pair[0]);
        }
    }
    // Strengths of edges without weights are whole numbers, which f64 holds.
    let column = if views.iter().any(weighted) {
        longest_column(views, strengths.len())
    } else {
        0
    };
    let others = graph::SHARE_ROUNDINGS as usize + 24;
    let row = row_terms(longest as usize) + column as usize + others;
    Terms {
        row,
        column: row + graph::sequential_terms(views),
        returns: dangling != Dangling::SelfLoop && strengths.contains(&0.0),
    }
}

/// Entries of the longest column.
fn longest_column(views: &[SparseBlock<'_>], vertices: usize) -> u32 {
    let mut counts = vec![0u32; vertices];
    for view in views {
        graph::count_columns(view, &mut counts);
    }
    counts.into_iter().max().unwrap_or(0)
}

/// Seeds of a block's sources, by vertex.
fn seed_entries(sources: &Sources, block: &[usize]) -> Vec<SeedEntry> {
    let mut entries: Vec<SeedEntry> = (0..)
        .zip(block)
        .flat_map(|(column, &source)| {
            let seeds = sources.seeds(source).iter();
            seeds.map(move |&(vertex, weight)| SeedEntry {
                vertex,
                column,
                weight,
            })
        })
        .collect();
    entries.sort_by_key(|seed| (seed.vertex, seed.column));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_fits_into_its_numbers() {
        assert_eq!(unit(&[0.0, 3.0, 9.0]), 8.0);
        assert_eq!(unit(&[0.25, 0.3]), 0.25);
        for smallest in [1e-38, 1e-20, 1.0] {
            let unit = unit(&[smallest, 1e30]);
            assert!(unit / smallest <= LARGEST_SCALE && unit <= 1e30);
        }
        assert!(unit(&[0.0]) > 0.0);
    }
}
