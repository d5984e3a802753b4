//! A cluster at work on the workload, and what has to hold at the end whatever happened meanwhile.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Ended, Follower, Shape};
use crate::log::JobLog;
use crate::program::{Bench, wait_until};
use crate::result::digests;
use crate::workload::Workload;

/// How long a job may take before it counts as hanging: a hundred times what it takes undisturbed.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Attempts that a worker holds at a time.
const SLOTS: usize = 2;

/// Attempts lost to a machine that stalls, beyond those lost to the faults of a test.
const STALLS: usize = 12;

/// A cluster with the workload's job under way.
pub struct Scene {
    /// What runs, and what comes of it undisturbed.
    pub workload: &'static Workload,
    /// Where it happens.
    pub bench: Bench,
    /// Who works.
    pub cluster: Cluster,
    /// Who watches.
    pub job: Follower,
}

impl Scene {
    /// Starts a cluster, and the job once all workers are there.
    pub fn start(shape: Shape) -> Self {
        Self::set(Bench::new(), shape, |_| {})
    }

    /// As [`Self::start`], on a given bench; `prepare` runs before the job is submitted.
    pub fn set(bench: Bench, shape: Shape, prepare: impl FnOnce(&mut Cluster)) -> Self {
        let workload = Workload::get();
        let workers = shape.workers;
        let mut cluster = Cluster::of(&bench, shape);
        cluster.wait_for_workers(workers);
        prepare(&mut cluster);
        let job = Follower::start(&bench, &cluster, "out", |out| workload.arguments(out));
        Self {
            workload,
            bench,
            cluster,
            job,
        }
    }

    /// Waits until the job's log has `percent` of the slots that it has in the end.
    ///
    /// # Panics
    ///
    /// If it does not get there in time.
    pub fn wait_for_percent(&self, percent: usize) {
        let slots = (self.workload.slots * percent / 100).max(1);
        wait_until("the job's log", LIMIT, || {
            JobLog::count_slots(self.cluster.state()) >= slots
        });
    }

    /// What the log says now.
    pub fn log(&self) -> JobLog {
        JobLog::read(self.cluster.state())
    }

    /// Waits for the end of the job, which must be a failure within `limit`.
    ///
    /// # Panics
    ///
    /// If it succeeds, hangs, or leaves anything in its output.
    pub fn fails(&mut self, limit: Duration) -> Ended {
        let ended = self.job.wait(limit);
        assert_ne!(ended.code, 0, "it succeeded: {}", ended.said);
        let left = crate::program::files_below(&self.job.out);
        assert!(left.is_empty(), "half a result was left: {left:?}");
        ended
    }

    /// Waits for the end of the job and compares everything with the run without faults: output
    /// bytes, tasks, and that no task was committed twice or run again for no reason. `losses` is
    /// how often a worker or a coordinator was lost to it.
    ///
    /// # Panics
    ///
    /// If anything differs.
    pub fn succeeds(&mut self, losses: usize) -> JobLog {
        let ended = self.job.wait(LIMIT);
        assert_eq!(ended.code, 0, "{}", ended.said);
        let log = self.log();
        self.compare(&log, losses);
        log
    }

    /// The comparison of [`Self::succeeds`], for a job that somebody else has waited for.
    ///
    /// # Panics
    ///
    /// If anything differs.
    pub fn compare(&self, log: &JobLog, losses: usize) {
        assert_eq!(
            digests(&self.job.out),
            self.workload.digests,
            "other bytes than undisturbed"
        );
        assert_eq!(log.jobs, 1, "the job was accepted more than once");
        assert_eq!(
            log.commits.len(),
            self.workload.tasks,
            "tasks were committed anew"
        );
        let twice = log
            .commits_per_task()
            .into_iter()
            .find(|(_, times)| *times > 1);
        assert_eq!(twice, None, "a task was committed twice");
        assert!(
            log.epochs.is_sorted(),
            "a replaced coordinator still wrote: {:?}",
            log.epochs
        );
        let workers = self.cluster.workers.len();
        // A change of leader that nobody asked for is one more loss.
        let losses = losses.max(log.epoch as usize - 1);
        let most = self.workload.tasks + losses * workers * SLOTS + STALLS;
        assert!(
            log.granted() <= most as u64,
            "{} attempts at {} tasks with {losses} losses: finished tasks ran again",
            log.granted(),
            self.workload.tasks
        );
    }

    /// The log went on where it was at `before`, whose entries still count.
    ///
    /// # Panics
    ///
    /// If one of them has changed.
    pub fn continued(before: &JobLog, after: &JobLog) {
        assert_eq!(after.commits[..before.commits.len()], before.commits[..]);
    }
}

/// The time that `work` takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
