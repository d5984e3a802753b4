//! Graph kernels against a dense solve: x = (1−d)·s + d·Mᵀx, by elimination, with nothing of the
//! kernels' own code.

use proptest::prelude::*;
use rankmill_kernels::graph::{
    Increments, Kept, OutEdges, PageRankStep, PowerRows, PowerStep, PowerSums, Pushing, Ranked,
    SeedEntry, Solution, StepSums, StopAt, Workspace, inverse_strengths, page_rank_step,
    place_seeds, scale, stored_scale,
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
        let mut parts = Vec::new();
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
            let x = &mut x[rows.clone()];
            parts.push(page_rank_step(&block, &step, x, &mut next_scaled[rows]));
        }
        sums = StepSums::total(&parts);
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

/// A block of sources after some steps.
struct Iterated {
    /// Scores of every column.
    scores: Vec<Vec<f64>>,
    /// How far they may be from the exact ones, but for the rounding of what is kept.
    bounds: Vec<f64>,
    /// The three best of every column.
    best: Vec<Vec<Ranked>>,
    /// Vertices that every column has reached.
    reached: Vec<u64>,
}

/// Iterates the columns that begin at `starts`, `width` of them.
fn iterated<A: Kept>(
    dense: &Dense,
    starts: &[Vec<f64>],
    sinks: Sinks,
    (width, unit, steps): (usize, f64, usize),
) -> Iterated {
    let n = dense.n();
    let stored = Stored::of(&dense.transposed(), 7);
    let mut inverse = inverse_strengths(&dense.strengths());
    inverse.iter_mut().for_each(|inverse| *inverse *= unit);
    let mut seeds: Vec<SeedEntry> = Vec::new();
    for (column, start) in (0..).zip(starts) {
        for (vertex, &weight) in (0..).zip(start).filter(|(_, weight)| **weight > 0.0) {
            seeds.push(SeedEntry {
                vertex,
                column,
                weight,
            });
        }
    }
    seeds.sort_by_key(|seed| (seed.vertex, seed.column));
    let kept = || vec![A::default(); n * width];
    let (mut left, mut estimate) = (kept(), kept());
    let (mut moved, mut next) = (Increments::default(), Increments::default());
    moved.clear(n * width);
    next.clear(n * width);
    let rows = PowerRows {
        next: moved.as_mut_slice(),
        left: &mut left,
        estimate: &mut estimate,
    };
    let mut sums = place_seeds(&seeds, &inverse, width, rows);
    let mut gamma = vec![0.0; width];
    for _ in 0..steps {
        let mut anew: Vec<f64> = (0..width).map(|column| 0.15 * sums.moved[column]).collect();
        for (gamma, anew) in gamma.iter_mut().zip(&mut anew) {
            *gamma += *anew / 0.15;
        }
        let mut share = vec![0.0; width];
        for column in 0..width {
            match sinks {
                Sinks::Restart => anew[column] += 0.85 * sums.dangling[column],
                Sinks::Uniform => share[column] = 0.85 * sums.dangling[column] / n as f64,
                Sinks::SelfLoop => {}
            }
        }
        let step = PowerStep {
            damping: 0.85,
            width,
            anew: &anew,
            share: &share,
            self_loops: sinks == Sinks::SelfLoop,
            seeds: &seeds,
            inverse: &inverse,
            unit,
            moved: moved.as_slice(),
            count: true,
            omega: None,
        };
        let mut rows = PowerRows {
            next: next.as_mut_slice(),
            left: &mut left,
            estimate: &mut estimate,
        };
        let (mut first, mut all) = (0, PowerSums::new(width));
        for block in stored.blocks() {
            let part = rows.take(block.nrows, width);
            all.add(&A::power_step(&block, first, &step, part));
            first += block.nrows;
        }
        sums = all;
        std::mem::swap(&mut moved, &mut next);
    }
    let solution = Solution {
        width,
        inverse: &inverse,
        estimate: &estimate,
        left: &left,
        gamma: &gamma,
    };
    let columns: Vec<usize> = (0..starts.len()).collect();
    let score = |column: usize| {
        let score = |v: usize| {
            let place = v * width + column;
            let estimate = estimate[place].widen() + left[place].widen();
            estimate / stored_scale(inverse[v]) / gamma[column]
        };
        (0..n).map(score).collect()
    };
    let bound = |&column: &usize| 0.85 * sums.residual[column] / (0.15 * gamma[column]);
    Iterated {
        scores: columns.iter().map(|&column| score(column)).collect(),
        bounds: columns.iter().map(bound).collect(),
        best: A::best_of_columns(solution, &columns, 3, &|v| v),
        reached: sums.reached,
    }
}

