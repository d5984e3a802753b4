//! PageRank and personalized PageRank against scipy, networkx and igraph; the same bytes whoever
//! computes them; killed and continued.

use std::collections::BTreeMap;

use rankmill_tests::cluster::Cluster;
use rankmill_tests::graph::{self, GraphReference, Leading, PersonalFiles, ScoreFiles};
use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::log::JobLog;
use rankmill_tests::midway::Midway;
use rankmill_tests::program::Bench;
use rankmill_tests::result::digests;

/// What elimination and power iteration leave of the references' own digits.
const REFERENCE_ERROR: f64 = 1e-11;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Calls `check` with every reference that is at hand; says loudly what is not.
fn for_each_reference(check: impl Fn(&GraphReference, &Bench, Vec<String>)) {
    let mut checked = 0;
    for reference in graph::all() {
        let bench = Bench::new();
        let Some(arguments) = reference.arguments(&bench) else {
            eprintln!(
                "SKIPPED {}: its data is not on this machine",
                reference.name
            );
            continue;
        };
        check(&reference, &bench, arguments);
        checked += 1;
    }
    assert!(checked >= 7, "only {checked} references were checked");
}

/// Runs a job that writes to `out` in `bench`.
fn run(bench: &Bench, job: &str, graph: &[String], flags: &str) -> std::path::PathBuf {
    let out = bench.path("out");
    let mut arguments = vec![job.to_owned()];
    arguments.extend(graph.iter().cloned());
    arguments.extend(words(flags));
    arguments.extend([
        "--overwrite".to_owned(),
        "-o".to_owned(),
        out.display().to_string(),
    ]);
    bench.succeed(&arguments);
    out
}

/// The part of ‖found − exact‖₁ that the reference shows.
fn shown_distance(found: &BTreeMap<String, f64>, exact: &Leading) -> f64 {
    let scores = exact.ids.iter().zip(&exact.scores);
    scores
        .map(|(id, score)| (found.get(id).copied().unwrap_or(0.0) - score).abs())
        .sum()
}

#[test]
fn page_rank_agrees_with_scipy_networkx_and_igraph() {
    for_each_reference(|reference, bench, arguments| {
        let out = run(bench, "pagerank", &arguments, "--tol 1e-9");
        let result = ScoreFiles::read(&out);
        let name = &reference.name;
        assert_eq!(result.scores.len() as u64, reference.vertices, "{name}");
        assert_eq!(result.manifest["matrix"]["nnz"], reference.edges, "{name}");
        let quality = &result.manifest["convergence"];
        let residual = quality["residual"].as_f64().expect("a residual");
        assert!(
            quality["converged"] == true && residual <= 1e-9,
            "{name}: {quality}"
        );
        let sum: f64 = result.scores.values().sum();
        assert!((sum - 1.0).abs() < 1e-12, "{name}: scores sum to {sum}");
        let distance = shown_distance(&result.scores, &reference.pagerank);
        assert!(
            distance <= residual + REFERENCE_ERROR,
            "{name}: {distance} > {residual}"
        );
    });
}

#[test]
fn personalized_page_rank_agrees_by_every_method_and_precision() {
    for_each_reference(|reference, bench, arguments| {
        for (method, tol) in [
            ("power", 1e-4),
            ("power", 1e-8),
            ("push", 1e-3),
            ("push", 1e-7),
            ("auto", 1e-6),
        ] {
            if method == "push" && reference.dangling() == "uniform" {
                continue;
            }
            check_personal(reference, bench, &arguments, method, tol);
        }
    });
}

fn check_personal(
    reference: &GraphReference,
    bench: &Bench,
    arguments: &[String],
    method: &str,
    tol: f64,
) {
    const K: usize = 8;
    let sources: Vec<&str> = reference.ppr.keys().map(String::as_str).collect();
    let flags = format!(
        "--method {method} --tol {tol} --top-k {K} --sources {}",
        sources.join(",")
    );
    let result = PersonalFiles::read(&run(bench, "ppr", arguments, &flags));
    assert_eq!(result.answers.len(), reference.ppr.len());
    let used = &result.manifest["convergence"]["method"];
    assert!(
        used == method || method == "auto" && used != "auto",
        "{used}"
    );
    for (source, exact) in &reference.ppr {
        let what = format!("{} from {source} by {method} to {tol}", reference.name);
        let answer = &result.answers[source];
        assert!(answer.residual <= tol, "{what}: {}", answer.residual);
        answer.check(exact, K, &what);
    }
    // Tight answers are proven where scores are apart at all.
    let proven = result
        .answers
        .values()
        .filter(|answer| answer.proven)
        .count();
    if tol < 1e-6 && reference.name == "wiki-Vote" {
        assert!(proven > 0, "nothing was proven");
    }
}

