//! Personalized PageRank of several sources at once: power iteration that moves residuals, pulled
//! along incoming edges.
//!
//! Scores are the solution of x = (1−d)·s + d·Pᵀx. An estimate p of γ·x leaves the residual
//! r = γ(1−d)·s − (I − d·Pᵀ)p, and p/γ is within ‖r‖₁/(γ(1−d)) of x. Adding any increment e to p
//! makes r − e + d·Pᵀe of r. With e = r that is power iteration, pushing all residuals at once (Wu
//! et al., SIGMOD 2021, §4). Here e is r rounded to bfloat16, and what rounding leaves stays in r for
//! the next step: no digit is lost, and what is gathered along edges, which is what a step costs,
//! takes two bytes a source. A row of e has the numbers of up to 32 sources in one cache line.
//!
//! Of the sum of r, a step leaves d, where it leaves far less of the rest. Power iteration from a
//! start of mass one has Σr = 0; rounding breaks that by little. So γ is chosen anew in each step
//! (by mass (1−d)·Σe that starts anew at the seeds) such that Σr = 0.
//!
//! What is stored of p, e and r are scores times the inverse out-strength of their vertex (as they
//! are where it has no out-edges), so an unweighted edge costs one index and one addition per source.
//! A column is computed as if it were alone: which sources share a block changes no bit.

use super::power_rows::{Chunk, shortened, widened};
use super::solution::{Solution, best_of_columns};
use super::top::Ranked;
use super::{edges, row_chunks, take};
use crate::sparse::{SparseBlock, visit};
use rayon::prelude::*;
use std::ops::Range;

/// Columns are handled in groups of so many.
pub(super) const GROUP: usize = 16;
/// Entries of a row that are summed before their sum is added to that of the row: short sums of
/// short sums, for their rounding.
pub(super) const STRIP: usize = 128;
/// The largest relative error of a number that is rounded to bfloat16, by way of f32.
pub const INCREMENT_ROUNDOFF: f64 = 1.0 / 256.0;

/// A number of which residuals and estimates are kept.
pub trait Kept: Copy + Send + Sync + Default + PartialEq {
    /// Rounds.
    fn round(value: f64) -> Self;

    /// Widens.
    fn widen(self) -> f64;

    /// One step on the rows of a block whose first vertex is `first`.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    fn power_step(
        block: &SparseBlock<'_>,
        first: usize,
        step: &PowerStep<'_>,
        rows: PowerRows<'_, Self>,
    ) -> PowerSums;

    /// The `limit` best entries of some columns of a solution. `place` says where a vertex stands
    /// among the ids.
    fn best_of_columns(
        solution: Solution<'_, Self>,
        columns: &[usize],
        limit: usize,
        place: &(dyn Fn(u32) -> u32 + Sync),
    ) -> Vec<Vec<Ranked>>;
}

// Not generic functions: those would be compiled with the crate that calls them.
macro_rules! kept {
    ($($number:ty),+) => {$(
        impl Kept for $number {
            #[inline(always)]
            fn round(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }

            fn power_step(
                block: &SparseBlock<'_>,
                first: usize,
                step: &PowerStep<'_>,
                rows: PowerRows<'_, Self>,
            ) -> PowerSums {
                power_step(block, first, step, rows)
            }

            fn best_of_columns(
                solution: Solution<'_, Self>,
                columns: &[usize],
                limit: usize,
                place: &(dyn Fn(u32) -> u32 + Sync),
            ) -> Vec<Vec<Ranked>> {
                best_of_columns(solution, columns, limit, place)
            }
        }
    )+};
}

kept!(f32, f64);

/// A vertex at which walks of a column start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedEntry {
    /// The vertex.
    pub vertex: u32,
    /// The column.
    pub column: u32,
    /// Share of the column's walks.
    pub weight: f64,
}

/// What a step needs besides the rows.
#[derive(Clone, Copy, Debug)]
pub struct PowerStep<'a> {
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// Columns: 16 or 32.
    pub width: usize,
    /// Per column: mass that starts anew at its seeds, what dangling vertices send there included.
    pub anew: &'a [f64],
    /// Per column: what every vertex receives.
    pub share: &'a [f64],
    /// Whether dangling vertices keep their mass.
    pub self_loops: bool,
    /// Seeds of all columns, by vertex.
    pub seeds: &'a [SeedEntry],
    /// Inverse out-strengths of all vertices, times `unit`; zero where there are no out-edges.
    pub inverse: &'a [f64],
    /// A power of two that keeps what is stored within the range of its type.
    pub unit: f64,
    /// The increments e that the last step made, of all vertices: bits of bfloat16, n × width,
    /// row-major.
    pub moved: &'a [u16],
    /// Whether vertices are counted.
    pub count: bool,
    /// Per column ω: the next increment is ω·r + (ω−1)·e, Chebyshev's semi-iterative method (Golub
    /// & Varga 1961) in terms of increments. Without any, and where ω = 1, it is r.
    pub omega: Option<&'a [f64]>,
}

