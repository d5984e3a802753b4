//! Killed at any moment, the same command continues and makes the same bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, StringArray};
use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::log::JobLog;
use rankmill_tests::midway::Midway;
use rankmill_tests::program::{Bench, files_below};
use rankmill_tests::reference;
use rankmill_tests::result::digests;

fn arguments(out: &str) -> Vec<String> {
    let wordnet = reference::all()
        .into_iter()
        .find(|reference| reference.name == "examples/wordnet")
        .expect("the example");
    let mut arguments = wordnet.arguments();
    arguments.extend(["-k", "16", "--method", "lanczos", "-o", out].map(str::to_owned));
    arguments
}

#[test]
fn a_killed_run_continues_where_it_was() {
    let clean = Bench::new();
    let out = clean.path("out");
    clean.succeed(arguments(&out.display().to_string()));
    let expected = digests(&out);
    let tasks = JobLog::read(&clean.path("state")).commits.len();
    for (eighths, flags) in [
        (1, &[][..]),
        (2, &[]),
        (1, &["--write-through"]),
        (4, &["--write-through"]),
        (7, &["--write-through"]),
    ] {
        let killed = Midway::kill(tasks, eighths, |bench| {
            let mut arguments = arguments(&bench.path("out").display().to_string());
            arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
            arguments
        });
        killed.go_on();
        assert_eq!(
            digests(&killed.bench.path("out")),
            expected,
            "killed after {eighths} of 8"
        );
    }
}

#[test]
fn a_killed_run_whose_input_has_changed_starts_anew() {
    let on_a_copy = |bench: &Bench| {
        let (copy, out) = (bench.path("in.parquet"), bench.path("out"));
        let mut arguments = arguments(&out.display().to_string());
        if !copy.exists() {
            std::fs::copy(&arguments[1], &copy).expect("copied");
        }
        arguments[1] = copy.display().to_string();
        arguments
    };
    let another = |path: &Path| {
        let ids = |step: usize| -> ArrayRef {
            let ids = (0..900).map(|i| format!("s{}", i * step % 61));
            Arc::new(StringArray::from_iter_values(ids))
        };
        let values: Vec<f64> = (0..900).map(|i| f64::from(i % 13) + 1.0).collect();
        let columns = vec![
            ("source", ids(7)),
            ("target", ids(11)),
            ("weight", column(values)),
        ];
        write_parquet(path, columns, 100);
    };
    let clean = Bench::new();
    let before = on_a_copy(&clean);
    clean.succeed(&before);
    let tasks = JobLog::read(&clean.path("state")).commits.len();
    let expected = Bench::new();
    another(&expected.path("in.parquet"));
    expected.succeed(on_a_copy(&expected));

    let killed = Midway::kill(tasks, 4, on_a_copy);
    another(&killed.bench.path("in.parquet"));
    killed.bench.succeed(on_a_copy(&killed.bench));
    assert_eq!(
        digests(&killed.bench.path("out")),
        digests(&expected.path("out"))
    );
}

/// As [`arguments`], for as many components.
fn components(k: &str, out: &Path) -> Vec<String> {
    let mut arguments = arguments(&out.display().to_string());
    let at = arguments.iter().position(|argument| argument == "16");
    arguments[at.expect("-k 16")] = k.to_owned();
    arguments
}

#[test]
fn a_killed_run_gives_way_to_other_parameters_and_only_there() {
    let clean = Bench::new();
    let result = |k: &str| {
        let out = clean.path(k);
        clean.succeed(components(k, &out));
        digests(&out)
    };
    let (sixteen, eight) = (result("16"), result("8"));
    let tasks = JobLog::read(&clean.path("state")).commits.len();
    let killed = Midway::kill(tasks / 2, 4, |bench| components("16", &bench.path("out")));
    let bench = &killed.bench;
    let log = || files_below(&bench.path("state/jobs")).len();
    let (out, elsewhere) = (bench.path("out"), bench.path("elsewhere"));
    let scratch = log();

    bench.succeed(components("8", &elsewhere));
    assert_eq!(digests(&elsewhere), eight);
    assert!(!out.join("_manifest.json").exists(), "nobody asked for it");
    assert!(log() >= scratch, "its objects went");

    let said = bench.succeed(components("8", &out)).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("is given up"), "{said}");
    assert_eq!(digests(&out), eight);

    let mut again = components("16", &out);
    again.push("--overwrite".to_owned());
    bench.succeed(again);
    assert_eq!(digests(&out), sixteen);
}

#[test]
fn a_file_of_the_same_size_and_time_is_not_taken_for_the_one_before() {
    let bench = Bench::new();
    let input = bench.path("in.parquet");
    let write = |values: Vec<f64>| {
        let ids = |modulus: i64| (0..35).map(|i| i % modulus).collect::<Vec<i64>>();
        let columns = vec![
            ("user", column(ids(7))),
            ("item", column(ids(5))),
            ("rating", column(values)),
        ];
        write_parquet(&input, columns, 40);
        let file = File::options().append(true).open(&input).expect("a file");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        file.set_modified(time).expect("a time");
        file.metadata().expect("a size").len()
    };
    let run = |out: &str| {
        let (input, out) = (input.display().to_string(), bench.path(out));
        let flags = [
            "--row", "user", "--col", "item", "--value", "rating", "-k", "2", "-o",
        ];
        let mut arguments = vec!["svd", &input];
        arguments.extend(flags);
        let out_text = out.display().to_string();
        arguments.push(&out_text);
        bench.succeed(&arguments);
        digests(&out)
    };
    let values: Vec<f64> = (0..35).map(|i| f64::from(i % 9) + 1.0).collect();
    let size = write(values.clone());
    let before = run("before");
    assert_eq!(write(values.into_iter().rev().collect()), size);
    assert_ne!(run("after"), before);
}

#[test]
fn a_finished_result_is_kept_unless_told_otherwise() {
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = arguments(&out.display().to_string());
    // What a killed run may leave.
    std::fs::create_dir_all(out.join("left")).expect("made");
    let staged = ["_manifest.json#1", "left/part-00007-0123abcd.parquet#1"];
    let theirs = out.join("left/users.parquet#1");
    for file in staged.map(|file| out.join(file)).iter().chain([&theirs]) {
        std::fs::write(file, "{").expect("written");
    }
    bench.succeed(&arguments);
    assert!(staged.iter().all(|file| !out.join(file).exists()));
    assert!(theirs.exists());
    let before = digests(&out);
    let (code, message) = bench.fail(&arguments);
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("--overwrite"), "{message}");
    assert_eq!(digests(&out), before);
    arguments.push("--overwrite".into());
    bench.succeed(&arguments);
    assert_eq!(digests(&out), before);
}

#[test]
fn runs_that_have_ended_are_not_looked_at_again() {
    let bench = Bench::new();
    for rank in 2..7 {
        let out = bench.path(&format!("out-{rank}")).display().to_string();
        let mut arguments = arguments(&out);
        let place = arguments.iter().position(|argument| argument == "16");
        arguments[place.expect("a rank")] = rank.to_string();
        bench.succeed(&arguments);
    }
    let hint = std::fs::read(bench.path("state/cluster/hint.json")).expect("a hint");
    let hint: serde_json::Value = serde_json::from_slice(&hint).expect("JSON");
    let live = hint["live"].as_array().expect("jobs");
    assert!(live.len() <= 1, "{hint}");
}
