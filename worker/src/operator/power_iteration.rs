//! Power iteration of some sources in blocks, on a graph of incoming edges that a task holds.
//!
//! A source whose bound is met gives its place in the block's result at once, so that its answer
//! does not depend on the sources beside it.

use rankmill_common::Result;
use rankmill_common::job::graph::{Dangling, error_bound};
use rankmill_common::operator::power_scores::{Iteration, Personal, refine_at};
use rankmill_kernels::SparseBlock;
use rankmill_kernels::graph::{
    self, Iterate, PowerStep, PowerSums, Refined, SeedEntry, Solution, stored_scale,
};

use super::chebyshev::{Chebyshev, Outlook};
use super::personal::{Answer, Sources, Work};
use crate::context::TaskContext;
use crate::storage::order::Order;

/// Columns are handled in groups of so many.
const GROUP: usize = 16;
/// Unit roundoff of f64 and of f32.
const ROUNDOFF: f64 = f64::EPSILON / 2.0;
const SINGLE_ROUNDOFF: f64 = f32::EPSILON as f64 / 2.0;
/// Out-strengths whose ratio exceeds this do not fit into the range of f32.
const SINGLE_RANGE: f64 = 1e30;

/// How sources iterate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Sources side by side.
    pub(super) width: u32,
    /// The numbers that iterate.
    pub(super) iteration: Iteration,
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
    /// Roundings that a term of a step goes through at most, in f64.
    terms: f64,
}

/// The sources of a block while they iterate.
struct Columns {
    width: usize,
    answers: Vec<Option<Answer>>,
    /// Σx over dangling vertices.
    dangling: Vec<f64>,
    /// Positive entries of x before it was refined.
    positive: Vec<u64>,
    /// Whether all that walks can reach has been reached.
    closed: Vec<bool>,
    /// ‖R‖₁ of refined columns.
    residual: Vec<Option<f64>>,
    /// Columns that the next step refines.
    now: Vec<bool>,
    chebyshev: Chebyshev,
}

/// What a block of sources holds: X, the next X, and B and R once a column is refined.
struct Panels<T> {
    x: Vec<T>,
    next: Vec<T>,
    refined: Option<(Vec<T>, Vec<T>)>,
}