/// Start distributions of up to 32 columns on two vertices each.
fn starts(n: usize, picks: &[(usize, usize, u32)]) -> Vec<Vec<f64>> {
    let start = |&(a, b, share): &(usize, usize, u32)| {
        let mut start = vec![0.0; n];
        start[a % n] += f64::from(share) / 5.0;
        start[b % n] += 1.0 - f64::from(share) / 5.0;
        start
    };
    picks.iter().map(start).collect()
}

/// Vertices that walks from `start` can reach.
fn reachable(dense: &Dense, start: &[f64], sinks: Sinks) -> u64 {
    let n = dense.n();
    let mut reached: Vec<bool> = start.iter().map(|&weight| weight > 0.0).collect();
    for _ in 0..n {
        for u in 0..n {
            let sink = dense.weights[u].iter().all(|&weight| weight == 0.0);
            for v in 0..n {
                let uniform = sink && sinks == Sinks::Uniform;
                reached[v] |= reached[u] && (uniform || dense.weights[u][v] > 0.0);
            }
        }
    }
    reached.iter().filter(|reached| **reached).count() as u64
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
    fn power_iteration_is_never_further_from_the_exact_scores_than_it_says(
        dense in graph(),
        sinks in sinks(),
        picks in prop::collection::vec((0usize..1000, 0usize..1000, 1u32..5), 1..32),
        unit in prop::sample::select(vec![1.0, 8.0, 0.25]),
        steps in 1usize..40,
    ) {
        let starts = starts(dense.n(), &picks);
        let found = iterated::<f64>(&dense, &starts, sinks, (32, unit, steps));
        for (column, start) in starts.iter().enumerate() {
            let exact = dense.solve(start, 0.85, sinks);
            let error = distance(&found.scores[column], &exact);
            prop_assert!(error <= found.bounds[column] + 1e-13, "{error} > {}", found.bounds[column]);
        }
    }

    #[test]
    fn power_iteration_arrives_though_its_increments_have_eight_bits(
        dense in graph(),
        sinks in sinks(),
        picks in prop::collection::vec((0usize..1000, 0usize..1000, 1u32..5), 1..32),
    ) {
        let starts = starts(dense.n(), &picks);
        let found = iterated::<f64>(&dense, &starts, sinks, (32, 1.0, 260));
        let short = iterated::<f32>(&dense, &starts, sinks, (32, 1.0, 100));
        for (column, start) in starts.iter().enumerate() {
            let exact = dense.solve(start, 0.85, sinks);
            prop_assert!(found.bounds[column] < 1e-12, "{}", found.bounds[column]);
            prop_assert!(distance(&found.scores[column], &exact) < 1e-12);
            // A hundred sums in f32, each off by half a unit in the last place at most.
            prop_assert!(short.bounds[column] < 1e-5, "{}", short.bounds[column]);
            prop_assert!(distance(&short.scores[column], &exact) < 1e-4);
            prop_assert_eq!(found.reached[column], reachable(&dense, start, sinks));
            for pair in found.best[column].windows(2) {
                prop_assert!(pair[0].score >= pair[1].score);
            }
            let right = |r: &Ranked| (r.score - exact[r.index as usize]).abs() < 1e-12;
            prop_assert!(found.best[column].iter().all(right));
            prop_assert!(contains_exactly(&found.best[column], &exact, 3));
        }
    }

    #[test]
    fn a_block_of_sources_is_as_many_single_sources(
        dense in graph(),
        sinks in sinks(),
        picks in prop::collection::vec((0usize..1000, 0usize..1000, 1u32..5), 1..32),
        steps in 1usize..20,
    ) {
        let starts = starts(dense.n(), &picks);
        let all = iterated::<f64>(&dense, &starts, sinks, (32, 1.0, steps));
        for (column, start) in starts.iter().enumerate() {
            let alone = iterated::<f64>(&dense, std::slice::from_ref(start), sinks, (16, 1.0, steps));
            prop_assert_eq!(&alone.scores[0], &all.scores[column]);
        }
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
        most in 0u64..300,
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
        let short = workspace.push(&graph, &seeds, &Pushing { max_edges: most, ..pushing }, &|v| v);
        let mut found = vec![0.0; n];
        for ranked in &short.best {
            found[ranked.index as usize] = ranked.score;
        }
        prop_assert!(distance(&found, &exact) <= short.residual + 1e-13);
        // A vertex has so many edges at most.
        prop_assert!(short.edges <= most + n as u64);
        let ends = short.residual <= tol || short.edges >= most || short.edges + short.lacking > most;
        prop_assert!(ends, "{} of {most}", short.edges);
    }
}
