//! Graphs of which a task may only hold a part: the same bounds as on whole graphs, the same bytes
//! whoever computes them, killed and continued, refused where not even parts fit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rankmill_tests::cluster::Cluster;
use rankmill_tests::graph::{self, PersonalAnswer, PersonalFiles};
use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::log::JobLog;
use rankmill_tests::midway::Midway;
use rankmill_tests::program::Bench;
use rankmill_tests::result::digests;
use serde_json::Value;

/// Memory that every task has for its buffers.
const OVERHEAD: u64 = 16 << 20;
/// What push holds per vertex of a part.
const ROW_BYTES: u64 = 33;
/// Bound of the exact scores' own error.
const EXACT: f64 = 1e-9;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn command(bench: &Bench, job: &str, graph: &[String], flags: &str, out: &str) -> Vec<String> {
    let mut arguments = vec![job.to_owned()];
    arguments.extend(graph.iter().cloned());
    arguments.extend(words(flags));
    arguments.extend(["-o".to_owned(), bench.path(out).display().to_string()]);
    arguments
}

/// Runs a job and says where its result is.
fn run(bench: &Bench, job: &str, graph: &[String], flags: &str, out: &str) -> PathBuf {
    let mut arguments = command(bench, job, graph, flags, out);
    arguments.push("--overwrite".to_owned());
    bench.succeed(arguments);
    bench.path(out)
}

