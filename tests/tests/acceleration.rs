//! Power iteration is accelerated where edges go both ways: fewer steps, answers no further from the
//! exact ones than they say.

use std::path::PathBuf;

use rankmill_tests::graph::PersonalFiles;
use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::program::Bench;

const VERTICES: usize = 240;
const DAMPING: f64 = 0.85;

/// Edges of a band: walks take long to get from one end to the other.
fn band() -> Vec<(usize, usize, f64)> {
    let ends = (0..VERTICES).flat_map(|i| (i + 1..(i + 9).min(VERTICES)).map(move |j| (i, j)));
    ends.map(|(i, j)| (i, j, 1.0 + ((i * j) % 3) as f64))
        .collect()
}

fn write(bench: &Bench, name: &str, edges: &[(usize, usize, f64)]) -> PathBuf {
    let ends = |end: fn(&(usize, usize, f64)) -> usize| -> Vec<i64> {
        edges.iter().map(|edge| end(edge) as i64).collect()
    };
    let weights: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
    let columns = vec![
        ("src", column(ends(|edge| edge.0))),
        ("dst", column(ends(|edge| edge.1))),
        ("weight", column(weights)),
    ];
    write_parquet(&bench.path(name), columns, 1000)
}

/// Scores of the walks from `source`, by elimination.
fn solve(edges: &[(usize, usize, f64)], source: usize) -> Vec<f64> {
    let mut weights = vec![vec![0.0; VERTICES]; VERTICES];
    for &(i, j, weight) in edges {
        weights[i][j] += weight;
        weights[j][i] += weight;
    }
    let strengths: Vec<f64> = weights.iter().map(|row| row.iter().sum()).collect();
    // Row i of I − d·Pᵀ, and its right-hand side.
    let mut rows: Vec<Vec<f64>> = (0..VERTICES)
        .map(|i| {
            let entry = |j: usize| f64::from(i == j) - DAMPING * weights[j][i] / strengths[j];
            let right = if i == source { 1.0 - DAMPING } else { 0.0 };
            (0..VERTICES).map(entry).chain([right]).collect()
        })
        .collect();
    for pivot in 0..VERTICES {
        let leading = rows[pivot].clone();
        for row in (0..VERTICES).filter(|&row| row != pivot) {
            let factor = rows[row][pivot] / leading[pivot];
            for (entry, above) in rows[row].iter_mut().zip(&leading) {
                *entry -= factor * above;
            }
        }
    }
    (0..VERTICES)
        .map(|i| rows[i][VERTICES] / rows[i][i])
        .collect()
}

fn run(bench: &Bench, edges: &str, flags: &[&str]) -> PersonalFiles {
    let out = bench.path(&format!("out-{}", flags.join("")));
    let out_text = out.display().to_string();
    let mut arguments = vec!["ppr", edges, "-o", &out_text, "--weight", "weight"];
    arguments.extend(["--method", "power", "--sources", "0,7,120"]);
    arguments.extend(["--top-k", "40"]);
    arguments.extend(flags);
    bench.succeed(arguments);
    PersonalFiles::read(&out)
}

fn iterations(result: &PersonalFiles) -> u64 {
    let convergence = &result.manifest["convergence"];
    convergence["iterations"].as_u64().expect("a number")
}

#[test]
fn edges_that_go_both_ways_take_fewer_steps_to_the_same_answer() {
    let bench = Bench::new();
    let edges = band();
    let once = write(&bench, "once.parquet", &edges);
    let mut both = edges.clone();
    both.extend(edges.iter().map(|&(i, j, weight)| (j, i, weight)));
    let both = write(&bench, "both.parquet", &both);
    for tol in ["1e-4", "1e-8", "1e-10"] {
        let accelerated = run(
            &bench,
            &once.display().to_string(),
            &["--undirected", "--tol", tol],
        );
        let plain = run(&bench, &both.display().to_string(), &["--tol", tol]);
        for result in [&accelerated, &plain] {
            assert_eq!(result.manifest["convergence"]["converged"], true);
            for (source, answer) in &result.answers {
                let exact = solve(&edges, source.parse().expect("a vertex"));
                let off = |(target, score): &(String, f64)| {
                    (score - exact[target.parse::<usize>().expect("a vertex")]).abs()
                };
                let distance: f64 = answer.targets.iter().map(off).sum();
                assert!(
                    distance <= answer.residual + 1e-13,
                    "{distance} > {answer:?}"
                );
                assert!(answer.residual <= tol.parse().expect("a number"));
            }
        }
        let (fewer, more) = (iterations(&accelerated), iterations(&plain));
        assert!(
            3 * fewer < 2 * more,
            "{fewer} steps against {more} to {tol}"
        );
    }
}
