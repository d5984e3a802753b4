//! The rows of a step of power iteration: see [`super::power`].

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the lanes of an array become vectors; chains of iterators do not always"
)]

use super::power::{GROUP, Kept, PowerRows, PowerStep, PowerSums, STRIP, SeedEntry, stored_scale};
use crate::simd::{LocalColumn, SegmentRows, Weights, prefetch, vectorized};
use crate::sparse::SegmentVisitor;

/// Rows whose sums are gathered before any is used: loops whose results go to memory become vectors.
const BATCH: usize = 32;
/// Entries whose rows are prefetched ahead of the one in use.
const AHEAD: usize = 48;

/// Rows that one thread works on.
pub(super) struct Chunk<'a, A> {
    pub(super) step: &'a PowerStep<'a>,
    /// The first row's vertex.
    pub(super) first: usize,
    pub(super) rows: PowerRows<'a, A>,
    pub(super) sums: &'a mut PowerSums,
}

impl<A: Kept> SegmentVisitor for Chunk<'_, A> {
    fn visit<C: LocalColumn, W: Weights>(self, edges: SegmentRows<C, W>) {
        match self.step.width / GROUP {
            1 => self.run::<C, W, 1>(&edges),
            _ => self.run::<C, W, 2>(&edges),
        }
    }
}

type Group<T = f64> = [T; GROUP];

/// Running sums over the rows of a chunk, of a group.
#[derive(Clone, Copy)]
struct Running {
    residual: Group,
    moved: Group,
    dangling: Group,
    reached: Group<u64>,
    waiting: Group<u64>,
}

/// What the rows of a chunk have in common, of a group.
#[derive(Clone, Copy)]
struct Common {
    /// d over the unit.
    damping: f64,
    share: Group,
    omega: Option<Group>,
    count: bool,
}

/// What a row brings.
#[derive(Clone, Copy)]
struct Vertex {
    /// What its scores are multiplied by when they are stored, and its inverse.
    scale: f64,
    unscale: f64,
    dangles: bool,
}

impl Vertex {
    #[inline(always)]
    fn new(inverse: f64) -> Self {
        let scale = stored_scale(inverse);
        Self {
            scale,
            unscale: 1.0 / scale,
            dangles: inverse == 0.0,
        }
    }
}

impl<A: Kept> Chunk<'_, A> {
    fn run<C: LocalColumn, W: Weights, const N: usize>(self, edges: &SegmentRows<C, W>) {
        let Self {
            step,
            first,
            rows,
            sums,
        } = self;
        let moved = grouped::<_, N>(step.moved);
        let next = grouped_mut::<_, N>(rows.next);
        let left = grouped_mut::<_, N>(rows.left);
        let estimate = grouped_mut::<_, N>(rows.estimate);
        let share = in_groups::<N>(step.share);
        let omega = step.omega.map(in_groups::<N>);
        let common: [Common; N] = std::array::from_fn(|group| Common {
            damping: step.damping / step.unit,
            share: share[group],
            omega: omega.map(|omega| omega[group]),
            count: step.count,
        });
        let before = step
            .seeds
            .partition_point(|seed| (seed.vertex as usize) < first);
        let mut seeds = &step.seeds[before..];
        let mut running = [Running::ZERO; N];
        vectorized(
            #[inline(always)]
            || {
                let mut inflows = [[[0.0; GROUP]; N]; BATCH];
                for from in (0..next.len()).step_by(BATCH) {
                    let to = next.len().min(from + BATCH);
                    for (row, inflow) in (from..to).zip(&mut inflows) {
                        let (columns, weights) = edges.row(row);
                        gather(columns, weights, edges.ahead(row, AHEAD), moved, inflow);
                    }
                    for (row, inflow) in (from..to).zip(&mut inflows) {
                        let index = first + row;
                        let vertex = Vertex::new(step.inverse[index]);
                        if vertex.dangles && step.self_loops {
                            for group in 0..N {
                                let own = moved[index][group].map(widened);
                                add_scaled(&mut inflow[group], &own, step.unit);
                            }
                        }
                        for group in 0..N {
                            damp(&mut inflow[group], &common[group]);
                        }
                        if seeds
                            .first()
                            .is_some_and(|seed| seed.vertex as usize == index)
                        {
                            start_anew(&mut seeds, step.anew, inflow);
                        }
                        for group in 0..N {
                            next[row][group] = running[group].advance(
                                vertex,
                                &common[group],
                                &inflow[group],
                                &moved[index][group],
                                (&mut left[row][group], &mut estimate[row][group]),
                            );
                        }
                    }
                }
            },
        );
        for (group, running) in running.iter().enumerate() {
            let columns = GROUP * group..GROUP * (group + 1);
            sums.residual[columns.clone()].copy_from_slice(&running.residual);
            sums.moved[columns.clone()].copy_from_slice(&running.moved);
            sums.dangling[columns.clone()].copy_from_slice(&running.dangling);
            sums.reached[columns.clone()].copy_from_slice(&running.reached);
            sums.waiting[columns].copy_from_slice(&running.waiting);
        }
    }
}

