//! `power_scores`: personalized PageRank of some sources by power iteration, in blocks of sources.
//!
//! A source whose bound is met gives its place in the block's result at once, so that its answer
//! does not depend on the sources beside it.

use rankmill_common::job::graph::{Dangling, error_bound};
use rankmill_common::matrix::Precision;
use rankmill_common::operator::power_scores::{PersonalScores, PowerScores};
use rankmill_common::{Error, Result};
use rankmill_kernels::SparseBlock;
use rankmill_kernels::graph::{self, Iterate, PowerStep, PowerSums, SeedEntry};

use super::personal::{self, Answer, Sources, Work};
use super::tall_matrix;
use crate::context::TaskContext;
use crate::storage::block;
use crate::storage::order::Order;

/// Columns are handled in groups of so many.
const GROUP: usize = 16;

pub(crate) fn run(context: &TaskContext, operator: &PowerScores) -> Result<PersonalScores> {
    let count = operator.strengths.nrows;
    let order = Order::open(context, operator.personal.order.as_ref(), count)?;
    let sources = Sources::read(context, &operator.personal, &order)?;
    let open = operator
        .blocks
        .iter()
        .map(|reference| block::open(context, operator.format, count, reference))
        .collect::<Result<Vec<_>>>()?;
    let views = open
        .iter()
        .map(|block| block.sparse().map_err(Error::internal))
        .collect::<Result<Vec<_>>>()?;
    if views.iter().map(|view| view.nrows as u64).sum::<u64>() != count {
        return Err(Error::internal("power iteration on a part of a graph"));
    }
    let strengths = tall_matrix::read_column(context, &operator.strengths)?;
    let graph = Graph {
        operator,
        entries: views.iter().map(|view| view.nnz() as u64).sum(),
        longest: longest_row(&views),
        views,
        inverse: graph::inverse_strengths(&strengths),
        order,
    };
    drop(strengths);
    let width = (operator.width as usize).max(GROUP);
    let (mut answers, mut work) = (Vec::with_capacity(sources.len()), Work::default());
    for first in (0..sources.len()).step_by(width) {
        let block = first..sources.len().min(first + width);
        let solved = match operator.precision {
            Precision::Single => graph.solve::<f32>(context, &sources, block, &mut work)?,
            Precision::Double => graph.solve::<f64>(context, &sources, block, &mut work)?,
        };
        answers.extend(solved);
    }
    personal::write(context, &operator.personal, &answers, work)
}

fn longest_row(views: &[SparseBlock<'_>]) -> u64 {
    let rows = views.iter().flat_map(|view| &view.segments);
    let lengths = rows.flat_map(|segment| segment.offsets.windows(2));
    lengths
        .map(|pair| u64::from((pair[1] - pair[0]).unsigned_abs()))
        .max()
        .unwrap_or(0)
}

struct Graph<'a> {
    operator: &'a PowerScores,
    views: Vec<SparseBlock<'a>>,
    inverse: Vec<f64>,
    order: Order,
    entries: u64,
    /// Entries of the longest row.
    longest: u64,
}

/// The sources of a block while they iterate.
struct Columns {
    width: usize,
    answers: Vec<Option<Answer>>,
    /// Σx over dangling vertices.
    dangling: Vec<f64>,
    /// Positive entries of x.
    positive: Vec<u64>,
}

