//! Scratch goes as the job goes, and nobody misses it: not after a kill, not where a later output is
//! lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rankmill_tests::log::JobLog;
use rankmill_tests::program::{Bench, Process, wait_until};
use rankmill_tests::reference;
use rankmill_tests::result::digests;

/// Tries to kill the run before it ends; on a busy machine it may end between look and kill.
const TRIES: usize = 5;

fn arguments(out: &Path) -> Vec<String> {
    let wordnet = reference::all()
        .into_iter()
        .find(|reference| reference.name == "examples/wordnet")
        .expect("the example");
    let mut arguments = wordnet.arguments();
    let out = out.display().to_string();
    arguments.extend(["-k", "16", "--method", "lanczos", "-o", &out].map(str::to_owned));
    arguments
}

/// A run killed once its log has released objects in `releases` entries; none if it was too fast.
fn killed_after(releases: usize) -> Option<Bench> {
    let bench = Bench::new();
    let out = bench.path("out");
    let mut process = Process::start(bench.command(arguments(&out)));
    wait_until("a release", Duration::from_secs(120), || {
        JobLog::read(&bench.path("state")).releases.len() >= releases
    });
    process.kill();
    (!out.join("_manifest.json").exists()).then_some(bench)
}

fn undisturbed() -> std::collections::BTreeMap<String, String> {
    let bench = Bench::new();
    bench.succeed(arguments(&bench.path("out")));
    digests(&bench.path("out"))
}

#[test]
fn a_run_killed_after_a_release_continues_without_what_is_gone() {
    let expected = undisturbed();
    for releases in [1, 2] {
        let bench = (0..TRIES)
            .find_map(|_| killed_after(releases))
            .expect("the run ended before it could be killed, every time");
        let state = bench.path("state");
        let log = JobLog::read(&state);
        // The kill may have come between the log and the deletions.
        for key in log.releases.iter().flatten() {
            assert!(
                key.starts_with("jobs/"),
                "{key} belongs to other jobs as well"
            );
            let _ = fs::remove_file(state.join(key));
        }
        bench.succeed(arguments(&bench.path("out")));
        assert_eq!(digests(&bench.path("out")), expected);
        let after = JobLog::read(&state);
        assert!(after.commits_per_task().values().all(|&times| times == 1));
        let mut keys: Vec<_> = after.releases.iter().flatten().collect();
        keys.sort();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "a replay released the same again");
    }
}

#[test]
fn a_block_lost_after_its_entries_were_released_is_built_anew() {
    let expected = undisturbed();
    let bench = (0..TRIES)
        .find_map(|_| killed_after(2))
        .expect("the run ended before it could be killed, every time");
    let state = bench.path("state");
    for key in JobLog::read(&state).releases.iter().flatten() {
        let _ = fs::remove_file(state.join(key));
    }
    let mut blocks = Vec::new();
    find(&state.join("matrices"), "block.arrow", &mut blocks);
    assert!(!blocks.is_empty(), "the blocks were built before the kill");
    for block in &blocks {
        fs::remove_file(block).expect("it was there");
    }
    bench.succeed(arguments(&bench.path("out")));
    assert_eq!(digests(&bench.path("out")), expected);
    assert!(blocks.iter().all(|block| block.exists()));
}

fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
}
