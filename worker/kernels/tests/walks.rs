//! Walks and what they complete against a dense solve by power iteration in f64, with nothing of
//! the kernels' own code.

use rankmill_kernels::graph::{
    Completion, Cumulative, Fingerprint, FingerprintShard, Fingerprints, OutEdges, Pushing, StopAt,
    Walker, Walking, Workspace,
};
use rankmill_kernels::{Columns, Segment, SparseBlock};

const N: usize = 30;
const DAMPING: f64 = 0.85;

/// A weighted graph with loops, sinks (every seventh vertex) and hubs, row by row.
struct Graph {
    offsets: Vec<i32>,
    columns: Vec<u32>,
    weights: Vec<f32>,
}

impl Graph {
    fn new() -> Self {
        let mut graph = Self {
            offsets: vec![0],
            columns: Vec::new(),
            weights: Vec::new(),
        };
        for from in 0..N {
            for to in 0..N {
                let mixed = (from * 31 + to * 17 + from * to * 5) % 23;
                if from % 7 != 3 && (mixed < 3 || to == 0 && from % 2 == 0) {
                    graph.columns.push(to as u32);
                    graph.weights.push(1.0 + (mixed * 2) as f32);
                }
            }
            graph.offsets.push(graph.columns.len() as i32);
        }
        graph
    }

    fn block(&self, weighted: bool) -> SparseBlock<'_> {
        SparseBlock {
            nrows: N,
            ncols: N,
            segments: vec![Segment {
                first_column: 0,
                width: N,
                offsets: &self.offsets,
                columns: Columns::U32(&self.columns),
                values: weighted.then_some(&self.weights[..]),
            }],
        }
    }

    /// Exact scores of walks from `source`; those that leave a sink go to `source`, or stay.
    fn solve(&self, weighted: bool, source: usize, self_loops: bool) -> Vec<f64> {
        let mut x = vec![0.0; N];
        x[source] = 1.0;
        for _ in 0..400 {
            let mut next = vec![0.0; N];
            next[source] = 1.0 - DAMPING;
            for (from, mass) in x.iter().enumerate() {
                let span = self.offsets[from] as usize..self.offsets[from + 1] as usize;
                let weight = |k: usize| {
                    if weighted {
                        f64::from(self.weights[k])
                    } else {
                        1.0
                    }
                };
                let strength: f64 = span.clone().map(weight).sum();
                if span.is_empty() {
                    next[if self_loops { from } else { source }] += DAMPING * mass;
                }
                for k in span {
                    next[self.columns[k] as usize] += DAMPING * mass * weight(k) / strength;
                }
            }
            x = next;
        }
        x
    }
}

fn walking(walks: u32, entries: usize, self_loops: bool) -> Walking {
    Walking {
        damping: DAMPING,
        self_loops,
        walks,
        entries,
        seed: 5,
    }
}

