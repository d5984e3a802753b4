//! Personalized PageRank of several sources at once: X ← R + d·PᵀX, pulled along incoming edges.
//!
//! A row of X holds one number per source, so an edge that is followed serves all of them with one
//! or a few cache lines. Iterates are f32 or f64, sums always f64. A column is computed as if it were
//! alone: which sources share a block changes no bit.
//!
//! What is stored are scores times the inverse out-strength of their vertex (as they are where it
//! has no out-edges), so an unweighted edge costs one index and one addition per source. These stored
//! numbers define X: dividing them is exact but for the last bit of f64.
//!
//! Iterates of f32 reach tolerances that f32 cannot hold by refinement: once a column B is near the
//! solution, its residual R = F(B) − B is formed in f64 from the very numbers that are stored, and
//! what is missing is iterated instead, E ← R + d·PᵀE. Each step gathers half the bytes of f64, and
//! rounding is relative to E, which is small. The column's answer is B + E.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::refined::{GroupedRefinement, Refined, cut_refined};
use super::solution::{Solution, best_of_columns};
use super::top::Ranked;
use super::{CHUNK_ROWS, edges, row_chunks, take};
use crate::simd::{LocalColumn, SegmentRows, Weights, prefetch, vectorized};
use crate::sparse::{SegmentVisitor, SparseBlock, visit};
use rayon::prelude::*;

/// Columns of X are handled in groups of so many: a cache line of f32.
pub(super) const GROUP: usize = 16;
/// Most groups.
const MOST_GROUPS: usize = 4;
/// Entries over which one group passes before the next one does.
const STRIP: usize = 128;
/// Entries whose rows are prefetched ahead of the one in use (RMAT 20, 16 columns of f32: 46 ms a
/// step without, 32 ms with it).
const AHEAD: usize = 24;

/// A number that iterates.
pub trait Iterate: Copy + Send + Sync + Default + PartialOrd {
    /// Rounds.
    fn round(value: f64) -> Self;

    /// Widens.
    fn widen(self) -> f64;

    /// One step on the rows of a block whose first vertex is `first`: `next` becomes their next
    /// rows. `refined` has the same rows of a refinement, once a column is refined.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    fn power_step(
        block: &SparseBlock<'_>,
        first: usize,
        step: &PowerStep<'_, Self>,
        next: &mut [Self],
        refined: Option<Refined<'_, Self>>,
    ) -> PowerSums;

    /// The `limit` best entries of some columns of `x`. `place` says where a vertex stands among
    /// the ids.
    fn best_of_columns(
        x: Solution<'_, Self>,
        columns: &[usize],
        limit: usize,
        place: &(dyn Fn(u32) -> u32 + Sync),
    ) -> Vec<Vec<Ranked>>;
}

// Not generic functions: those would be compiled with the crate that calls them.
macro_rules! iterate {
    ($($number:ty),+) => {$(
        impl Iterate for $number {
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
                step: &PowerStep<'_, Self>,
                next: &mut [Self],
                refined: Option<Refined<'_, Self>>,
            ) -> PowerSums {
                power_step(block, first, step, next, refined)
            }

            fn best_of_columns(
                x: Solution<'_, Self>,
                columns: &[usize],
                limit: usize,
                place: &(dyn Fn(u32) -> u32 + Sync),
            ) -> Vec<Vec<Ranked>> {
                best_of_columns(x, columns, limit, place)
            }
        }
    )+};
}

iterate!(f32, f64);

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
pub struct PowerStep<'a, T> {
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// Columns of X, a multiple of 16 and at most 64.
    pub width: usize,
    /// Per column: mass that starts anew at its seeds.
    pub restart: &'a [f64],
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
    /// X of all vertices as it is stored, row-major.
    pub x: &'a [T],
    /// Per column ω, a multiple of F(x) − x₋ that the next x lies from x₋, the x before, which
    /// `next` holds: Chebyshev's semi-iterative method (Golub & Varga 1961). A column of ω = 1
    /// becomes F(x) whatever `next` holds, as all do without any.
    pub omega: Option<&'a [f64]>,
}

/// What a score of a vertex is multiplied by when it is stored.
#[inline(always)]
pub fn stored_scale(inverse: f64) -> f64 {
    if inverse == 0.0 { 1.0 } else { inverse }
}

/// Sums per column over some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerSums {
    /// Σ|next x before rounding − x|.
    pub change: Vec<f64>,
    /// Σ next x over dangling vertices.
    pub dangling: Vec<f64>,
    /// Number of positive entries of the next x before rounding.
    pub positive: Vec<u64>,
}

impl PowerSums {
    /// Zeros.
    pub fn new(width: usize) -> Self {
        Self {
            change: vec![0.0; width],
            dangling: vec![0.0; width],
            positive: vec![0; width],
        }
    }

    /// Adds the rows that follow.
    pub fn add(&mut self, next: &Self) {
        for column in 0..self.change.len() {
            self.change[column] += next.change[column];
            self.dangling[column] += next.dangling[column];
            self.positive[column] += next.positive[column];
        }
    }
}