/// The least memory that a task needs, as the refusal of `memory` says; `memory` if that is enough.
fn least(bench: &Bench, job: &str, graph: &[String], flags: &str, memory: u64) -> u64 {
    let flags = format!("{flags} --task-memory {memory}B --overwrite");
    let output = bench.run(command(bench, job, graph, &flags, "scarce"));
    if output.status.success() {
        return memory;
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let least = text.split_once("needs tasks of").and_then(|(_, least)| {
        let (_, bytes) = least.split_once('(')?;
        bytes.split_once(" bytes")?.0.parse::<u64>().ok()
    });
    least.unwrap_or_else(|| panic!("no refusal: {text}"))
}

/// The flag with which a job on a graph of so many vertices holds all its edges and a fifth of its
/// vertices at a time.
fn scarce(bench: &Bench, graph: &[String], flags: &str, vertices: u64) -> String {
    let least = least(bench, "ppr", graph, flags, OVERHEAD);
    format!("--task-memory {}B", least + ROW_BYTES * vertices / 5)
}

fn rmat(bench: &Bench, scale: u32) -> Vec<String> {
    let file = bench.path("rmat.parquet").display().to_string();
    let flags = format!("generate rmat --scale {scale} --edge-factor 8 -o {file}");
    bench.succeed(words(&flags));
    vec![file]
}

const PUSH_ALL: &str = "--sources all --method push";

/// Vertices of a generated graph.
fn size(bench: &Bench, graph: &[String], flags: &str) -> u64 {
    let flags = format!("{flags} --tol 1 --max-iterations 1");
    let manifest = manifest(&run(bench, "pagerank", graph, &flags, "size"));
    manifest["matrix"]["nrows"].as_u64().expect("a number")
}

fn manifest(folder: &std::path::Path) -> Value {
    let text = std::fs::read(folder.join("_manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

/// In how many parts the graph was.
fn parts(result: &PersonalFiles) -> u32 {
    let method = result.manifest["convergence"]["method"].as_str();
    let words = words(method.expect("a method"));
    assert_eq!(words[..2], ["push", "in"], "{words:?}");
    words[2].parse().expect("a number of parts")
}

#[test]
fn real_graphs_in_parts_agree_with_scipy_networkx_and_igraph() {
    const K: usize = 8;
    let mut checked = 0;
    for reference in graph::all() {
        if reference.vertices < 1000 || reference.dangling() == "uniform" {
            continue;
        }
        let bench = Bench::new();
        let Some(graph) = reference.arguments(&bench) else {
            eprintln!(
                "SKIPPED {}: its data is not on this machine",
                reference.name
            );
            continue;
        };
        let sources: Vec<&str> = reference.ppr.keys().map(String::as_str).collect();
        let from = format!("--sources {} --method push", sources.join(","));
        let memory = scarce(&bench, &graph, &from, reference.vertices);
        for tol in [1e-2, 1e-7] {
            let flags = format!("{from} --tol {tol} --top-k {K} {memory}");
            let result = PersonalFiles::read(&run(&bench, "ppr", &graph, &flags, "out"));
            assert!(
                parts(&result) >= 4,
                "{}: {} parts",
                reference.name,
                parts(&result)
            );
            for (source, exact) in &reference.ppr {
                let answer = &result.answers[source];
                let what = format!("{} from {source} to {tol}", reference.name);
                assert!(answer.residual <= tol, "{what}: {}", answer.residual);
                answer.check(exact, K, &what);
            }
        }
        checked += 1;
    }
    eprintln!("{checked} real graphs were checked");
}

fn distance(found: &PersonalAnswer, exact: &PersonalAnswer) -> f64 {
    let by_id = |answer: &PersonalAnswer| -> BTreeMap<String, f64> {
        answer.targets.iter().cloned().collect()
    };
    let (found, exact) = (by_id(found), by_id(exact));
    let ids: std::collections::BTreeSet<_> = found.keys().chain(exact.keys()).collect();
    let score = |of: &BTreeMap<String, f64>, id| of.get(id).copied().unwrap_or(0.0);
    ids.into_iter()
        .map(|id| (score(&found, id) - score(&exact, id)).abs())
        .sum()
}

/// Every answer lies within its bound of the exact one, and sets that are said to be proven are the
/// best.
fn check(found: &PersonalFiles, exact: &PersonalFiles, k: usize) {
    assert_eq!(found.order, exact.order);
    for (source, exact) in &exact.answers {
        let answer = &found.answers[source];
        let error = distance(answer, exact);
        assert!(
            error <= answer.residual + EXACT,
            "{source}: {error} > {}",
            answer.residual
        );
        if answer.proven {
            let least = exact.targets.get(k.min(answer.targets.len()) - 1);
            let least = least.expect("a target").1 - EXACT;
            for (target, _) in answer.targets.iter().take(k) {
                let exact = exact.targets.iter().find(|(id, _)| id == target);
                assert!(
                    exact.is_some_and(|(_, score)| *score >= least),
                    "{source}: {target}"
                );
            }
        }
    }
}

#[test]
fn whole_vectors_of_every_source_lie_within_their_bounds() {
    let bench = Bench::new();
    let graph = rmat(&bench, 8);
    for graph_flags in ["", "--undirected --dangling self-loop"] {
        let vertices = size(&bench, &graph, graph_flags);
        let push = format!("{graph_flags} --sources all --method push");
        let memory = scarce(&bench, &graph, &push, vertices);
        let all = format!("{graph_flags} --sources all --top-k {vertices}");
        let flags = format!("{all} --method power --tol {EXACT}");
        let exact = PersonalFiles::read(&run(&bench, "ppr", &graph, &flags, "exact"));
        for tol in ["1e-1", "1e-4"] {
            let flags = format!("{all} --method push --tol {tol} {memory}");
            let found = PersonalFiles::read(&run(&bench, "ppr", &graph, &flags, "found"));
            assert!(parts(&found) >= 3, "{} parts", parts(&found));
            assert_eq!(found.manifest["convergence"]["unconverged"], 0);
            check(&found, &exact, vertices as usize);
        }
    }
}

#[test]
fn sets_are_proven_and_seeds_are_weighted_in_parts_as_on_the_whole() {
    const K: usize = 5;
    let bench = Bench::new();
    let graph = rmat(&bench, 10);
    let vertices = size(&bench, &graph, "");
    let memory = scarce(&bench, &graph, PUSH_ALL, vertices);
    let exact = format!("--top-k {vertices} --method power --tol {EXACT}");
    // A set of three vertices from each of 40 sources.
    let all = PersonalFiles::read(&run(
        &bench,
        "ppr",
        &graph,
        "--sources all --top-k 1",
        "all",
    ));
    let vertex = |index: usize| {
        all.order[index % all.order.len()]
            .parse::<i64>()
            .expect("an id")
    };
    let rows = 0..120;
    let columns = vec![
        (
            "source",
            column(
                rows.clone()
                    .map(|row| format!("set {:02}", row / 3))
                    .collect::<Vec<String>>(),
            ),
        ),
        (
            "vertex",
            column(
                rows.clone()
                    .map(|row| vertex(row * 37))
                    .collect::<Vec<i64>>(),
            ),
        ),
        (
            "weight",
            column(rows.map(|row| 1.0 + (row % 4) as f64).collect::<Vec<f64>>()),
        ),
    ];
    let seeds = write_parquet(&bench.path("seeds.parquet"), columns, 50);
    let seeds = format!("--seeds {}", seeds.display());
    let exact = PersonalFiles::read(&run(
        &bench,
        "ppr",
        &graph,
        &format!("{seeds} {exact}"),
        "exact",
    ));
    let flags = format!("{seeds} {memory} --method push --top-k {K} --tol 1e-6 --stop-when-proven");
    let found = PersonalFiles::read(&run(&bench, "ppr", &graph, &flags, "proven"));
    assert!(parts(&found) >= 3);
    assert_eq!(found.manifest["convergence"]["unconverged"], 0);
    let early = found
        .answers
        .values()
        .filter(|answer| answer.residual > 1e-6);
    assert!(early.count() > 10, "nothing was left early");
    for (source, exact) in &exact.answers {
        let answer = &found.answers[source];
        if answer.proven {
            let least = exact.targets[K - 1].1 - EXACT;
            for (target, score) in &answer.targets {
                let exact = exact.targets.iter().find(|(id, _)| id == target);
                let exact = exact.expect("a target").1;
                assert!(exact >= least, "{source}: {target}");
                assert!((exact - score).abs() <= answer.residual + EXACT, "{source}");
            }
        }
    }
}

/// Jobs whose graph is held in parts.
fn jobs(bench: &Bench, graph: &[String]) -> [(&'static str, String); 3] {
    let vertices = size(bench, graph, "");
    let memory = scarce(bench, graph, PUSH_ALL, vertices);
    [
        (
            "ppr",
            format!("--sources all --top-k 5 --method push --tol 1e-2 {memory}"),
        ),
        (
            "ppr",
            format!("--sources all --top-k 3 --method push --tol 1e-3 --stop-when-proven {memory}"),
        ),
        (
            "pagerank",
            format!(
                "--tol 1e-7 --task-memory {}B",
                OVERHEAD + 40 * vertices + (64 << 10)
            ),
        ),
    ]
}

#[test]
fn threads_do_not_change_a_byte() {
    let bench = Bench::new();
    let graph = rmat(&bench, 8);
    for (job, flags) in jobs(&bench, &graph) {
        let results: Vec<_> = [1, 2, 3]
            .iter()
            .map(|threads| {
                let flags = format!("{flags} --threads {threads}");
                digests(&run(&bench, job, &graph, &flags, "out"))
            })
            .collect();
        assert_eq!(results[0], results[1], "{job} {flags}");
        assert_eq!(results[0], results[2], "{job} {flags}");
    }
}

#[test]
fn workers_do_not_change_a_byte() {
    let alone = Bench::new();
    let graph = rmat(&alone, 8);
    let jobs = jobs(&alone, &graph);
    for workers in [1, 2] {
        let bench = Bench::new();
        let cluster = Cluster::start(&bench, workers);
        for (job, flags) in &jobs {
            let expected = digests(&run(&alone, job, &graph, flags, "out"));
            let flags = format!("{flags} --coordinator {}", cluster.url());
            let found = digests(&run(&bench, job, &graph, &flags, "out"));
            assert_eq!(found, expected, "{job} {flags}, {workers} workers");
        }
    }
}

#[test]
fn an_index_has_the_same_bytes_whether_the_graph_is_in_parts_or_not() {
    let bench = Bench::new();
    let graph = rmat(&bench, 12);
    for flags in [
        "--walks 10 --entries 1 --duplicates max",
        "--walks 10 --entries 2 --undirected --dangling self-loop --seed 7",
    ] {
        let vertices = size(&bench, &graph, "");
        let whole = digests(&run(&bench, "ppr-index", &graph, flags, "whole"));
        // A file's fingerprints, made in memory, fit in this; what walks need besides is more.
        let scarce = OVERHEAD + 330 * vertices;
        let memory = least(&bench, "ppr-index", &graph, flags, scarce);
        let flags = format!("{flags} --task-memory {memory}B");
        let parts = run(&bench, "ppr-index", &graph, &flags, "parts");
        let stages = manifest(&parts)["timings"].to_string();
        assert!(stages.contains("in parts: round 1"), "{stages}");
        assert_eq!(digests(&parts), whole, "{flags}");
    }
}

#[test]
fn pagerank_has_the_same_bytes_in_one_task_or_in_several() {
    let bench = Bench::new();
    let file = bench.path("large.parquet").display().to_string();
    // Enough edges for several blocks.
    let flags = format!("generate rmat --scale 17 --edge-factor 72 -o {file}");
    bench.succeed(words(&flags));
    let graph = [file];
    let whole = digests(&run(&bench, "pagerank", &graph, "", "whole"));
    let least = least(&bench, "pagerank", &graph, "", OVERHEAD);
    let flags = format!("--task-memory {least}B");
    let parts = run(&bench, "pagerank", &graph, &flags, "parts");
    let manifest = manifest(&parts);
    let stages = manifest["timings"].as_array().expect("stages").iter();
    let tasks = |stage: &Value| stage["tasks"].as_u64().expect("a number");
    let iterate = |stage: &&Value| {
        stage["stage"]
            .as_str()
            .is_some_and(|s| s.contains("iterate"))
    };
    assert!(
        stages.filter(iterate).all(|stage| tasks(stage) > 1),
        "{manifest}"
    );
    assert_eq!(digests(&parts), whole);
}

#[test]
fn rounds_continue_after_kill_9() {
    let made = Bench::new();
    let graph = rmat(&made, 9);
    let vertices = size(&made, &graph, "");
    let memory = scarce(&made, &graph, PUSH_ALL, vertices);
    let flags = format!("{PUSH_ALL} --top-k 5 --tol 1e-2 {memory}");
    let clean = Bench::new();
    let expected = digests(&run(&clean, "ppr", &graph, &flags, "out"));
    let tasks = JobLog::read(&clean.path("state")).commits.len();
    for eighths in [2, 5] {
        let killed = Midway::kill(tasks, eighths, |bench| {
            command(bench, "ppr", &graph, &flags, "out")
        });
        killed.go_on();
        let found = digests(&killed.bench.path("out"));
        assert_eq!(found, expected, "killed after {eighths} of 8");
    }
}

#[test]
fn what_fits_in_no_way_is_refused_with_the_flag_that_helps() {
    let bench = Bench::new();
    let graph = rmat(&bench, 10);
    for (job, flags) in [
        (
            "ppr",
            "--sources 1,2 --on-missing-source skip --method push",
        ),
        (
            "ppr",
            "--sources 1,2 --on-missing-source skip --method power",
        ),
        (
            "ppr",
            "--sources 1,2 --on-missing-source skip --dangling uniform",
        ),
        ("pagerank", ""),
    ] {
        let flags = format!("{flags} --task-memory {OVERHEAD}B");
        let (code, text) = bench.fail(command(&bench, job, &graph, &flags, "out"));
        assert_eq!(code, 6, "{job} {flags}: {text}");
        assert!(
            text.contains("--task-memory 17MiB"),
            "{job} {flags}: {text}"
        );
    }
}
