//! Killed at any moment, the same command continues and makes the same bytes.

use std::time::Duration;

use rankmill_tests::program::{Bench, Process, wait_until};
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

/// Slots of the only job's log.
fn log_length(bench: &Bench) -> usize {
    let Ok(jobs) = std::fs::read_dir(bench.path("state").join("jobs")) else {
        return 0;
    };
    jobs.flatten()
        .filter_map(|job| std::fs::read_dir(job.path().join("log")).ok())
        .map(Iterator::count)
        .sum()
}

#[test]
fn a_killed_run_continues_where_it_was() {
    let clean = Bench::new();
    let out = clean.path("out");
    clean.succeed(arguments(&out.display().to_string()));
    let expected = digests(&out);
    let length = log_length(&clean);
    for share in [1, 3, 5, 7] {
        let bench = Bench::new();
        let out = bench.path("out");
        let arguments = arguments(&out.display().to_string());
        let mut process = Process::start(bench.command(&arguments));
        let target = (length * share / 8).max(2);
        wait_until("the log", Duration::from_secs(120), || {
            log_length(&bench) >= target
        });
        process.kill();
        assert!(
            !out.join("_manifest.json").exists(),
            "killed too late to test anything"
        );
        let before = log_length(&bench);
        bench.succeed(&arguments);
        assert_eq!(
            digests(&out),
            expected,
            "killed after {target} of {length} slots"
        );
        assert!(
            log_length(&bench) < before + length,
            "finished stages ran again: {before} slots before, {} after, {length} in a clean run",
            log_length(&bench)
        );
    }
}

#[test]
fn a_finished_result_is_kept_unless_told_otherwise() {
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = arguments(&out.display().to_string());
    bench.succeed(&arguments);
    let before = digests(&out);
    let (code, message) = bench.fail(&arguments);
    assert_eq!(code, 4, "{message}");
    assert!(message.contains("--overwrite"), "{message}");
    assert_eq!(digests(&out), before);
    arguments.push("--overwrite".into());
    bench.succeed(&arguments);
    assert_eq!(digests(&out), before);
}
