//! Graph kernels against a dense solve: x = (1−d)·s + d·Mᵀx, by elimination, with nothing of the
//! kernels' own code.

use proptest::prelude::*;
use rankmill_kernels::graph::{
    Iterate, OutEdges, PageRankStep, PowerStep, Pushing, Ranked, Refined, SeedEntry, Solution,
    StepSums, StopAt, Workspace, inverse_strengths, page_rank_step, scale, stored_scale,
};
use rankmill_kernels::{Columns, Segment, SparseBlock};

/// Dense weights, row = from.
#[derive(Clone, Debug)]
struct Dense {
    weights: Vec<Vec<f64>>,
    binary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sinks {
    Restart,
    Uniform,
    SelfLoop,
}

impl Dense {
    fn n(&self) -> usize {
        self.weights.len()
    }

    fn transposed(&self) -> Self {
        let n = self.n();
        let column = |j: usize| (0..n).map(|i| self.weights[i][j]).collect();
        Self {
            weights: (0..n).map(column).collect(),
            binary: self.binary,
        }
    }

    fn strengths(&self) -> Vec<f64> {
        self.weights.iter().map(|row| row.iter().sum()).collect()
    }

    /// The exact scores of walks that start at `start`.
    fn solve(&self, start: &[f64], damping: f64, sinks: Sinks) -> Vec<f64> {
        let n = self.n();
        let strengths = self.strengths();
        // Row v of the system: x_v − d·Σ_u M_uv x_u = (1−d)·s_v.
        let mut system: Vec<Vec<f64>> = (0..n)
            .map(|v| {
                let mut row: Vec<f64> = (0..n)
                    .map(|u| {
                        let step = if strengths[u] > 0.0 {
                            self.weights[u][v] / strengths[u]
                        } else {
                            match sinks {
                                Sinks::Restart => start[v],
                                Sinks::Uniform => 1.0 / n as f64,
                                Sinks::SelfLoop => f64::from(u8::from(u == v)),
                            }
                        };
                        f64::from(u8::from(u == v)) - damping * step
                    })
                    .collect();
                row.push((1.0 - damping) * start[v]);
                row
            })
            .collect();
        for pivot in 0..n {
            let best = (pivot..n)
                .max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()))
                .expect("rows");
            system.swap(pivot, best);
            let pivot_row = system[pivot].clone();
            for (i, row) in system.iter_mut().enumerate() {
                if i != pivot {
                    let factor = row[pivot] / pivot_row[pivot];
                    for (entry, other) in row.iter_mut().zip(&pivot_row) {
                        *entry -= factor * other;
                    }
                }
            }
        }
        (0..n).map(|i| system[i][n] / system[i][i]).collect()
    }
}

/// The rows of a dense matrix as blocks of some rows.
struct Stored {
    offsets: Vec<Vec<i32>>,
    columns: Vec<Vec<u32>>,
    values: Vec<Vec<f32>>,
    n: usize,
    binary: bool,
}

impl Stored {
    fn of(dense: &Dense, block_rows: usize) -> Self {
        let (mut offsets, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for rows in dense.weights.chunks(block_rows) {
            let (mut starts, mut cols, mut vals) = (vec![0], Vec::new(), Vec::new());
            for row in rows {
                for (col, &weight) in row.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                    cols.push(col as u32);
                    vals.push(weight as f32);
                }
                starts.push(cols.len() as i32);
            }
            offsets.push(starts);
            columns.push(cols);
            values.push(vals);
        }
        Self {
            offsets,
            columns,
            values,
            n: dense.n(),
            binary: dense.binary,
        }
    }

    fn blocks(&self) -> Vec<SparseBlock<'_>> {
        (0..self.offsets.len())
            .map(|block| SparseBlock {
                nrows: self.offsets[block].len() - 1,
                ncols: self.n,
                segments: vec![Segment {
                    first_column: 0,
                    width: self.n,
                    offsets: &self.offsets[block],
                    columns: Columns::U32(&self.columns[block]),
                    values: (!self.binary).then(|| &self.values[block][..]),
                }],
            })
            .collect()
    }
}

fn graph() -> impl Strategy<Value = Dense> {
    (2usize..24, any::<bool>()).prop_flat_map(|(n, binary)| {
        let edge = (0..n, 0..n, 1u32..40);
        prop::collection::vec(edge, 1..4 * n).prop_map(move |edges| {
            let mut weights = vec![vec![0.0; n]; n];
            for (from, to, weight) in edges {
                weights[from][to] = if binary { 1.0 } else { f64::from(weight) / 8.0 };
            }
            Dense { weights, binary }
        })
    })
}

