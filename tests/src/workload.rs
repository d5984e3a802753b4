//! One small factorization that runs again and again under faults, and what it makes undisturbed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::log::JobLog;
use crate::program::Bench;
use crate::result::digests;

/// Files of the input: as many blocks, so as many tasks in most stages.
const FILES: usize = 4;

/// The input, and the truth about it. Made once per test process.
pub struct Workload {
    bench: Bench,
    /// Digest of every output file of the run without faults.
    pub digests: BTreeMap<String, String>,
    /// Number of its tasks.
    pub tasks: usize,
    /// Number of its log's slots.
    pub slots: usize,
}

impl Workload {
    /// The workload of this process.
    ///
    /// # Panics
    ///
    /// If the undisturbed run fails.
    pub fn get() -> &'static Self {
        static WORKLOAD: OnceLock<Workload> = OnceLock::new();
        WORKLOAD.get_or_init(Self::make)
    }

    fn make() -> Self {
        let bench = Bench::new();
        let input = bench.path("input");
        std::fs::create_dir(&input).expect("a folder");
        for file in 0..FILES {
            let path = input.join(format!("part-{file}.parquet"));
            let (seed, path) = (file.to_string(), path.display().to_string());
            let size = ["--rows", "3000", "--cols", "64"];
            let mut arguments = vec!["generate", "dense", "--seed", &seed, "-o", &path];
            arguments.extend(size);
            bench.succeed(arguments);
        }
        let mut workload = Self {
            bench,
            digests: BTreeMap::new(),
            tasks: 0,
            slots: 0,
        };
        let out = workload.bench.path("undisturbed");
        workload
            .bench
            .succeed(workload.arguments(&out.display().to_string()));
        workload.digests = digests(&out);
        let log = JobLog::read(&workload.bench.path("state"));
        (workload.tasks, workload.slots) = (log.commits.len(), log.slots);
        workload
    }

    /// The folder with the input.
    pub fn input(&self) -> PathBuf {
        self.bench.path("input")
    }

    /// The command line that writes to `out`.
    pub fn arguments(&self, out: &str) -> Vec<String> {
        let input = self.input().display().to_string();
        let flags = ["--id", "id", "--vector", "vector", "--method", "lanczos"];
        let size = ["-k", "8", "--tol", "1e-6", "-o", out];
        let mut arguments = vec!["svd".to_owned(), input];
        arguments.extend(flags.into_iter().chain(size).map(str::to_owned));
        arguments
    }
}