impl Graph<'_> {
    fn solve<T: Iterate>(
        &self,
        context: &TaskContext,
        sources: &Sources,
        block: std::ops::Range<usize>,
        work: &mut Work,
    ) -> Result<Vec<Answer>> {
        let count = self.inverse.len();
        let width = block.len().next_multiple_of(GROUP);
        let seeds = seed_entries(sources, block.clone());
        let mut x = vec![T::default(); count * width];
        let mut columns = Columns {
            width,
            answers: block.map(|_| None).collect(),
            dangling: vec![0.0; width],
            positive: vec![0; width],
        };
        for seed in &seeds {
            let (vertex, column) = (seed.vertex as usize, seed.column as usize);
            x[vertex * width + column] = T::round(seed.weight);
            columns.positive[column] += 1;
            if self.inverse[vertex] == 0.0 {
                columns.dangling[column] += T::round(seed.weight).widen();
            }
        }
        let mut next = vec![T::default(); count * width];
        let mut iteration = 0;
        while columns.answers.iter().any(Option::is_none) {
            context.check_cancelled()?;
            let sums = self.step(&x, &mut next, &columns, &seeds);
            std::mem::swap(&mut x, &mut next);
            iteration += 1;
            work.edges += self.entries;
            let last = iteration >= self.operator.max_iterations;
            self.collect(&x, &sums, &mut columns, last);
        }
        work.iterations = work.iterations.max(iteration);
        Ok(columns.answers.into_iter().flatten().collect())
    }

    fn step<T: Iterate>(
        &self,
        x: &[T],
        next: &mut [T],
        columns: &Columns,
        seeds: &[SeedEntry],
    ) -> PowerSums {
        let personal = &self.operator.personal;
        let (damping, width) = (personal.damping, columns.width);
        let mass = |dangling: &f64| damping * dangling;
        let (mut restart, mut share) = (vec![1.0 - damping; width], vec![0.0; width]);
        match personal.dangling {
            Dangling::Restart => {
                for (restart, dangling) in restart.iter_mut().zip(&columns.dangling) {
                    *restart += mass(dangling);
                }
            }
            Dangling::Uniform => {
                for (share, dangling) in share.iter_mut().zip(&columns.dangling) {
                    *share = mass(dangling) / self.inverse.len() as f64;
                }
            }
            Dangling::SelfLoop => {}
        }
        let step = PowerStep {
            damping,
            width,
            restart: &restart,
            share: &share,
            self_loops: personal.dangling == Dangling::SelfLoop,
            seeds,
            inverse: &self.inverse,
            x,
        };
        let (mut sums, mut first, mut rest) = (PowerSums::new(width), 0, next);
        for view in &self.views {
            let (rows, tail) = rest.split_at_mut(view.nrows * width);
            rest = tail;
            sums.add(&T::power_step(view, first, &step, rows));
            first += view.nrows;
        }
        sums
    }

    /// Takes the answers of sources whose bound is met, or of all that are left.
    fn collect<T: Iterate>(&self, x: &[T], sums: &PowerSums, columns: &mut Columns, last: bool) {
        let personal = &self.operator.personal;
        let rounding = self.rounding();
        let mut done = Vec::new();
        for (column, answer) in columns.answers.iter().enumerate() {
            let residual = error_bound(personal.damping, sums.change[column], rounding);
            if answer.is_none() && (residual <= personal.tol || last) {
                done.push((column, residual));
            }
        }
        if !done.is_empty() {
            let indices: Vec<usize> = done.iter().map(|&(column, _)| column).collect();
            let limit = (personal.top_k as usize).min(self.inverse.len());
            let place = |index| self.order.place(index);
            let best = T::best_of_columns(x, columns.width, &indices, limit + 1, &place);
            for ((column, residual), mut best) in done.into_iter().zip(best) {
                // Walks that reach nothing new in a step never will, unless a score was rounded
                // to zero.
                let closed = sums.positive[column] == columns.positive[column]
                    && sums.positive[column] <= limit as u64
                    && sums.positive[column] == best.len() as u64;
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
        columns.dangling.clone_from(&sums.dangling);
        columns.positive.clone_from(&sums.positive);
    }

    /// A bound of what rounding may do to ‖x‖₁ in a step: of each entry when it is stored, of each
    /// term when it is added, of the dangling mass in chunks.
    fn rounding(&self) -> f64 {
        const CHUNKED_SUM: f64 = 16384.0;
        let stored = match self.operator.precision {
            Precision::Single => f64::from(f32::EPSILON) / 2.0,
            Precision::Double => 0.0,
        };
        stored + (self.longest as f64 + CHUNKED_SUM) * f64::EPSILON / 2.0
    }
}

/// Seeds of a block's sources, by vertex.
fn seed_entries(sources: &Sources, block: std::ops::Range<usize>) -> Vec<SeedEntry> {
    let mut entries: Vec<SeedEntry> = block
        .clone()
        .flat_map(|source| {
            let column = (source - block.start) as u32;
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