fn sinks() -> impl Strategy<Value = Sinks> {
    prop_oneof![
        Just(Sinks::Restart),
        Just(Sinks::Uniform),
        Just(Sinks::SelfLoop)
    ]
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

/// Steps of PageRank as an operator takes them; returns x and the bound of its error.
fn page_rank(dense: &Dense, damping: f64, sinks: Sinks, steps: usize) -> (Vec<f64>, f64) {
    let n = dense.n();
    let stored = Stored::of(&dense.transposed(), 5);
    let inverse = inverse_strengths(&dense.strengths());
    let mut x = vec![1.0 / n as f64; n];
    let (mut scaled, mut next_scaled) = (vec![0.0; n], vec![0.0; n]);
    let mut dangling = scale(&x, &inverse, &mut scaled);
    let mut sums = StepSums::default();
    for _ in 0..steps {
        let spread = if sinks == Sinks::SelfLoop {
            0.0
        } else {
            dangling
        };
        sums = StepSums::default();
        let mut first = 0;
        for block in stored.blocks() {
            let rows = first..first + block.nrows;
            first = rows.end;
            let step = PageRankStep {
                damping,
                share: (1.0 - damping + damping * spread) / n as f64,
                self_loops: sinks == Sinks::SelfLoop,
                inverse: &inverse[rows.clone()],
                scaled: &scaled,
            };
            let part = page_rank_step(&block, &step, &mut x[rows.clone()], &mut next_scaled[rows]);
            sums.add(&part);
        }
        std::mem::swap(&mut scaled, &mut next_scaled);
        dangling = sums.dangling;
    }
    assert!(
        (sums.mass - 1.0).abs() < 1e-12,
        "scores sum to {}",
        sums.mass
    );
    (
        x,
        damping / (1.0 - damping) * sums.change + sums.rounding / (1.0 - damping),
    )
}

/// The set of the k best of exact scores, where it is clear: the k-th is above the next by more
/// than elimination may be wrong.
fn contains_exactly(found: &[Ranked], exact: &[f64], k: usize) -> bool {
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|&a, &b| exact[b].total_cmp(&exact[a]));
    let listed: Vec<usize> = found.iter().map(|ranked| ranked.index as usize).collect();
    // Listed ones must not be beaten by one that is not listed.
    let worst = listed
        .iter()
        .map(|&v| exact[v])
        .fold(f64::INFINITY, f64::min);
    let missed = order.iter().filter(|v| !listed.contains(v));
    let best_missed = missed.map(|&v| exact[v]).fold(0.0, f64::max);
    best_missed <= worst + 1e-13 && (listed.len() == k || best_missed <= 1e-13)
}

