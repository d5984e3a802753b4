//! The PowerWalk index: what it adds to push, the bound that holds whatever it adds, the same bytes
//! whoever walks, and what does not fit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rankmill_tests::cluster::Cluster;
use rankmill_tests::graph::{self, PersonalAnswer, PersonalFiles};
use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::log::JobLog;
use rankmill_tests::midway::Midway;
use rankmill_tests::program::Bench;
use rankmill_tests::result::digests;

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
    bench.succeed(command(bench, job, graph, flags, out));
    bench.path(out)
}

fn rmat(bench: &Bench, scale: u32, seed: u32) -> Vec<String> {
    let file = bench.path(&format!("rmat-{seed}.parquet"));
    let file = file.display().to_string();
    let flags = format!("generate rmat --scale {scale} --edge-factor 8 --seed {seed} -o {file}");
    bench.succeed(words(&flags));
    vec![file]
}

/// What of the exact scores of the best `k` the found `k` have (RAG@k of the PowerWalk paper).
fn relative_goodness(found: &PersonalAnswer, exact: &PersonalAnswer, k: usize) -> f64 {
    let scores: BTreeMap<&str, f64> = by_id(exact);
    let gained = found.targets.iter().take(k);
    let gained: f64 = gained.filter_map(|(id, _)| scores.get(id.as_str())).sum();
    gained / exact.targets.iter().take(k).map(|(_, s)| s).sum::<f64>()
}

fn by_id(answer: &PersonalAnswer) -> BTreeMap<&str, f64> {
    let targets = answer.targets.iter();
    targets.map(|(id, score)| (id.as_str(), *score)).collect()
}

fn distance(found: &PersonalAnswer, exact: &PersonalAnswer) -> f64 {
    let (found, exact) = (by_id(found), by_id(exact));
    let ids = found
        .keys()
        .chain(exact.keys().filter(|id| !found.contains_key(*id)));
    ids.map(|id| (found.get(id).unwrap_or(&0.0) - exact.get(id).unwrap_or(&0.0)).abs())
        .sum()
}

/// Compares the answers with an index, and those without one to the same bound, with the exact
/// ones; returns the average RAG@`k` of both.
fn compare(bench: &Bench, graph: &[String], vertices: u64, sources: &str) -> (f64, f64) {
    const K: usize = 200;
    run(bench, "ppr-index", graph, "", "index");
    let index = bench.path("index").display().to_string();
    // Every target, so that whole vectors can be compared.
    let all = format!("--sources {sources} --top-k {vertices}");
    let flags = format!("{all} --method power --tol {EXACT}");
    let exact = PersonalFiles::read(&run(bench, "ppr", graph, &flags, "exact"));
    let flags = format!("{all} --index {index}");
    let indexed = PersonalFiles::read(&run(bench, "ppr", graph, &flags, "indexed"));
    // Without an index, push has to go until half of the mass has settled to be as good.
    let flags = format!("{all} --method push --tol 0.5");
    let pushed = PersonalFiles::read(&run(bench, "ppr", graph, &flags, "pushed"));
    assert_eq!(indexed.manifest["convergence"]["method"], "push+index");
    assert_eq!(indexed.order, exact.order);
    let (mut with, mut without) = (0.0, 0.0);
    for (source, exact) in &exact.answers {
        let found = &indexed.answers[source];
        let error = distance(found, exact);
        assert!(
            error <= found.residual + EXACT,
            "{source}: {error} > {}",
            found.residual
        );
        assert!(found.residual <= 1.9, "{source}: {}", found.residual);
        with += relative_goodness(found, exact, K);
        without += relative_goodness(&pushed.answers[source], exact, K);
    }
    let count = exact.answers.len() as f64;
    (with / count, without / count)
}

