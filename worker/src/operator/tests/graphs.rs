//! Graph operators on a plain graph: several tasks make what one makes, edges land where their
//! vertices are.

use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::{BlockFormat, Precision, TallMatrix};
use rankmill_common::operator::ColumnSums;
use rankmill_common::operator::page_rank_step::{BlockSums, PageRankStep, PageRankStepped};

use crate::operator::support::{Bench, Rows, transposed};
use crate::operator::{column_sums, page_rank_step};

const VERTICES: usize = 40;

/// Weights of a graph with sinks and loops; row = from.
fn weights() -> Rows {
    let weight = |from: usize, to: usize| match (7 * from + 3 * to + from * to) % 11 {
        0 | 4 if !from.is_multiple_of(9) => 1.0 + (from % 3) as f64,
        _ => 0.0,
    };
    (0..VERTICES)
        .map(|from| (0..VERTICES).map(|to| weight(from, to)).collect())
        .collect()
}

struct Case {
    bench: Bench,
    template: PageRankStep,
}

impl Case {
    fn new(dangling: Dangling) -> Self {
        let bench = Bench::new();
        let weights = weights();
        let strengths: Rows = weights.iter().map(|row| vec![row.iter().sum()]).collect();
        let template = PageRankStep {
            format: BlockFormat::Sparse,
            blocks: bench.wide_blocks(&transposed(&weights), 9),
            vertices: VERTICES as u64,
            strengths: bench.tall(&strengths, Precision::Double, 16),
            scores: None,
            dangling_mass: None,
            damping: 0.85,
            dangling,
            steps: 1,
            tol: 1e-300,
        };
        Self { bench, template }
    }

    /// Takes steps one by one, in `tasks` tasks.
    fn separately(&self, tasks: usize, steps: u32) -> (Rows, Vec<PageRankStepped>) {
        let (mut scores, mut dangling_mass) = (None, None);
        let mut parts = Vec::new();
        for step in 0..steps {
            let share = self.template.blocks.len().div_ceil(tasks);
            parts = (0..)
                .zip(self.template.blocks.chunks(share))
                .map(|(task, blocks)| {
                    let operator = PageRankStep {
                        blocks: blocks.to_vec(),
                        scores: scores.clone(),
                        dangling_mass,
                        ..self.template.clone()
                    };
                    let attempt: u32 = task;
                    let context = self.bench.attempt(&format!("{tasks}-{step}-{attempt}"));
                    page_rank_step::run(&context, &operator).expect("a step")
                })
                .collect();
            dangling_mass = Some(total(&parts).dangling);
            scores = Some(TallMatrix {
                nrows: VERTICES as u64,
                ncols: 1,
                precision: Precision::Double,
                shards: parts.iter().map(|part| part.scores.clone()).collect(),
            });
        }
        (self.bench.read_tall(&scores.expect("a step")), parts)
    }
}

fn bits(scores: &Rows) -> Vec<u64> {
    scores.iter().map(|row| row[0].to_bits()).collect()
}

/// Sums of a step over all of its tasks.
fn total(parts: &[PageRankStepped]) -> BlockSums {
    let sums = parts.iter().flat_map(|part| &part.sums);
    BlockSums::total(parts[0].spread, sums)
}

#[test]
fn several_tasks_and_several_steps_make_the_same_scores() {
    for dangling in [Dangling::Restart, Dangling::Uniform, Dangling::SelfLoop] {
        let case = Case::new(dangling);
        let (one, _) = case.separately(1, 6);
        let (three, parts) = case.separately(3, 6);
        assert_eq!(parts.len(), 3);
        assert!((total(&parts).mass - 1.0).abs() < 1e-14);
        let operator = PageRankStep {
            steps: 6,
            ..case.template.clone()
        };
        let context = case.bench.attempt("together");
        let together = page_rank_step::run(&context, &operator).expect("steps");
        assert_eq!(together.steps, 6);
        let together_scores = case
            .bench
            .read_shard(&together.scores, 1, Precision::Double);
        assert_eq!(bits(&one), bits(&three), "{dangling:?}");
        assert_eq!(bits(&one), bits(&together_scores), "{dangling:?}");
        assert_eq!(total(&parts), total(&[together]), "{dangling:?}");
    }
}

#[test]
fn steps_follow_the_definition() {
    let case = Case::new(Dangling::Restart);
    let weights = weights();
    let mut expected = vec![1.0 / VERTICES as f64; VERTICES];
    for _ in 0..4 {
        let mut next = vec![0.15 / VERTICES as f64; VERTICES];
        for (from, row) in weights.iter().enumerate() {
            let strength: f64 = row.iter().sum();
            for to in 0..VERTICES {
                next[to] += 0.85
                    * expected[from]
                    * if strength > 0.0 {
                        row[to] / strength
                    } else {
                        1.0 / VERTICES as f64
                    };
            }
        }
        expected = next;
    }
    let (found, _) = case.separately(2, 4);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found[0] - expected).abs() < 1e-15);
    }
}

#[test]
fn several_steps_need_all_rows() {
    let case = Case::new(Dangling::Restart);
    let operator = PageRankStep {
        blocks: case.template.blocks[1..].to_vec(),
        steps: 2,
        ..case.template.clone()
    };
    assert!(page_rank_step::run(&case.bench.context, &operator).is_err());
}

#[test]
fn out_strengths_keep_weights_that_a_large_one_would_swallow() {
    const EDGES: usize = 20_000;
    let (large, small) = (
        f64::from(1u32 << 30),
        f64::from(0.49f32 / (1u32 << 22) as f32),
    );
    let weight = |edge| if edge == 0 { large } else { small };
    let weights: Rows = (0..EDGES).map(|edge| vec![weight(edge)]).collect();
    let bench = Bench::new();
    let operator = ColumnSums {
        format: BlockFormat::Sparse,
        blocks: bench.wide_blocks(&weights, 7000),
        ncols: 1,
    };
    let context = bench.attempt("strengths");
    let parts = column_sums::run(&context, &operator).expect("sums");
    let sum = bench.read_tall(&parts.sums)[0][0];
    let exact = large + (EDGES - 1) as f64 * small;
    assert!((sum - exact).abs() <= f64::EPSILON * exact, "{sum} {exact}");
}