/// Scores of the walks from `source` by f32 numbers that are refined after 100 steps, and their
/// bound: what the last change of what is missing says, and rounding relative to it.
fn refined(dense: &Dense, source: usize, sinks: Sinks, unit: f64) -> (Vec<f64>, f64) {
    const WIDTH: usize = 16;
    const BEGIN: usize = 100;
    let n = dense.n();
    let stored = Stored::of(&dense.transposed(), 7);
    let mut inverse = inverse_strengths(&dense.strengths());
    inverse.iter_mut().for_each(|inverse| *inverse *= unit);
    let seeds = [SeedEntry {
        vertex: source as u32,
        column: 3,
        weight: 1.0,
    }];
    let zeros = || vec![0.0f32; n * WIDTH];
    let (mut x, mut next, mut base, mut residual) = (zeros(), zeros(), zeros(), zeros());
    x[source * WIDTH + 3] = stored_scale(inverse[source]) as f32;
    let (mut changes, mut missing) = ([0.0; 2], 0.0);
    for step in 0..BEGIN + 150 {
        let column = (0..n).map(|v| f64::from(x[v * WIDTH + 3]));
        let dangling: f64 = column
            .zip(&inverse)
            .filter(|(_, i)| **i == 0.0)
            .map(|(x, _)| x)
            .sum();
        let anew = if step <= BEGIN { 0.15 } else { 0.0 };
        let home = if sinks == Sinks::Restart {
            0.85 * dangling
        } else {
            0.0
        };
        let share = if sinks == Sinks::Uniform {
            0.85 * dangling / n as f64
        } else {
            0.0
        };
        let mut now = [false; WIDTH];
        now[3] = step == BEGIN;
        let step_on = PowerStep {
            damping: 0.85,
            width: WIDTH,
            restart: &[anew + home; WIDTH],
            share: &[share; WIDTH],
            self_loops: sinks == Sinks::SelfLoop,
            seeds: &seeds,
            inverse: &inverse,
            unit,
            x: &x,
            omega: None,
        };
        let (mut first, mut change) = (0, 0.0);
        for block in stored.blocks() {
            let rows = first * WIDTH..(first + block.nrows) * WIDTH;
            let part = Refined {
                base: &mut base[rows.clone()],
                residual: &mut residual[rows.clone()],
                now: &now,
            };
            change +=
                f32::power_step(&block, first, &step_on, &mut next[rows], Some(part)).change[3];
            first += block.nrows;
        }
        std::mem::swap(&mut x, &mut next);
        changes = [changes[1], change];
        missing = if step == BEGIN { change } else { missing };
    }
    let solution = Solution {
        width: WIDTH,
        inverse: &inverse,
        x: &x,
        base: Some(&base),
    };
    let mut found = vec![0.0; n];
    for best in f32::best_of_columns(solution, &[3], n, &|v| v).remove(0) {
        found[best.index as usize] = best.score;
    }
    // Both panels are rounded to f32; sums in f64 have a few hundred terms.
    let rounding = missing * 10.0 / f64::from(1 << 24) + 500.0 * f64::EPSILON;
    (found, (0.85 * changes[1] + rounding) / 0.15)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn page_rank_is_never_further_from_the_exact_scores_than_it_says(
        dense in graph(),
        damping in 0.05f64..0.99,
        sinks in sinks(),
        steps in 1usize..60,
    ) {
        let n = dense.n();
        let exact = dense.solve(&vec![1.0 / n as f64; n], damping, sinks);
        let (x, bound) = page_rank(&dense, damping, sinks, steps);
        prop_assert!(distance(&x, &exact) <= bound + 1e-13, "{} > {bound}", distance(&x, &exact));
    }

    #[test]
    fn page_rank_arrives(dense in graph(), sinks in sinks()) {
        let n = dense.n();
        let exact = dense.solve(&vec![1.0 / n as f64; n], 0.85, sinks);
        let (x, bound) = page_rank(&dense, 0.85, sinks, 250);
        prop_assert!(bound < 1e-12, "{bound}");
        prop_assert!(distance(&x, &exact) < 1e-12);
    }

    #[test]
    fn a_block_of_sources_is_as_many_single_sources(
        dense in graph(),
        sinks in sinks(),
        picks in prop::collection::vec((0usize..1000, 0usize..1000, 1u32..5), 1..20),
    ) {
        let n = dense.n();
        let width = picks.len().next_multiple_of(16);
        let stored = Stored::of(&dense.transposed(), 7);
        let inverse = inverse_strengths(&dense.strengths());
        let mut seeds: Vec<SeedEntry> = Vec::new();
        let mut starts = vec![vec![0.0; n]; width];
        for (column, &(a, b, share)) in picks.iter().enumerate() {
            let share = f64::from(share) / 5.0;
            for (vertex, weight) in [(a % n, share), (b % n, 1.0 - share)] {
                starts[column][vertex] += weight;
            }
            for (vertex, &weight) in starts[column].iter().enumerate().filter(|(_, w)| **w > 0.0) {
                seeds.push(SeedEntry { vertex: vertex as u32, column: column as u32, weight });
            }
        }
        seeds.sort_by_key(|seed| (seed.vertex, seed.column));
        let mut x = vec![0.0f64; n * width];
        for (column, start) in starts.iter().enumerate() {
            for (vertex, &weight) in start.iter().enumerate() {
                x[vertex * width + column] = weight * stored_scale(inverse[vertex]);
            }
        }
        let mut next = vec![0.0f64; n * width];
        let mut changes = Vec::new();
        for _ in 0..120 {
            let dangling: Vec<f64> = (0..width)
                .map(|j| (0..n).filter(|&v| inverse[v] == 0.0).map(|v| x[v * width + j]).sum())
                .collect();
            let restart: Vec<f64> = dangling
                .iter()
                .map(|m| 0.15 + if sinks == Sinks::Restart { 0.85 * m } else { 0.0 })
                .collect();
            let share: Vec<f64> = dangling
                .iter()
                .map(|m| if sinks == Sinks::Uniform { 0.85 * m / n as f64 } else { 0.0 })
                .collect();
            let step = PowerStep {
                damping: 0.85,
                width,
                restart: &restart,
                share: &share,
                self_loops: sinks == Sinks::SelfLoop,
                seeds: &seeds,
                inverse: &inverse,
                unit: 1.0,
                x: &x,
                omega: None,
            };
            let (mut first, mut change) = (0, vec![0.0; width]);
            for block in stored.blocks() {
                let rows = first * width..(first + block.nrows) * width;
                let sums = f64::power_step(&block, first, &step, &mut next[rows], None);
                for (change, part) in change.iter_mut().zip(&sums.change) {
                    *change += part;
                }
                first += block.nrows;
            }
            std::mem::swap(&mut x, &mut next);
            changes = change;
        }
        for column in 0..picks.len() {
            let exact = dense.solve(&starts[column], 0.85, sinks);
            let found: Vec<f64> = (0..n)
                .map(|v| x[v * width + column] / stored_scale(inverse[v]))
                .collect();
            let bound = 0.85 / 0.15 * changes[column];
            prop_assert!(distance(&found, &exact) <= bound + 1e-12);
            prop_assert!(bound < 1e-6, "{bound}");
        }
        let all: Vec<usize> = (0..picks.len()).collect();
        let solution = Solution { width, inverse: &inverse, x: &x, base: None };
        for (column, best) in f64::best_of_columns(solution, &all, 3, &|v| v).into_iter().enumerate() {
            let exact = dense.solve(&starts[column], 0.85, sinks);
            for pair in best.windows(2) {
                prop_assert!(pair[0].score >= pair[1].score);
            }
            prop_assert!(best.iter().all(|r| (r.score - exact[r.index as usize]).abs() < 1e-6));
        }
    }

    #[test]
    fn refined_numbers_of_f32_reach_what_f32_cannot_hold(
        dense in graph(),
        sinks in sinks(),
        source in 0usize..1000,
        unit in prop::sample::select(vec![1.0, 8.0, 0.25]),
    ) {
        let n = dense.n();
        let mut start = vec![0.0; n];
        start[source % n] = 1.0;
        let exact = dense.solve(&start, 0.85, sinks);
        let (found, bound) = refined(&dense, source % n, sinks, unit);
        let error = distance(&found, &exact);
        prop_assert!(error <= bound, "{error} > {bound}");
        prop_assert!(bound < 1e-10, "{bound}");
    }

    #[test]
    fn push_never_lies(
        dense in graph(),
        damping in 0.1f64..0.95,
        self_loops in any::<bool>(),
        source in 0usize..1000,
        other in 0usize..1000,
        tol in 1e-9f64..0.3,
        top_k in 1usize..12,
    ) {
        let n = dense.n();
        let stored = Stored::of(&dense, 6);
        let blocks = stored.blocks();
        let graph = OutEdges::new(&blocks);
        let mut start = vec![0.0; n];
        start[source % n] += 0.75;
        start[other % n] += 0.25;
        let seeds: Vec<(u32, f64)> = (0..).zip(&start).filter(|(_, w)| **w > 0.0).map(|(v, &w)| (v, w)).collect();
        let sinks = if self_loops { Sinks::SelfLoop } else { Sinks::Restart };
        let exact = dense.solve(&start, damping, sinks);
        let mut workspace = Workspace::new(n);
        // All of them, so that the whole vector can be compared; then what was asked for, in a
        // workspace that has been used.
        let pushing = Pushing { damping, self_loops, tol, stop: StopAt::Bound, top_k: n, max_edges: u64::MAX, spread: f64::INFINITY };
        let whole = workspace.push(&graph, &seeds, &pushing, &|v| v);
        let mut found = vec![0.0; n];
        for ranked in &whole.best {
            found[ranked.index as usize] = ranked.score;
            prop_assert!(ranked.score <= exact[ranked.index as usize] + 1e-13);
        }
        prop_assert!(whole.residual <= tol);
        prop_assert!(distance(&found, &exact) <= whole.residual + 1e-13);
        let few = workspace.push(&graph, &seeds, &Pushing { top_k, stop: StopAt::BoundOrProven, ..pushing }, &|v| v);
        prop_assert!(few.residual <= tol || few.proven);
        if few.proven {
            prop_assert!(contains_exactly(&few.best, &exact, top_k), "{few:?} {exact:?}");
        }
        let again = Workspace::new(n).push(&graph, &seeds, &Pushing { top_k, stop: StopAt::BoundOrProven, ..pushing }, &|v| v);
        prop_assert_eq!(few, again);
    }
}