impl<'a> Power<'a> {
    /// Looks at the graph whose incoming edges `views` hold.
    pub(super) fn new(
        personal: &'a Personal,
        order: &'a Order,
        views: &'a [SparseBlock<'a>],
        strengths: &[f64],
        mut manner: Manner,
    ) -> Self {
        let positive = || strengths.iter().copied().filter(|&strength| strength > 0.0);
        let largest = positive().fold(f64::MIN_POSITIVE, f64::max);
        if largest / positive().fold(largest, f64::min) > SINGLE_RANGE {
            // Wider numbers, in the same memory where that is possible.
            manner.iteration = Iteration::Double;
            manner.width = (manner.width / 2).next_multiple_of(GROUP as u32);
        }
        let mut unit = 1.0;
        while 2.0 * unit <= largest {
            unit *= 2.0;
        }
        while unit > largest {
            unit /= 2.0;
        }
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
            terms: roundings(views, strengths.len()),
            views,
        }
    }

    /// The answers of `chosen` sources, in their order.
    pub(super) fn answers(
        &self,
        context: &TaskContext,
        sources: &Sources,
        chosen: &[usize],
        work: &mut Work,
    ) -> Result<Vec<Answer>> {
        let width = (self.manner.width as usize).max(GROUP);
        let mut answers = Vec::with_capacity(chosen.len());
        for block in chosen.chunks(width) {
            let solved = match self.manner.iteration {
                Iteration::Single | Iteration::Refined => {
                    self.solve::<f32>(context, sources, block, work)?
                }
                Iteration::Double => self.solve::<f64>(context, sources, block, work)?,
            };
            answers.extend(solved);
        }
        Ok(answers)
    }

    fn solve<T: Iterate>(
        &self,
        context: &TaskContext,
        sources: &Sources,
        block: &[usize],
        work: &mut Work,
    ) -> Result<Vec<Answer>> {
        let seeds = seed_entries(sources, block);
        let (mut columns, mut panels) = self.start::<T>(&seeds, block.len());
        let mut iteration = 0;
        while columns.answers.iter().any(Option::is_none) {
            context.check_cancelled()?;
            let sums = self.step(&mut panels, &columns, &seeds);
            std::mem::swap(&mut panels.x, &mut panels.next);
            iteration += 1;
            work.edges += self.entries;
            let last = iteration >= self.manner.max_iterations;
            self.note_refined(&sums, &mut columns);
            self.collect(&panels, &sums, &mut columns, last);
            self.refine(&sums, &mut columns, &mut panels);
            self.accelerate(&sums, &mut columns, iteration);
        }
        work.iterations = work.iterations.max(iteration);
        Ok(columns.answers.into_iter().flatten().collect())
    }

    /// All mass at the seeds.
    fn start<T: Iterate>(&self, seeds: &[SeedEntry], count: usize) -> (Columns, Panels<T>) {
        let width = count.next_multiple_of(GROUP);
        let len = self.inverse.len() * width;
        let mut panels = Panels {
            x: vec![T::default(); len],
            next: vec![T::default(); len],
            refined: None,
        };
        let mut columns = Columns {
            width,
            answers: (0..count).map(|_| None).collect(),
            dangling: vec![0.0; width],
            positive: vec![0; width],
            closed: vec![false; width],
            residual: vec![None; width],
            now: vec![false; width],
            chebyshev: Chebyshev::new(self.personal.damping, width),
        };
        for seed in seeds {
            let (vertex, column) = (seed.vertex as usize, seed.column as usize);
            let stored = T::round(seed.weight * stored_scale(self.inverse[vertex]));
            panels.x[vertex * width + column] = stored;
            columns.positive[column] += 1;
            if self.inverse[vertex] == 0.0 {
                columns.dangling[column] += stored.widen();
            }
        }
        (columns, panels)
    }

    fn step<T: Iterate>(
        &self,
        panels: &mut Panels<T>,
        columns: &Columns,
        seeds: &[SeedEntry],
    ) -> PowerSums {
        let width = columns.width;
        let (restart, share) = self.inflow(columns);
        let step = PowerStep {
            damping: self.personal.damping,
            width,
            restart: &restart,
            share: &share,
            self_loops: self.personal.dangling == Dangling::SelfLoop,
            seeds,
            inverse: &self.inverse,
            unit: self.unit,
            x: &panels.x,
            omega: columns.chebyshev.omega(),
        };
        let (mut sums, mut first) = (PowerSums::new(width), 0);
        for view in self.views {
            let rows = first * width..(first + view.nrows) * width;
            let refined = panels.refined.as_mut().map(|(base, residual)| Refined {
                base: &mut base[rows.clone()],
                residual: &mut residual[rows.clone()],
                now: &columns.now,
            });
            let part = T::power_step(view, first, &step, &mut panels.next[rows], refined);
            sums.add(&part);
            first += view.nrows;
        }
        sums
    }

    /// Per column, what seeds receive besides what flows along edges, and what every vertex does.
    /// Nothing starts anew in a refined column: its residual is added instead.
    fn inflow(&self, columns: &Columns) -> (Vec<f64>, Vec<f64>) {
        let damping = self.personal.damping;
        let mut restart: Vec<f64> = columns
            .residual
            .iter()
            .map(|refined| refined.map_or(1.0 - damping, |_| 0.0))
            .collect();
        let mut share = vec![0.0; columns.width];
        for (column, dangling) in columns.dangling.iter().enumerate() {
            match self.personal.dangling {
                Dangling::Restart => restart[column] += damping * dangling,
                Dangling::Uniform => {
                    share[column] = damping * dangling / self.inverse.len() as f64;
                }
                Dangling::SelfLoop => {}
            }
        }
        (restart, share)
    }

    /// Notes what the last step reached, and which columns it refined.
    #[allow(clippy::unused_self, reason = "it reads as a part of the iteration")]
    fn note_refined(&self, sums: &PowerSums, columns: &mut Columns) {
        for column in 0..columns.width {
            let plain = columns.chebyshev.never_changed_over(column);
            if plain && columns.residual[column].is_none() {
                let reached = columns.positive[column] == sums.positive[column];
                columns.closed[column] = reached;
                columns.positive[column] = sums.positive[column];
            }
            if columns.now[column] {
                columns.residual[column] = Some(sums.change[column]);
                columns.now[column] = false;
            }
        }
    }

    /// Chooses the columns that the next step refines.
    fn refine<T: Iterate>(&self, sums: &PowerSums, columns: &mut Columns, panels: &mut Panels<T>) {
        columns.dangling.clone_from(&sums.dangling);
        if self.manner.iteration != Iteration::Refined {
            return;
        }
        for column in 0..columns.answers.len() {
            columns.now[column] = columns.residual[column].is_none()
                && sums.change[column] <= refine_at(self.personal.damping);
        }
        if panels.refined.is_none() && columns.now.contains(&true) {
            let zeros = || vec![T::default(); panels.x.len()];
            panels.refined = Some((zeros(), zeros()));
        }
    }

    /// Chooses how far each column's next step goes: plainly where it can give the answer, or start
    /// anew on what is missing.
    fn accelerate(&self, sums: &PowerSums, columns: &mut Columns, iteration: u32) {
        if !self.personal.symmetric {
            return;
        }
        let limit = (self.personal.top_k as usize).min(self.inverse.len()) as u64;
        let last_next = iteration + 1 >= self.manner.max_iterations;
        for column in 0..columns.answers.len() {
            let outlook = Outlook {
                change: sums.change[column],
                // Only plain steps tell whether all that walks reach has been reached.
                may_change_over: columns.closed[column] || columns.positive[column] > limit,
                plain_next: last_next
                    || columns.now[column]
                    || self.bound(sums, columns, column) <= self.personal.tol,
            };
            columns.chebyshev.next(column, outlook);
        }
    }

    /// The error bound of a column after the step that left `sums`, if that was a plain one.
    fn bound(&self, sums: &PowerSums, columns: &Columns, column: usize) -> f64 {
        // The sum of changes is rounded as well.
        let change = sums.change[column] * (1.0 + self.terms * ROUNDOFF);
        let rounding = self.rounding(columns.residual[column], change);
        error_bound(self.personal.damping, change, rounding)
    }

    /// Takes the answers of sources whose bound is met, or of all that are left.
    fn collect<T: Iterate>(
        &self,
        panels: &Panels<T>,
        sums: &PowerSums,
        columns: &mut Columns,
        last: bool,
    ) {
        let personal = self.personal;
        let mut done = Vec::new();
        for (column, answer) in columns.answers.iter().enumerate() {
            let residual = self.bound(sums, columns, column);
            let plain = columns.chebyshev.is_plain(column);
            if answer.is_none() && plain && (residual <= personal.tol || last) {
                done.push((column, residual));
            }
        }
        if done.is_empty() {
            return;
        }
        let indices: Vec<usize> = done.iter().map(|&(column, _)| column).collect();
        let limit = (personal.top_k as usize).min(self.inverse.len());
        let place = |index| self.order.place(index);
        let solution = Solution {
            width: columns.width,
            inverse: &self.inverse,
            x: &panels.x,
            base: panels.refined.as_ref().map(|(base, _)| base.as_slice()),
        };
        let best = T::best_of_columns(solution, &indices, limit + 1, &place);
        for ((column, residual), mut best) in done.into_iter().zip(best) {
            // Walks that reach nothing new in a step never will, unless a score was rounded to
            // zero.
            let positive = columns.positive[column];
            let closed =
                columns.closed[column] && positive <= limit as u64 && positive == best.len() as u64;
            let next = best.get(limit).map_or(0.0, |ranked| ranked.score);
            best.truncate(limit);
            let gap = best.len() == limit && best[limit - 1].score - next > residual;
            columns.answers[column] = Some(Answer {
                best,
                residual,
                proven: closed || gap,
            });
        }
    }

    /// A bound of what rounding does to ‖x‖₁ in a step, whatever the numbers.
    ///
    /// Sums of m terms are off by γ_m = m·u/(1−m·u) of the sum of their sizes at most (Higham 2002,
    /// §4.2), in any order; `terms` counts every operation that a term goes through. Sizes sum to
    /// one for scores, to ‖R‖/(1−d) at most for what is missing; both are off by what is still to
    /// come, `change`/(1−d). Each number is rounded once when it is stored.
    fn rounding(&self, refined: Option<f64>, change: f64) -> f64 {
        let leak = 1.0 - self.personal.damping;
        let size = 1.0 + change / leak;
        let wide = self.terms * ROUNDOFF / (1.0 - self.terms * ROUNDOFF);
        match (self.manner.iteration, refined) {
            (Iteration::Double, _) => size * (wide + ROUNDOFF),
            (Iteration::Single | Iteration::Refined, None) => size * (wide + SINGLE_ROUNDOFF),
            (Iteration::Single | Iteration::Refined, Some(residual)) => {
                let missing = (residual + change) / leak * (1.0 + 1e-6);
                SINGLE_ROUNDOFF * (residual + missing) + wide * (1.0 + missing)
            }
        }
    }
}

/// Operations that a term of a step goes through at most: the sums of a row, of its out-strength,
/// and of dangling mass, and a dozen products.
fn roundings(views: &[SparseBlock<'_>], vertices: usize) -> f64 {
    let weighted = |view: &SparseBlock<'_>| view.segments.iter().any(|s| s.values.is_some());
    let mut longest = 0;
    for segment in views.iter().flat_map(|view| &view.segments) {
        for pair in segment.offsets.windows(2) {
            longest = longest.max(pair[1] - pair[0]);
        }
    }
    // Strengths of edges without weights are whole numbers, which f64 holds.
    let strengths = if views.iter().any(weighted) {
        longest_column(views, vertices)
    } else {
        0
    };
    let sums = f64::from(longest) + f64::from(strengths);
    sums + graph::sequential_terms(views) as f64 + 12.0
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