#[test]
fn an_index_finds_the_best_of_real_graphs_within_its_bound() {
    let mut checked = 0;
    for reference in graph::all() {
        if reference.vertices > 10_000 || reference.dangling() == "uniform" {
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
        let sources = sources.join(",");
        let (with, without) = compare(&bench, &graph, reference.vertices, &sources);
        eprintln!(
            "{}: RAG@200 {with:.5}, {without:.5} without",
            reference.name
        );
        assert!(with > 0.99, "{}: {with}", reference.name);
        checked += 1;
    }
    assert!(checked >= 3, "only {checked} graphs were checked");
}

#[test]
fn an_index_finds_the_best_of_a_generated_graph_within_its_bound() {
    let bench = Bench::new();
    let graph = rmat(&bench, 11, 1);
    let vertices = 1 << 11;
    let (with, without) = compare(&bench, &graph, vertices, "all");
    eprintln!("rmat 11: RAG@200 {with:.5}, {without:.5} without");
    assert!(with > 0.99 && with > without, "{with}, {without} without");
}

#[test]
fn threads_do_not_change_a_byte() {
    let jobs = [
        // Long fingerprints make several files.
        ("", "--walks 20 --entries 16384"),
        (
            "--undirected --dangling self-loop",
            "--walks 7 --entries 5 --seed 3",
        ),
    ];
    for (graph_flags, walk_flags) in jobs {
        let results: Vec<_> = [1, 2, 3]
            .iter()
            .map(|threads| {
                let bench = Bench::new();
                let graph = rmat(&bench, 11, 1);
                let flags = format!("{graph_flags} {walk_flags} --threads {threads}");
                let index = run(&bench, "ppr-index", &graph, &flags, "index");
                let flags = format!(
                    "{graph_flags} --sources all --top-k 5 --threads {threads} --index {}",
                    index.display()
                );
                let used = digests(&run(&bench, "ppr", &graph, &flags, "out"));
                (digests(&index), used)
            })
            .collect();
        assert!(
            !graph_flags.is_empty() || results[0].0.len() > 1,
            "one file only"
        );
        assert_eq!(results[0], results[1], "{graph_flags} {walk_flags}");
        assert_eq!(results[0], results[2], "{graph_flags} {walk_flags}");
    }
}

#[test]
fn an_index_that_does_not_fit_is_refused_and_what_differs_is_named() {
    let bench = Bench::new();
    let graph = rmat(&bench, 8, 1);
    let index = run(&bench, "ppr-index", &graph, "--walks 5", "index");
    let index = index.display().to_string();
    let refused = |graph: &[String], flags: &str, index: &str, expected: &str| {
        let flags = format!("--sources all {flags} --index {index}");
        let (code, text) = bench.fail(command(&bench, "ppr", graph, &flags, "out"));
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(expected), "{flags}: {text}");
        assert!(!bench.path("out").join("_manifest.json").exists());
    };
    let other = rmat(&bench, 8, 2);
    refused(&other, "", &index, "another graph");
    refused(&graph, "--undirected", &index, "another graph");
    refused(
        &graph,
        "--damping 0.8",
        &index,
        "--damping is 0.85, not 0.8",
    );
    refused(
        &graph,
        "--dangling self-loop",
        &index,
        "--dangling is restart, not self-loop",
    );
    let scores = run(&bench, "pagerank", &graph, "", "scores");
    refused(&graph, "", &scores.display().to_string(), "pagerank job");
    std::fs::remove_file(bench.path("scores/_manifest.json")).expect("removed");
    refused(
        &graph,
        "",
        &scores.display().to_string(),
        "no finished index",
    );
    // A file that is not what the manifest says.
    let folder = bench.path("index/fingerprints");
    let file = std::fs::read_dir(folder).expect("files").next();
    let file = file.expect("a file").expect("readable").path();
    let mut bytes = std::fs::read(&file).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    refused(&graph, "", &index, "is damaged");
}

