//! Kills a run in its middle and lets it continue.

use std::time::Duration;

use crate::log::JobLog;
use crate::program::{Bench, Process, wait_until};

/// Attempts that may be granted beyond one per task: a lease lost to a machine that stalled.
const STALLS: u64 = 2;
/// How long a run may take to come to its middle.
const LIMIT: Duration = Duration::from_secs(120);

/// A run that was killed after some of its tasks were committed and before it had a result.
pub struct Midway {
    /// Where it ran, and no other job.
    pub bench: Bench,
    arguments: Vec<String>,
    tasks: usize,
    before: JobLog,
}

impl Midway {
    /// Starts what `arguments` makes for a fresh place, a command that writes to `out` in it, and
    /// kills it once `eighths` eighths of its `tasks` are in its log.
    ///
    /// On a busy machine a run may end between the look at its log and the kill. Then another one
    /// is killed an eighth earlier.
    ///
    /// # Panics
    ///
    /// If even runs that were to be killed after their first task ended before.
    pub fn kill(tasks: usize, eighths: usize, arguments: impl Fn(&Bench) -> Vec<String>) -> Self {
        let earlier = (0..=eighths).rev().chain([0, 0]);
        earlier
            .map(|eighths| (tasks * eighths / 8).max(1))
            .find_map(|target| {
                let bench = Bench::new();
                let arguments = arguments(&bench);
                let before = killed_after(&bench, &arguments, target)?;
                Some(Self {
                    bench,
                    arguments,
                    tasks,
                    before,
                })
            })
            .expect("the run ended before it could be killed, every time")
    }

    /// Runs the same command again, to its end.
    ///
    /// # Panics
    ///
    /// If the log does not go on where it was, with each task that was missing and no other.
    pub fn go_on(&self) {
        self.bench.succeed(&self.arguments);
        let after = JobLog::read(&self.bench.path("state"));
        let (kept, added) = after.commits.split_at(self.before.commits.len());
        assert_eq!(kept, self.before.commits);
        assert_eq!(after.commits.len(), self.tasks, "tasks were committed anew");
        assert!(after.commits_per_task().values().all(|&times| times == 1));
        let missing = added.len() as u64;
        let granted = added.iter().map(|(_, attempt)| attempt.number).max();
        let granted = granted.unwrap_or(0);
        assert!(
            granted <= missing + STALLS,
            "{granted} attempts for {missing} missing tasks: finished tasks ran again"
        );
    }
}

/// The log of a run that is killed once it holds `target` tasks; none if the run was too fast.
fn killed_after(bench: &Bench, arguments: &[String], target: usize) -> Option<JobLog> {
    let state = bench.path("state");
    let mut process = Process::start(bench.command(arguments));
    wait_until("the log", LIMIT, || {
        process.ended().is_some() || JobLog::read(&state).commits.len() >= target
    });
    process.kill();
    let ended = bench.path("out").join("_manifest.json").exists();
    (!ended).then(|| JobLog::read(&state))
}