impl Running {
    const ZERO: Self = Self {
        residual: [0.0; GROUP],
        moved: [0.0; GROUP],
        dangling: [0.0; GROUP],
        reached: [0; GROUP],
        waiting: [0; GROUP],
    };

    /// Makes the residual of a row of what flows in and what was left, and the next increments of
    /// that, which are returned.
    #[inline(always)]
    fn advance<A: Kept>(
        &mut self,
        vertex: Vertex,
        common: &Common,
        inflow: &Group,
        last: &Group<u16>,
        (left, estimate): (&mut Group<A>, &mut Group<A>),
    ) -> Group<u16> {
        let mut residual = [0.0; GROUP];
        for lane in 0..GROUP {
            residual[lane] = inflow[lane] * vertex.scale + left[lane].widen();
        }
        for lane in 0..GROUP {
            let residual = residual[lane] * vertex.unscale;
            self.residual[lane] += residual.abs();
        }
        let mut increment = residual;
        if let Some(omega) = &common.omega {
            accelerate(&mut increment, &last.map(widened), omega);
        }
        let next = increment.map(shortened);
        let increment = next.map(widened);
        for lane in 0..GROUP {
            left[lane] = A::round(residual[lane] - increment[lane]);
            estimate[lane] = A::round(estimate[lane].widen() + increment[lane]);
        }
        add_scaled(&mut self.moved, &increment, vertex.unscale);
        if vertex.dangles {
            add_scaled(&mut self.dangling, &increment, 1.0);
        }
        if !common.count {
            return next;
        }
        let zero = A::default();
        for lane in 0..GROUP {
            let (touched, reached) = (residual[lane] != 0.0, estimate[lane] != zero);
            self.reached[lane] += u64::from(reached);
            self.waiting[lane] += u64::from(touched & !reached);
        }
        next
    }
}

/// Adds what starts anew at the vertex of the first of `seeds`, which are cut off. Out of line: a
/// column that is only known at run time would keep the sums of every row in memory.
#[cold]
#[inline(never)]
fn start_anew<const N: usize>(seeds: &mut &[SeedEntry], mass: &[f64], inflow: &mut [Group; N]) {
    let vertex = seeds.first().map(|seed| seed.vertex);
    while let Some((seed, rest)) = seeds.split_first()
        && Some(seed.vertex) == vertex
    {
        let column = seed.column as usize;
        inflow.as_flattened_mut()[column] += mass[column] * seed.weight;
        *seeds = rest;
    }
}

/// Rows of a panel, each in `N` groups.
fn grouped<T, const N: usize>(panel: &[T]) -> &[[Group<T>; N]] {
    panel.as_chunks::<GROUP>().0.as_chunks::<N>().0
}

fn grouped_mut<T, const N: usize>(panel: &mut [T]) -> &mut [[Group<T>; N]] {
    panel.as_chunks_mut::<GROUP>().0.as_chunks_mut::<N>().0
}

/// One row of numbers in `N` groups.
fn in_groups<const N: usize>(row: &[f64]) -> [Group; N] {
    let mut groups = [[0.0; GROUP]; N];
    groups.as_flattened_mut().copy_from_slice(row);
    groups
}

/// The number that bits of bfloat16, the upper half of those of f32, stand for.
#[inline(always)]
pub(super) fn widened(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// Bits of the bfloat16 next to `value`, ties to even.
#[inline(always)]
pub(super) fn shortened(value: f64) -> u16 {
    let bits = (value as f32).to_bits();
    (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[inline(always)]
fn add_scaled(sum: &mut Group, terms: &Group, factor: f64) {
    for lane in 0..GROUP {
        sum[lane] += terms[lane] * factor;
    }
}

#[inline(always)]
fn damp(sum: &mut Group, common: &Common) {
    for lane in 0..GROUP {
        sum[lane] = common.share[lane] + common.damping * sum[lane];
    }
}

#[inline(always)]
fn accelerate(next: &mut Group, last: &Group, omega: &Group) {
    for lane in 0..GROUP {
        next[lane] = omega[lane] * next[lane] + (omega[lane] - 1.0) * last[lane];
    }
}

/// Σ w·e over the entries of a row, for all columns, `ahead` being prefetched.
#[inline(always)]
fn gather<C: LocalColumn, W: Weights, const N: usize>(
    columns: &[C],
    weights: W,
    ahead: &[C],
    moved: &[[Group<u16>; N]],
    sums: &mut [Group; N],
) {
    *sums = [[0.0; GROUP]; N];
    for (strip, columns) in columns.chunks(STRIP).enumerate() {
        let ahead = ahead.get(STRIP * strip..).unwrap_or_default();
        let mut sum = [[0.0; GROUP]; N];
        for (k, column) in columns.iter().enumerate() {
            if let Some(column) = ahead.get(k) {
                prefetch(&moved[column.index()]);
            }
            let weight = f64::from(weights.at(STRIP * strip + k));
            let numbers = &moved[column.index()];
            for group in 0..N {
                for lane in 0..GROUP {
                    let number = widened(numbers[group][lane]);
                    sum[group][lane] = weight.mul_add(number, sum[group][lane]);
                }
            }
        }
        for group in 0..N {
            for lane in 0..GROUP {
                sums[group][lane] += sum[group][lane];
            }
        }
    }
}