/// What a step changes: some rows.
#[derive(Debug)]
pub struct PowerRows<'a, A> {
    /// Becomes the next increments, as in [`PowerStep::moved`].
    pub next: &'a mut [u16],
    /// r − e: what the last increments left of the residuals; becomes what the next ones leave.
    pub left: &'a mut [A],
    /// p with the last increments; receives the next ones.
    pub estimate: &'a mut [A],
}

impl<'a, A> PowerRows<'a, A> {
    /// Cuts the first `rows` rows off.
    pub fn take(&mut self, rows: usize, width: usize) -> PowerRows<'a, A> {
        PowerRows {
            next: take(&mut self.next, rows * width),
            left: take(&mut self.left, rows * width),
            estimate: take(&mut self.estimate, rows * width),
        }
    }
}

/// What a score of a vertex is multiplied by when it is stored.
#[inline(always)]
pub fn stored_scale(inverse: f64) -> f64 {
    if inverse == 0.0 { 1.0 } else { inverse }
}

/// Sums per column over some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerSums {
    /// Σ|r|, before the next increments.
    pub residual: Vec<f64>,
    /// Σ of the next increments.
    pub moved: Vec<f64>,
    /// … over dangling vertices.
    pub dangling: Vec<f64>,
    /// Vertices with an estimate, where they are counted.
    pub reached: Vec<u64>,
    /// Vertices with a residual but no estimate: it is too small for bfloat16 and reaches nobody.
    pub waiting: Vec<u64>,
}

impl PowerSums {
    /// Zeros.
    pub fn new(width: usize) -> Self {
        Self {
            residual: vec![0.0; width],
            moved: vec![0.0; width],
            dangling: vec![0.0; width],
            reached: vec![0; width],
            waiting: vec![0; width],
        }
    }

    /// Adds the rows that follow.
    pub fn add(&mut self, next: &Self) {
        for column in 0..self.residual.len() {
            self.residual[column] += next.residual[column];
            self.moved[column] += next.moved[column];
            self.dangling[column] += next.dangling[column];
            self.reached[column] += next.reached[column];
            self.waiting[column] += next.waiting[column];
        }
    }
}

/// Puts all mass at the seeds: `rows` are those of all vertices, zeros, and their `next` becomes the
/// `moved` of the first step. γ is zero as yet: all that the residual lacks is mass that starts anew.
pub fn place_seeds<A: Kept>(
    seeds: &[SeedEntry],
    inverse: &[f64],
    width: usize,
    rows: PowerRows<'_, A>,
) -> PowerSums {
    let mut sums = PowerSums::new(width);
    for seed in seeds {
        let (vertex, column) = (seed.vertex as usize, seed.column as usize);
        let scale = stored_scale(inverse[vertex]);
        let place = vertex * width + column;
        rows.next[place] = shortened(seed.weight * scale);
        let increment = widened(rows.next[place]);
        rows.estimate[place] = A::round(increment);
        rows.left[place] = A::round(-increment);
        sums.moved[column] += increment / scale;
        sums.reached[column] += 1;
        if inverse[vertex] == 0.0 {
            sums.dangling[column] += increment;
        }
    }
    sums
}

fn power_step<A: Kept>(
    block: &SparseBlock<'_>,
    first: usize,
    step: &PowerStep<'_>,
    mut rows: PowerRows<'_, A>,
) -> PowerSums {
    let width = step.width;
    assert!(width == GROUP || width == 2 * GROUP, "{width} columns");
    assert_eq!(rows.left.len(), block.nrows * width, "one row per vertex");
    assert_eq!(step.moved.len(), block.ncols * width, "one row per vertex");
    let segment = edges(block);
    let chunks: Vec<(Range<usize>, PowerRows<'_, A>)> = row_chunks(segment.offsets)
        .into_iter()
        .map(|range| {
            let part = rows.take(range.len(), width);
            (range, part)
        })
        .collect();
    let sums: Vec<PowerSums> = chunks
        .into_par_iter()
        .map(|(range, rows)| {
            let mut sums = PowerSums::new(width);
            let chunk = Chunk {
                step,
                first: first + range.start,
                rows,
                sums: &mut sums,
            };
            visit(segment, range, chunk);
            sums
        })
        .collect();
    let mut total = PowerSums::new(width);
    for part in &sums {
        total.add(part);
    }
    total
}

/// Additions that a term of the sum of a row of so many entries goes through.
pub fn row_terms(entries: usize) -> usize {
    entries.min(STRIP) + entries.div_ceil(STRIP)
}

/// Sums that are added one after the other when the columns of these blocks are summed: rows of a
/// chunk, and chunks. What a worst case of their rounding needs.
pub fn sequential_terms(blocks: &[SparseBlock<'_>]) -> usize {
    let (mut longest, mut chunks) = (0, 0);
    for rows in blocks
        .iter()
        .flat_map(|block| row_chunks(edges(block).offsets))
    {
        longest = longest.max(rows.len());
        chunks += 1;
    }
    longest + chunks + blocks.len()
}