#[test]
fn auto_pushes_where_answers_are_local_and_iterates_where_they_are_not() {
    let bench = Bench::new();
    let flags = "--sources 1,2,3,5,8,13,21,34,55,89 --on-missing-source skip --tol 1e-6";
    let everywhere = run(&bench, "ppr", &rmat(&bench, 13), flags);
    let quality = PersonalFiles::read(&everywhere).manifest["convergence"].clone();
    let method = quality["method"].as_str().expect("a method");
    assert!(method.ends_with("power"), "{quality}");
    // A path: what is 130 steps away hardly matters.
    let path = bench.path("path.parquet");
    let from: Vec<i64> = (0..30_000).collect();
    let to: Vec<i64> = (1..30_001).collect();
    write_parquet(&path, vec![("src", column(from)), ("dst", column(to))], 1);
    let local = run(&bench, "ppr", &[path.display().to_string()], flags);
    let quality = PersonalFiles::read(&local).manifest["convergence"].clone();
    assert_eq!(
        (&quality["method"], &quality["pushed"]),
        (&"push".into(), &10.into())
    );
}

#[test]
fn auto_follows_few_edges_more_than_power_iteration_where_that_is_better() {
    let bench = Bench::new();
    let graph = rmat(&bench, 13);
    for tol in ["1e-4", "1e-8"] {
        let edges = |method: &str| {
            let flags = format!(
                "--sources 1,2,3,5,8,13,21,34,55,89 --on-missing-source skip --tol {tol} \
                 --method {method}"
            );
            let out = run(&bench, "ppr", &graph, &flags);
            let edges = PersonalFiles::read(&out).manifest["convergence"]["edges"].as_f64();
            edges.expect("a number")
        };
        let (auto, power) = (edges("auto"), edges("power"));
        assert!(auto <= 1.3 * power, "{auto} and {power} at {tol}");
    }
}

fn rmat(bench: &Bench, scale: u32) -> Vec<String> {
    let path = bench.path("rmat.parquet");
    let scale = scale.to_string();
    let file = path.display().to_string();
    bench.succeed([
        "generate",
        "rmat",
        "--scale",
        &scale,
        "--edge-factor",
        "8",
        "-o",
        &file,
    ]);
    vec![file]
}

/// Every kind of job on a graph, in few iterations.
const JOBS: [(&str, &str); 6] = [
    ("pagerank", "--tol 1e-7"),
    ("pagerank", "--undirected --dangling self-loop"),
    ("ppr", "--sources all --top-k 5 --method power --tol 1e-3"),
    ("ppr", "--sources all --top-k 5 --method push --tol 1e-2"),
    ("ppr", "--sources all --top-k 5 --tol 1e-7"),
    (
        "ppr",
        "--sources all --top-k 3 --method push --tol 1e-6 --stop-when-proven",
    ),
];

#[test]
fn threads_do_not_change_a_byte() {
    for (job, flags) in JOBS {
        let results: Vec<_> = [1, 2, 3]
            .iter()
            .map(|threads| {
                let bench = Bench::new();
                let graph = rmat(&bench, 9);
                let flags = format!("{flags} --threads {threads}");
                digests(&run(&bench, job, &graph, &flags))
            })
            .collect();
        assert_eq!(results[0], results[1], "{job} {flags}");
        assert_eq!(results[0], results[2], "{job} {flags}");
    }
}

#[test]
fn workers_do_not_change_a_byte() {
    let alone = Bench::new();
    let graph = rmat(&alone, 9);
    for workers in [1, 2] {
        let bench = Bench::new();
        let cluster = Cluster::start(&bench, workers);
        for (job, flags) in JOBS {
            let expected = digests(&run(&alone, job, &graph, flags));
            let flags = format!("{flags} --coordinator {}", cluster.url());
            let found = digests(&run(&bench, job, &graph, &flags));
            assert_eq!(found, expected, "{job} {flags}, {workers} workers");
        }
    }
}

#[test]
fn all_sources_continue_after_kill_9() {
    for (method, tol) in [("power", "1e-4"), ("push", "1e-1")] {
        let flags = format!("--sources all --top-k 10 --method {method} --tol {tol}");
        let clean = Bench::new();
        let graph = rmat(&clean, 12);
        let expected = digests(&run(&clean, "ppr", &graph, &flags));
        let tasks = JobLog::read(&clean.path("state")).commits.len();
        for eighths in [3, 5] {
            let killed = Midway::kill(tasks, eighths, |bench| {
                let mut arguments = vec!["ppr".to_owned()];
                arguments.extend(graph.iter().cloned());
                arguments.extend(words(&flags));
                arguments.extend(["-o".to_owned(), bench.path("out").display().to_string()]);
                arguments
            });
            killed.go_on();
            let found = digests(&killed.bench.path("out"));
            assert_eq!(found, expected, "{method}, killed after {eighths} of 8");
        }
    }
}
