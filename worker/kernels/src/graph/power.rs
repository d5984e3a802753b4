//! Personalized PageRank of several sources at once: X ← R + d·PᵀX, pulled along incoming edges.
//!
//! A row of X holds one number per source, so an edge that is followed serves all of them with one
//! or a few cache lines. Iterates are f32 or f64, sums always f64. A column is computed as if it were
//! alone: which sources share a block changes no bit.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::top::{Ranked, Top};
use super::{edges, row_chunks, take};
use crate::simd::{LocalColumn, SegmentRows, Weights, vectorized};
use crate::sparse::{SegmentVisitor, SparseBlock, visit};
use rayon::prelude::*;

/// Columns of X are handled in groups of so many: a cache line of f32.
const GROUP: usize = 16;
/// Most groups.
const MOST_GROUPS: usize = 4;
/// Entries whose values are at hand while the groups pass over them.
const STRIP: usize = 128;
/// Rows in which one task looks for the best scores.
const TOP_ROWS: usize = 1 << 15;

/// A number that iterates.
pub trait Iterate: Copy + Send + Sync + Default + PartialOrd {
    /// Rounds.
    fn round(value: f64) -> Self;

    /// Widens.
    fn widen(self) -> f64;

    /// One step on the rows of a block whose first vertex is `first`: `next` becomes their next
    /// rows.
    ///
    /// # Panics
    /// If the shapes do not fit together.
    fn power_step(
        block: &SparseBlock<'_>,
        first: usize,
        step: &PowerStep<'_, Self>,
        next: &mut [Self],
    ) -> PowerSums;

    /// The `limit` best entries of some columns of X (n × `width`). `place` says where a vertex
    /// stands among the ids.
    fn best_of_columns(
        x: &[Self],
        width: usize,
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
            ) -> PowerSums {
                power_step(block, first, step, next)
            }

