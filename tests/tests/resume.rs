//! Killed at any moment, the same command continues and makes the same bytes.

use std::time::Duration;

use rankmill_tests::log::JobLog;
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

/// Attempts that may be granted beyond one per task: a lease lost to a machine that stalled.
const STALLS: u64 = 2;

/// Tries to kill the run before it ends; on a busy machine it may end between look and kill.
const TRIES: usize = 5;

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
        let target = (tasks * eighths / 8).max(1);
        let (bench, before) = (0..TRIES)
            .find_map(|_| killed_after(target, flags))
            .expect("the run ended before it could be killed, every time");
        let out = bench.path("out");
        let mut arguments = arguments(&out.display().to_string());
        arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
        bench.succeed(&arguments);
        assert_eq!(
            digests(&out),
            expected,
            "killed after {target} of {tasks} tasks"
        );
        check_nothing_ran_again(&before, &JobLog::read(&bench.path("state")), tasks);
    }
}

/// A run with some more flags, killed once its log holds `target` tasks, and that log; none if it
/// was too fast.
fn killed_after(target: usize, flags: &[&str]) -> Option<(Bench, JobLog)> {
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = arguments(&out.display().to_string());
    arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
    let mut process = Process::start(bench.command(&arguments));
    wait_until("the log", Duration::from_secs(120), || {
        JobLog::read(&bench.path("state")).commits.len() >= target
    });
    process.kill();
    let before = JobLog::read(&bench.path("state"));
    (!out.join("_manifest.json").exists()).then_some((bench, before))
}

/// The log goes on where it was, with each task that was missing and no other.
fn check_nothing_ran_again(before: &JobLog, after: &JobLog, tasks: usize) {
    assert_eq!(after.commits[..before.commits.len()], before.commits[..]);
    assert_eq!(after.commits.len(), tasks, "tasks were committed anew");
    assert!(after.commits_per_task().values().all(|&times| times == 1));
    let missing = (tasks - before.commits.len()) as u64;
    let granted = after.commits[before.commits.len()..]
        .iter()
        .map(|(_, attempt)| attempt.number)
        .max()
        .unwrap_or(0);
    assert!(
        granted <= missing + STALLS,
        "{granted} attempts for {missing} missing tasks: finished tasks ran again"
    );
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
