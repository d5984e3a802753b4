//! Personalized PageRank of several sources at once: X ← R + d·PᵀX, pulled along incoming edges.
//!
//! A row of X holds one number per source, so an edge that is followed serves all of them with one
//! or a few cache lines. Iterates are f32 or f64, sums always f64. A column is computed as if it were
//! alone: which sources share a block changes no bit.

use super::top::{Ranked, Top};
use super::{edges, row_chunks, take};
use crate::simd::{LocalColumn, SegmentRows, Weights, vectorized};
use crate::sparse::{SegmentVisitor, SparseBlock, visit};
use rayon::prelude::*;

/// Columns of X are handled in groups of so many.
const GROUP: usize = 8;
/// Most groups.
const MOST_GROUPS: usize = 8;
/// Rows in which one task looks for the best scores.
const TOP_ROWS: usize = 1 << 15;

/// A number that iterates.
pub trait Iterate: Copy + Send + Sync + Default + PartialOrd {
    /// Rounds.
    fn round(value: f64) -> Self;
    /// Widens.
    fn widen(self) -> f64;
}

impl Iterate for f32 {
    #[inline(always)]
    fn round(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Iterate for f64 {
    #[inline(always)]
    fn round(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

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
    /// Columns of X, a multiple of 8 and at most 64.
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
    /// Number of positive entries of the next x.
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

/// One step on the rows of a block whose first vertex is `first`: `next` becomes their next rows.
///
/// # Panics
/// If the shapes do not fit together.
pub fn power_step<T: Iterate>(
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
            4 => self.run::<C, W, 4>(&rows),
            5 => self.run::<C, W, 5>(&rows),
            6 => self.run::<C, W, 6>(&rows),
            7 => self.run::<C, W, 7>(&rows),
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
                    if dangles && step.self_loops {
                        for_each(&mut sum, |sum, group, lane| {
                            *sum += previous[group][lane].widen();
                        });
                    }
                    for_each(&mut sum, |sum, group, lane| {
                        *sum = share[group][lane] + step.damping * *sum;
                    });
                    while let Some(seed) = step.seeds.get(seeds)
                        && seed.vertex as usize == vertex
                    {
                        let column = seed.column as usize;
                        sum.as_flattened_mut()[column] += step.restart[column] * seed.weight;
                        seeds += 1;
                    }
                    for_each(&mut change, |change, group, lane| {
                        *change += (sum[group][lane] - previous[group][lane].widen()).abs();
                    });
                    for_each(next, |next, group, lane| *next = T::round(sum[group][lane]));
                    for_each(&mut positive, |positive, group, lane| {
                        *positive += u64::from(next[group][lane] > T::default());
                    });
                    if dangles {
                        for_each(&mut dangling, |dangling, group, lane| {
                            *dangling += next[group][lane].widen();
                        });
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
fn for_each<A, const N: usize>(
    groups: &mut [[A; GROUP]; N],
    mut visit: impl FnMut(&mut A, usize, usize),
) {
    for (group, lanes) in groups.iter_mut().enumerate() {
        for (lane, item) in lanes.iter_mut().enumerate() {
            visit(item, group, lane);
        }
    }
}

/// Σ w/s·x over the entries of a row, for all columns.
#[inline(always)]
fn gather<C: LocalColumn, W: Weights, T: Iterate, const N: usize>(
    columns: &[C],
    weights: W,
    inverse: &[f64],
    x: &[[[T; GROUP]; N]],
) -> [[f64; GROUP]; N] {
    let mut sum = [[0.0; GROUP]; N];
    for (k, column) in columns.iter().enumerate() {
        let column = column.index();
        let value = f64::from(weights.at(k)) * inverse[column];
        let x = &x[column];
        for (sum, x) in sum.iter_mut().zip(x) {
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum += value * x.widen();
            }
        }
    }
    sum
}

/// The `limit` best entries of some columns of X (n × `width`). `place` says where a vertex stands
/// among the ids.
pub fn best_of_columns<T: Iterate>(
    x: &[T],
    width: usize,
    columns: &[usize],
    limit: usize,
    place: impl Fn(u32) -> u32 + Sync,
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