#[test]
fn workers_do_not_change_a_byte() {
    let alone = Bench::new();
    let graph = rmat(&alone, 11, 1);
    let walk = "--walks 20 --entries 16384";
    let index = run(&alone, "ppr-index", &graph, walk, "index");
    let flags = format!("--sources all --top-k 5 --index {}", index.display());
    let used = digests(&run(&alone, "ppr", &graph, &flags, "out"));
    for workers in [1, 2] {
        let bench = Bench::new();
        let cluster = Cluster::start(&bench, workers);
        let there = format!("--coordinator {}", cluster.url());
        let made = run(
            &bench,
            "ppr-index",
            &graph,
            &format!("{walk} {there}"),
            "index",
        );
        assert_eq!(digests(&made), digests(&index), "{workers} workers");
        let flags = format!("--sources all --top-k 5 --index {} {there}", made.display());
        let found = digests(&run(&bench, "ppr", &graph, &flags, "out"));
        assert_eq!(found, used, "{workers} workers");
    }
}

#[test]
fn an_index_and_its_use_continue_after_kill_9() {
    let clean = Bench::new();
    let graph = rmat(&clean, 12, 1);
    let walk = "--walks 200 --entries 16384";
    let index = run(&clean, "ppr-index", &graph, walk, "out");
    let walked = JobLog::read(&clean.path("state")).commits.len();
    let flags = format!(
        "--sources all --top-k 50 --tol 1 --index {}",
        index.display()
    );
    let clean = Bench::new();
    let used = run(&clean, "ppr", &graph, &flags, "out");
    let pushed = JobLog::read(&clean.path("state")).commits.len();
    for (job, flags, (tasks, eighths), expected) in [
        ("ppr-index", walk, (walked, 5), &index),
        ("ppr-index", walk, (walked, 6), &index),
        ("ppr", &flags, (pushed, 3), &used),
        ("ppr", &flags, (pushed, 4), &used),
    ] {
        let killed = Midway::kill(tasks, eighths, |bench| {
            command(bench, job, &graph, flags, "out")
        });
        killed.go_on();
        let found = digests(&killed.bench.path("out"));
        assert_eq!(
            found,
            digests(expected),
            "{job} killed after {eighths} of 8"
        );
    }
}

#[test]
fn odd_graphs_go_through_an_index_as_well() {
    // Loops, parallel edges, edges far heavier than others, a star of sinks, an isolated vertex.
    type Edges = Vec<(i64, i64, f64)>;
    let odd: [(&str, Edges, &str); 3] = [
        (
            "loops",
            vec![
                (0, 0, 1.0),
                (0, 1, 2.0),
                (1, 1, 0.5),
                (1, 2, 0.5),
                (2, 0, 7.0),
                (2, 0, 1.0),
            ],
            "",
        ),
        (
            "weights",
            vec![
                (0, 1, 1e9),
                (0, 2, 1e-3),
                (1, 2, 3.0),
                (2, 0, 1.0),
                (2, 3, 1e-6),
                (3, 0, 1e6),
            ],
            "",
        ),
        (
            "sinks",
            (1..40).map(|leaf| (0, leaf, 1.0)).collect(),
            "--ids dense --vertices 41",
        ),
    ];
    for (name, edges, flags) in odd {
        for dangling in ["restart", "self-loop"] {
            let bench = Bench::new();
            let path = bench.path("odd.parquet");
            let columns = vec![
                ("src", column(edges.iter().map(|e| e.0).collect::<Vec<_>>())),
                ("dst", column(edges.iter().map(|e| e.1).collect::<Vec<_>>())),
                (
                    "w",
                    column(edges.iter().map(|e| Some(e.2)).collect::<Vec<_>>()),
                ),
            ];
            write_parquet(&path, columns, 1);
            let mut graph = vec![path.display().to_string()];
            graph.extend(words(&format!("--weight w --dangling {dangling} {flags}")));
            let (with, _) = compare(&bench, &graph, 41, "all");
            assert!(with > 0.999, "{name}, {dangling}: {with}");
        }
    }
}