fn power_step<T: Iterate>(
    block: &SparseBlock<'_>,
    first: usize,
    step: &PowerStep<'_, T>,
    next: &mut [T],
    refined: Option<Refined<'_, T>>,
) -> PowerSums {
    let width = step.width;
    assert!(width.is_multiple_of(GROUP) && width <= GROUP * MOST_GROUPS && width > 0);
    assert_eq!(next.len(), block.nrows * width, "one row per vertex");
    assert_eq!(step.x.len(), block.ncols * width, "one row per vertex");
    let segment = edges(block);
    let ranges = row_chunks(segment.offsets);
    let mut refined = cut_refined(refined, &ranges, width).into_iter();
    let mut rest = next;
    let chunks: Vec<_> = ranges
        .into_iter()
        .map(|rows| {
            let part = take(&mut rest, rows.len() * width);
            (rows, part, refined.next())
        })
        .collect();
    let sums: Vec<PowerSums> = chunks
        .into_par_iter()
        .map(|(rows, next, refined)| {
            let mut sums = PowerSums::new(width);
            let chunk = Chunk {
                step,
                first: first + rows.start,
                next,
                refined,
                sums: &mut sums,
            };
            visit(segment, rows, chunk);
            sums
        })
        .collect();
    let mut total = PowerSums::new(width);
    for part in &sums {
        total.add(part);
    }
    total
}

/// Sums that are added one after the other when the columns of these blocks are summed: rows of a
/// chunk, and chunks. What a worst case of their rounding needs.
pub fn sequential_terms(blocks: &[SparseBlock<'_>]) -> usize {
    let chunks = blocks
        .iter()
        .map(|block| row_chunks(edges(block).offsets).len());
    CHUNK_ROWS + chunks.sum::<usize>() + blocks.len()
}

struct Chunk<'a, T> {
    step: &'a PowerStep<'a, T>,
    /// The first row's vertex.
    first: usize,
    next: &'a mut [T],
    refined: Option<Refined<'a, T>>,
    sums: &'a mut PowerSums,
}

impl<T: Iterate> SegmentVisitor for Chunk<'_, T> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        match self.step.width / GROUP {
            1 => self.run::<C, W, 1>(&rows),
            2 => self.run::<C, W, 2>(&rows),
            3 => self.run::<C, W, 3>(&rows),
            _ => self.run::<C, W, MOST_GROUPS>(&rows),
        }
    }
}

/// Running sums over the rows of a chunk.
struct Running<const N: usize> {
    change: [[f64; GROUP]; N],
    dangling: [[f64; GROUP]; N],
    positive: [[u64; GROUP]; N],
}

impl<T: Iterate> Chunk<'_, T> {
    fn run<C: LocalColumn, W: Weights, const N: usize>(self, rows: &SegmentRows<C, W>) {
        let Self {
            step,
            first,
            next,
            refined,
            sums,
        } = self;
        let x = groups_of::<T, N>(step.x);
        let next = next.as_chunks_mut::<GROUP>().0.as_chunks_mut::<N>().0;
        let mut refined = refined.map(GroupedRefinement::<T, N>::new);
        let share = in_groups::<N>(step.share);
        let omega = step.omega.map(in_groups::<N>);
        let before = step
            .seeds
            .partition_point(|seed| (seed.vertex as usize) < first);
        let mut seeds = &step.seeds[before..];
        let mut running = Running {
            change: [[0.0; GROUP]; N],
            dangling: [[0.0; GROUP]; N],
            positive: [[0; GROUP]; N],
        };
        vectorized(
            #[inline(always)]
            || {
                for (row, next) in next.iter_mut().enumerate() {
                    let vertex = first + row;
                    let (columns, weights) = rows.row(row);
                    let mut sum = gather(columns, weights, rows.ahead(row, AHEAD), x);
                    let scale = stored_scale(step.inverse[vertex]);
                    let previous = unscaled(&x[vertex], 1.0 / scale);
                    let dangles = step.inverse[vertex] == 0.0;
                    for group in 0..N {
                        if dangles && step.self_loops {
                            keep(&mut sum[group], &previous[group], step.unit);
                        }
                        damp(&mut sum[group], step.damping / step.unit, &share[group]);
                    }
                    if seeds
                        .first()
                        .is_some_and(|seed| seed.vertex as usize == vertex)
                    {
                        let anew = restarted::<N>(&mut seeds, step.restart);
                        for group in 0..N {
                            add(&mut sum[group], &anew[group]);
                        }
                    }
                    if let Some(refined) = &mut refined {
                        refined.add(row, &mut sum);
                    }
                    for group in 0..N {
                        let change = &mut running.change[group];
                        add_distance(change, &sum[group], &previous[group]);
                        count_positive(&mut running.positive[group], &sum[group]);
                    }
                    if let Some(refined) = &mut refined {
                        refined.begin(row, (&x[vertex], &previous), &mut sum);
                    }
                    if let Some(omega) = &omega {
                        let before = unscaled(next, 1.0 / scale);
                        for group in 0..N {
                            accelerate(&mut sum[group], &before[group], &omega[group]);
                        }
                    }
                    for group in 0..N {
                        store(&mut next[group], &sum[group], scale);
                        if dangles {
                            add(&mut running.dangling[group], &next[group]);
                        }
                    }
                }
            },
        );
        sums.change.copy_from_slice(running.change.as_flattened());
        sums.dangling
            .copy_from_slice(running.dangling.as_flattened());
        sums.positive
            .copy_from_slice(running.positive.as_flattened());
    }
}

