//! Runs the `rankmill` binary that `cargo test --workspace` has built.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A place for one test: inputs, outputs and a state directory of its own.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    /// A fresh place.
    ///
    /// # Panics
    ///
    /// If there is no room for temporary files.
    #[allow(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command with this place's state directory.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("RANKMILL_STATE", self.path("state"))
            .env_remove("RANKMILL_COORDINATOR")
            .env_remove("RANKMILL_STORES");
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs a command that has to succeed.
    pub fn succeed<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "exit {:?}\n{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Runs a command that has to fail; returns its exit code and what it says.
    pub fn fail<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> (i32, String) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it succeeded:\n{text}");
        (output.status.code().unwrap_or(-1), text)
    }
}

/// The binary beside the test's own executable.
///
/// # Panics
///
/// If it is not there: `cargo test --workspace` builds it.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.ancestors().nth(2).expect("a target directory");
    let binary = folder.join(format!("rankmill{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is not built: run `cargo test --workspace`",
        binary.display()
    );
    binary
}

/// A process that is killed when the test is done with it.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` with its output thrown away.
    pub fn start(command: Command) -> Self {
        Self::spawn(command, Stdio::null())
    }

    /// Starts `command` with what it says on stderr in the file `log`.
    pub fn start_with_log(command: Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).expect("a log");
        Self::spawn(command, file.into())
    }

    fn spawn(mut command: Command, stderr: Stdio) -> Self {
        let child = command
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the process starts");
        Self { child }
    }

    /// Kills it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A coordinator and its workers, as processes of their own.
pub struct Cluster {
    /// Where it listens.
    pub url: String,
    _coordinator: Process,
    _workers: Vec<Process>,
}

impl Cluster {
    /// Starts a coordinator on a free port of the loopback interface, and workers that use one
    /// thread each.
    pub fn start(bench: &Bench, workers: usize) -> Self {
        let state = bench.path("cluster").display().to_string();
        Self::start_on(bench, workers, &state, |_| {})
    }

    /// As [`Self::start`], with its state at a place of any kind; `prepare` completes each command.
    pub fn start_on(
        bench: &Bench,
        workers: usize,
        state: &str,
        prepare: impl Fn(&mut Command),
    ) -> Self {
        let mut command =
            bench.command(["coordinator", "--listen", "127.0.0.1:0", "--state", state]);
        prepare(&mut command);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the coordinator starts");
        let url = announced_url(&mut child, &bench.path("coordinator.log"));
        let coordinator = Process { child };
        let workers = (0..workers)
            .map(|index| {
                let options = "--threads 1 --memory 2GiB --cache";
                let mut command = bench.command(["worker", "--coordinator", &url]);
                command
                    .args(options.split(' '))
                    .arg(bench.path(&format!("cache-{index}")));
                prepare(&mut command);
                let log = bench.path(&format!("worker-{index}.log"));
                Process::start_with_log(command, &log)
            })
            .collect();
        Self {
            url,
            _coordinator: coordinator,
            _workers: workers,
        }
    }
}

/// Reads the line in which the coordinator says where it listens; all lines go to `log`.
fn announced_url(child: &mut Child, log: &Path) -> String {
    let mut log = std::fs::File::create(log).expect("a log");
    let stderr = child.stderr.take().expect("a pipe");
    let mut lines = BufReader::new(stderr).lines();
    let url = loop {
        let line = lines
            .next()
            .expect("the coordinator says where it listens")
            .expect("text");
        writeln!(log, "{line}").expect("a log");
        if let Some(start) = line.find("coordinator on http://") {
            let start = start + "coordinator on ".len();
            let rest = &line[start..];
            break rest.split([' ', ',']).next().unwrap_or(rest).to_owned();
        }
    };
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = writeln!(log, "{line}");
        }
    });
    url
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// After `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what} took longer than {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The workspace's root.
///
/// # Panics
///
/// Never: the crate lies one folder below it.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a parent")
}