fn fingerprints(block: &[SparseBlock<'_>], walking: &Walking) -> Vec<Fingerprint> {
    let graph = OutEdges::new(block);
    let cumulative = Cumulative::new(&graph);
    let mut walker = Walker::default();
    (0..N as u32)
        .map(|vertex| walker.fingerprint(&graph, &cumulative, vertex, walking))
        .collect()
}

/// The scores of walks that return to their own start: visits over those that did not return.
fn scores(fingerprint: &Fingerprint) -> Vec<f64> {
    let mut scores = vec![0.0; N];
    for &(vertex, count) in &fingerprint.entries {
        scores[vertex as usize] +=
            fingerprint.unit * f64::from(count) / (1.0 - fingerprint.returned);
    }
    scores
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

#[test]
fn the_error_of_fingerprints_falls_with_the_root_of_the_walks() {
    let graph = Graph::new();
    for (weighted, self_loops) in [(false, false), (true, false), (true, true)] {
        let block = [graph.block(weighted)];
        let error = |walks| -> f64 {
            let made = fingerprints(&block, &walking(walks, N, self_loops));
            let errors = made.iter().enumerate().map(|(vertex, made)| {
                distance(&scores(made), &graph.solve(weighted, vertex, self_loops))
            });
            errors.sum::<f64>() / N as f64
        };
        let (few, many) = (error(100), error(10_000));
        assert!(few < 0.4, "{few} after 100 walks, weighted {weighted}");
        // A hundred times the walks, a tenth of the error.
        let ratio = few / many;
        assert!(
            (6.0..16.0).contains(&ratio),
            "{few} to {many}, weighted {weighted}"
        );
    }
}

#[test]
fn shares_and_what_is_missing_sum_to_one() {
    let graph = Graph::new();
    let block = [graph.block(true)];
    for (walks, entries) in [(1, 1), (50, 3), (50, N), (60_000, 5), (60_000, N)] {
        let mut missing = 0.0;
        for made in fingerprints(&block, &walking(walks, entries, false)) {
            assert!(made.entries.len() <= entries);
            assert!(made.entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let units: f64 = made
                .entries
                .iter()
                .map(|&(_, count)| f64::from(count))
                .sum();
            let sum = units * made.unit + made.returned + made.missing;
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            missing += made.missing;
        }
        // Sixteen bits lose little of sixty thousand walks; short lists lose something.
        assert_eq!(missing > 1e-3, entries < N, "{walks}, {entries}: {missing}");
    }
}

#[test]
fn a_fingerprint_does_not_depend_on_the_ones_before_it() {
    let graph = Graph::new();
    let block = [graph.block(true)];
    let walking = walking(40, 8, false);
    let all = fingerprints(&block, &walking);
    let out = OutEdges::new(&block);
    let cumulative = Cumulative::new(&out);
    for vertex in [29, 0, 13] {
        let alone = Walker::default().fingerprint(&out, &cumulative, vertex, &walking);
        assert_eq!(alone, all[vertex as usize]);
    }
    let other = Walking { seed: 6, ..walking };
    assert_ne!(fingerprints(&block, &other), all);
}

/// Fingerprints in columns.
struct Columnar {
    offsets: Vec<i32>,
    targets: Vec<u32>,
    counts: Vec<u16>,
    units: Vec<f64>,
    returned: Vec<f64>,
}

impl Columnar {
    fn new(made: &[Fingerprint]) -> Self {
        let entries = || made.iter().flat_map(|made| &made.entries);
        let mut offsets = vec![0];
        for made in made {
            offsets.push(offsets[offsets.len() - 1] + made.entries.len() as i32);
        }
        Self {
            offsets,
            targets: entries().map(|entry| entry.0).collect(),
            counts: entries().map(|entry| entry.1).collect(),
            units: made.iter().map(|made| made.unit).collect(),
            returned: made.iter().map(|made| made.returned).collect(),
        }
    }

    fn shard(&self) -> FingerprintShard<'_> {
        FingerprintShard {
            offsets: &self.offsets,
            targets: &self.targets,
            counts: &self.counts,
            units: &self.units,
            returned: &self.returned,
        }
    }
}

#[test]
fn completed_scores_are_far_better_than_pushed_ones_and_their_bound_holds() {
    let graph = Graph::new();
    for self_loops in [false, true] {
        let block = [graph.block(true)];
        let out = OutEdges::new(&block);
        // A poor index as well: the bound must not rest on the walks.
        for (walks, entries, good) in [(2, 2, false), (100_000, N, true)] {
            let made = fingerprints(&block, &walking(walks, entries, self_loops));
            let (front, back) = made.split_at(11);
            let (front, back) = (Columnar::new(front), Columnar::new(back));
            let index = Fingerprints::new(vec![front.shard(), back.shard()]);
            assert_eq!(index.vertices(), N);
            let (mut workspace, mut completion) = (Workspace::new(N), Completion::new(N));
            for tol in [1.9, 0.5, 0.05] {
                for source in 0..N as u32 {
                    let pushing = Pushing {
                        damping: DAMPING,
                        self_loops,
                        tol,
                        stop: StopAt::Bound,
                        top_k: N,
                        max_edges: u64::MAX,
                        spread: f64::INFINITY,
                    };
                    let seeds = [(source, 1.0)];
                    let asked = (&seeds[..], &pushing);
                    let done =
                        completion.push(&mut workspace, &out, &index, asked, &|vertex| vertex);
                    let mut found = vec![0.0; N];
                    for best in &done.best {
                        found[best.index as usize] = best.score;
                    }
                    let exact = graph.solve(true, source as usize, self_loops);
                    let error = distance(&found, &exact);
                    assert!(error <= done.residual, "{error} > {}", done.residual);
                    assert!(done.residual <= tol, "{} > {tol}", done.residual);
                    if good {
                        assert!(error < 0.02, "from {source} to {tol}: {error}");
                    }
                }
            }
        }
    }
}