/// What starts anew at the vertex of the first of `seeds`, which are cut off. Out of line: a column
/// that is only known at run time would keep the sums of every row in memory.
#[cold]
#[inline(never)]
fn restarted<const N: usize>(seeds: &mut &[SeedEntry], restart: &[f64]) -> [[f64; GROUP]; N] {
    let mut anew = [[0.0; GROUP]; N];
    let vertex = seeds.first().map(|seed| seed.vertex);
    while let Some((seed, rest)) = seeds.split_first()
        && Some(seed.vertex) == vertex
    {
        let column = seed.column as usize;
        anew.as_flattened_mut()[column] += restart[column] * seed.weight;
        *seeds = rest;
    }
    anew
}

/// Rows of a panel, each in `N` groups.
fn groups_of<T, const N: usize>(panel: &[T]) -> &[[[T; GROUP]; N]] {
    panel.as_chunks::<GROUP>().0.as_chunks::<N>().0
}

/// One row of numbers in `N` groups.
fn in_groups<const N: usize>(row: &[f64]) -> [[f64; GROUP]; N] {
    let mut groups = [[0.0; GROUP]; N];
    groups.as_flattened_mut().copy_from_slice(row);
    groups
}

#[inline(always)]
pub(super) fn add<T: Iterate>(sum: &mut [f64; GROUP], terms: &[T; GROUP]) {
    for lane in 0..GROUP {
        sum[lane] += terms[lane].widen();
    }
}

#[inline(always)]
fn unscaled<T: Iterate, const N: usize>(stored: &[[T; GROUP]; N], unit: f64) -> [[f64; GROUP]; N] {
    let mut x = [[0.0; GROUP]; N];
    for group in 0..N {
        for lane in 0..GROUP {
            x[group][lane] = stored[group][lane].widen() * unit;
        }
    }
    x
}

#[inline(always)]
fn keep(sum: &mut [f64; GROUP], x: &[f64; GROUP], unit: f64) {
    for lane in 0..GROUP {
        sum[lane] += x[lane] * unit;
    }
}

#[inline(always)]
fn damp(sum: &mut [f64; GROUP], damping: f64, share: &[f64; GROUP]) {
    for lane in 0..GROUP {
        sum[lane] = share[lane] + damping * sum[lane];
    }
}

#[inline(always)]
fn accelerate(sum: &mut [f64; GROUP], before: &[f64; GROUP], omega: &[f64; GROUP]) {
    for lane in 0..GROUP {
        let beyond = before[lane] + omega[lane] * (sum[lane] - before[lane]);
        sum[lane] = if omega[lane] == 1.0 {
            sum[lane]
        } else {
            beyond
        };
    }
}

#[inline(always)]
fn add_distance(change: &mut [f64; GROUP], sum: &[f64; GROUP], previous: &[f64; GROUP]) {
    for lane in 0..GROUP {
        change[lane] += (sum[lane] - previous[lane]).abs();
    }
}

#[inline(always)]
fn count_positive(positive: &mut [u64; GROUP], sum: &[f64; GROUP]) {
    for lane in 0..GROUP {
        positive[lane] += u64::from(sum[lane] > 0.0);
    }
}

#[inline(always)]
fn store<T: Iterate>(next: &mut [T; GROUP], sum: &[f64; GROUP], scale: f64) {
    for lane in 0..GROUP {
        next[lane] = T::round(sum[lane] * scale);
    }
}

/// Σ w·y over the entries of a row, for all columns, `ahead` being prefetched: strip by strip, group by group, so that a
/// group's sums stay in registers. Each column is added in the order of the entries.
#[inline(always)]
fn gather<C: LocalColumn, W: Weights, T: Iterate, const N: usize>(
    columns: &[C],
    weights: W,
    ahead: &[C],
    y: &[[[T; GROUP]; N]],
) -> [[f64; GROUP]; N] {
    let mut sums = [[0.0; GROUP]; N];
    for (strip, columns) in columns.chunks(STRIP).enumerate() {
        let ahead = ahead.get(STRIP * strip..).unwrap_or_default();
        for (group, total) in sums.iter_mut().enumerate() {
            let mut sum = *total;
            for (k, column) in columns.iter().enumerate() {
                if let Some(column) = ahead.get(k) {
                    prefetch(&y[column.index()][group]);
                }
                let (weight, y) = (
                    f64::from(weights.at(STRIP * strip + k)),
                    &y[column.index()][group],
                );
                for lane in 0..GROUP {
                    sum[lane] += weight * y[lane].widen();
                }
            }
            *total = sum;
        }
    }
    sums
}
