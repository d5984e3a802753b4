//! Runs the `rankmill` binary that `cargo test --workspace` has built.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
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

    /// Makes commands with this place's state directory, the same one each time.
    pub fn recipe<F>(&self, fill: F) -> impl Fn() -> Command + use<F>
    where
        F: Fn(&mut Command),
    {
        let state = self.path("state");
        move || {
            let mut command = Command::new(binary());
            command
                .env("RANKMILL_STATE", &state)
                .env("RANKMILL_LOG", "info")
                .env_remove("RANKMILL_COORDINATOR");
            fill(&mut command);
            command
        }
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

/// A process that is killed when the test is done with it, also where the test panics.
pub struct Process {
    child: Child,
}

/// What `kill` can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks it to end.
    Terminate,
    /// Freezes it.
    Stop,
    /// Lets it go on.
    Continue,
}

impl Process {
    /// Starts `command` with its output thrown away.
    pub fn start(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the process starts");
        Self { child }
    }

    /// Starts `command` with all its output added to the file `log`.
    pub fn start_logged(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log);
        let file = file.expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the process starts");
        Self { child }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal. A process that has ended hears nothing.
    pub fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "TERM",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        };
        // A builtin of every shell: no other program is needed.
        let script = format!("kill -{name} {} 2>/dev/null", self.id());
        let _ = Command::new("sh").args(["-c", &script]).status();
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended; nothing while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the system knows its child")
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// After `limit`: then it hangs.
    pub fn wait(&mut self, what: &str, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_until(what, limit, || {
            status = self.ended();
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
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

/// Every file below `folder`.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let below = |path: PathBuf| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    };
    let mut files: Vec<_> = entries
        .flatten()
        .flat_map(|entry| below(entry.path()))
        .collect();
    files.sort();
    files
}