            fn best_of_columns(
                x: &[Self],
                width: usize,
                columns: &[usize],
                limit: usize,
                place: &(dyn Fn(u32) -> u32 + Sync),
            ) -> Vec<Vec<Ranked>> {
                best_of_columns(x, width, columns, limit, place)
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
    /// Inverse out-strengths of all vertices; zero where there are no out-edges.
    pub inverse: &'a [f64],
    /// X of all vertices, row-major.
    pub x: &'a [T],
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
) -> PowerSums {
    let width = step.width;
    assert!(width.is_multiple_of(GROUP) && width <= GROUP * MOST_GROUPS && width > 0);
    assert_eq!(next.len(), block.nrows * width, "one row per vertex");
    assert_eq!(step.x.len(), block.ncols * width, "one row per vertex");
    let segment = edges(block);
    let mut rest = next;
    let chunks: Vec<_> = row_chunks(segment.offsets)
        .into_iter()
        .map(|rows| {
            let part = take(&mut rest, rows.len() * width);
            (rows, part)
        })
        .collect();
    let sums: Vec<PowerSums> = chunks
        .into_par_iter()
        .map(|(rows, next)| {
            let mut sums = PowerSums::new(width);
            let chunk = Chunk {
                step,
                first: first + rows.start,
                next,
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

struct Chunk<'a, T> {
    step: &'a PowerStep<'a, T>,
    /// The first row's vertex.
    first: usize,
    next: &'a mut [T],
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

impl<T: Iterate> Chunk<'_, T> {
    fn run<C: LocalColumn, W: Weights, const N: usize>(self, rows: &SegmentRows<C, W>) {
        let Self {
            step,
            first,
            next,
            sums,
        } = self;
        let x = groups_of::<T, N>(step.x);
        let next = next.as_chunks_mut::<GROUP>().0.as_chunks_mut::<N>().0;
        let share = in_groups::<N>(step.share);
        let mut seeds = step
            .seeds
            .partition_point(|seed| (seed.vertex as usize) < first);
        let mut change = [[0.0; GROUP]; N];
        let mut dangling = [[0.0; GROUP]; N];
        let mut positive = [[0u64; GROUP]; N];
        vectorized(
            #[inline(always)]
            || {
                for (row, next) in next.iter_mut().enumerate() {
                    let vertex = first + row;
                    let (columns, weights) = rows.row(row);
                    let mut sum = gather(columns, weights, step.inverse, x);
                    let previous = &x[vertex];
                    let dangles = step.inverse[vertex] == 0.0;
                    for group in 0..N {
                        if dangles && step.self_loops {
                            add(&mut sum[group], &previous[group]);
                        }
                        scale(&mut sum[group], step.damping, &share[group]);
                    }
                    while let Some(seed) = step.seeds.get(seeds)
                        && seed.vertex as usize == vertex
                    {
                        let column = seed.column as usize;
                        sum.as_flattened_mut()[column] += step.restart[column] * seed.weight;
                        seeds += 1;
                    }
                    for group in 0..N {
                        add_distance(&mut change[group], &sum[group], &previous[group]);
                        store(&mut next[group], &sum[group], &mut positive[group]);
                        if dangles {
                            add(&mut dangling[group], &next[group]);
                        }
                    }
                }
            },
        );
        sums.change.copy_from_slice(change.as_flattened());
        sums.dangling.copy_from_slice(dangling.as_flattened());
        sums.positive.copy_from_slice(positive.as_flattened());
    }
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
fn add<T: Iterate>(sum: &mut [f64; GROUP], terms: &[T; GROUP]) {
    for lane in 0..GROUP {
        sum[lane] += terms[lane].widen();
    }
}

#[inline(always)]
fn scale(sum: &mut [f64; GROUP], damping: f64, share: &[f64; GROUP]) {
    for lane in 0..GROUP {
        sum[lane] = share[lane] + damping * sum[lane];
    }
}

#[inline(always)]
fn add_distance<T: Iterate>(change: &mut [f64; GROUP], sum: &[f64; GROUP], previous: &[T; GROUP]) {
    for lane in 0..GROUP {
        change[lane] += (sum[lane] - previous[lane].widen()).abs();
    }
}

#[inline(always)]
fn store<T: Iterate>(next: &mut [T; GROUP], sum: &[f64; GROUP], positive: &mut [u64; GROUP]) {
    for lane in 0..GROUP {
        next[lane] = T::round(sum[lane]);
        positive[lane] += u64::from(sum[lane] > 0.0);
    }
}

/// Σ w/s·x over the entries of a row, for all columns: strip by strip, group by group, so that a
/// group's sums stay in registers.
#[inline(always)]
fn gather<C: LocalColumn, W: Weights, T: Iterate, const N: usize>(
    columns: &[C],
    weights: W,
    inverse: &[f64],
    x: &[[[T; GROUP]; N]],
) -> [[f64; GROUP]; N] {
    let mut sums = [[0.0; GROUP]; N];
    let mut values = [0.0; STRIP];
    for (strip, columns) in columns.chunks(STRIP).enumerate() {
        for (k, (value, column)) in values.iter_mut().zip(columns).enumerate() {
            *value = f64::from(weights.at(STRIP * strip + k)) * inverse[column.index()];
        }
        for (group, total) in sums.iter_mut().enumerate() {
            let mut sum = *total;
            for (k, column) in columns.iter().enumerate() {
                let (value, x) = (values[k], &x[column.index()][group]);
                for lane in 0..GROUP {
                    sum[lane] += value * x[lane].widen();
                }
            }
            *total = sum;
        }
    }
    sums
}

fn best_of_columns<T: Iterate>(
    x: &[T],
    width: usize,
    columns: &[usize],
    limit: usize,
    place: &(dyn Fn(u32) -> u32 + Sync),
) -> Vec<Vec<Ranked>> {
    let chunks: Vec<Vec<Top>> = x
        .par_chunks(TOP_ROWS * width)
        .enumerate()
        .map(|(chunk, rows)| {
            let mut tops = vec![Top::new(limit); columns.len()];
            let mut thresholds = vec![0.0; columns.len()];
            for (row, x) in rows.chunks_exact(width).enumerate() {
                let index = (chunk * TOP_ROWS + row) as u32;
                for (slot, &column) in columns.iter().enumerate() {
                    let score = x[column].widen();
                    if score > 0.0 && score >= thresholds[slot] {
                        let place = place(index);
                        tops[slot].offer(Ranked {
                            index,
                            place,
                            score,
                        });
                        thresholds[slot] = tops[slot].threshold();
                    }
                }
            }
            tops
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
