//! Coordinators and workers as processes of their own, each of which can be killed, frozen, cut off
//! and started again, and clients that follow a job through all of it.
//!
//! Every worker and the clients reach every coordinator through a link of their own
//! (see [`crate::proxy`]). Every process writes to a log file; when a test panics, the ends of these
//! logs are printed.

use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::program::{Bench, Process, Signal, wait_until};
use crate::proxy::{Link, Weather};

/// Settings under which everything that waits seconds by default waits tenths of them.
///
/// A worker that stalls for a lease is lost, which on a busy machine happens to healthy ones too:
/// no test but the one about it may let a task be set aside for that.
pub const HASTY: &str = "\
heartbeat-ms = 200
lease-ms = 2000
leader-beat-ms = 200
takeover-ms = 1500
step-down-ms = 1200
poll-ms = 1000
lost-workers = 1000
no-workers-seconds = 120
";

/// Hasty towards workers, patient among coordinators: for tests that need one term from start to
/// end, also on a machine that stalls.
pub const CALM: &str = "\
heartbeat-ms = 200
lease-ms = 2000
poll-ms = 1000
lost-workers = 1000
no-workers-seconds = 120
";

/// What a cluster consists of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Coordinators: the first one leads, the others stand by.
    pub coordinators: usize,
    /// Workers of one thread each.
    pub workers: usize,
    /// The coordinators' settings, as in their file.
    pub settings: String,
    /// The state directory or URL, if not a directory of the bench.
    pub state: Option<PathBuf>,
    /// Variables of every process: what is set, and what is not there.
    pub environment: Environment,
}

/// Variables with their values; none where a variable must not be there.
pub type Environment = Vec<(OsString, Option<OsString>)>;

impl Default for Shape {
    /// A coordinator and a standby that are hasty, and three workers.
    fn default() -> Self {
        Self {
            coordinators: 2,
            workers: 3,
            settings: HASTY.to_owned(),
            state: None,
            environment: Vec::new(),
        }
    }
}

/// A process that can be started again as it was.
pub struct Member {
    name: String,
    log: PathBuf,
    command: Box<dyn Fn() -> Command>,
    process: Option<Process>,
}

impl Member {
    fn new(name: String, folder: &Path, command: impl Fn() -> Command + 'static) -> Self {
        Self {
            log: folder.join(format!("{name}.log")),
            name,
            command: Box::new(command),
            process: None,
        }
    }

    /// Starts it, if it does not run.
    pub fn start(&mut self) {
        if !self.is_running() {
            self.process = Some(Process::start_logged((self.command)(), &self.log));
        }
    }

    /// Kills it as `kill -9` does, also where it is frozen.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Freezes it: it holds its connections and its files, and does nothing.
    pub fn freeze(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets it go on after a freeze.
    pub fn thaw(&self) {
        self.signal(Signal::Continue);
    }

    /// Sends a signal, if it runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Its process number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Whether it runs, frozen or not.
    pub fn is_running(&mut self) -> bool {
        let running = |process: &mut Process| process.ended().is_none();
        self.process.as_mut().is_some_and(running)
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let process = self.process.as_mut().expect("it was started");
        process.wait(&format!("the end of {}", self.name), limit)
    }

    /// All that it has written so far.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Coordinators, workers, and the links between them.
pub struct Cluster {
    /// The coordinators.
    pub coordinators: Vec<Member>,
    /// The workers.
    pub workers: Vec<Member>,
    /// The links of each worker, one to each coordinator.
    pub links: Vec<Vec<Link>>,
    /// The links of the clients, one to each coordinator.
    pub client_links: Vec<Link>,
    addresses: Vec<SocketAddr>,
    state: PathBuf,
}

impl Cluster {
    /// A coordinator with default settings, and `workers` workers, all running.
    pub fn start(bench: &Bench, workers: usize) -> Self {
        let shape = Shape {
            coordinators: 1,
            workers,
            settings: String::new(),
            ..Shape::default()
        };
        Self::of(bench, shape)
    }

    /// As [`Self::start`], with its state at a place of any kind; `prepare` sets the variables of
    /// each process.
    pub fn start_on(
        bench: &Bench,
        workers: usize,
        state: &str,
        prepare: impl Fn(&mut Command),
    ) -> Self {
        let mut prepared = Command::new("env");
        prepare(&mut prepared);
        let owned =
            |(name, value): (&OsStr, Option<&OsStr>)| (name.to_owned(), value.map(OsStr::to_owned));
        let shape = Shape {
            coordinators: 1,
            workers,
            settings: String::new(),
            state: Some(PathBuf::from(state)),
            environment: prepared.get_envs().map(owned).collect(),
        };
        Self::of(bench, shape)
    }

    /// A cluster of this shape, all running, the first coordinator leading.
    ///
    /// # Panics
    ///
    /// If it does not get that far within a minute.
    pub fn of(bench: &Bench, shape: Shape) -> Self {
        let settings = bench.path("coordinator.toml");
        std::fs::write(&settings, &shape.settings).expect("written");
        let state = shape.state.unwrap_or_else(|| bench.path("cluster"));
        let folder = bench.path("");
        let addresses: Vec<_> = (0..shape.coordinators).map(|_| free_address()).collect();
        let links = |_| addresses.iter().map(|&address| Link::to(address)).collect();
        let mut cluster = Self {
            coordinators: Vec::new(),
            workers: Vec::new(),
            links: (0..shape.workers).map(links).collect(),
            client_links: links(0),
            addresses: addresses.clone(),
            state: state.clone(),
        };
        for (index, address) in addresses.into_iter().enumerate() {
            let name = format!("coordinator-{index}");
            let (settings, state) = (settings.clone(), state.clone());
            let environment = shape.environment.clone();
            let command = bench.recipe(move |command| {
                set(command, &environment);
                command.args(["coordinator", "--listen", &address.to_string(), "--state"]);
                command.arg(&state).arg("--config").arg(&settings);
            });
            let mut member = Member::new(name, &folder, command);
            member.start();
            cluster.coordinators.push(member);
            if index == 0 {
                cluster.wait_for_leader(0);
            }
        }
        for index in 0..shape.workers {
            let (urls, cache) = (
                urls(&cluster.links[index]),
                bench.path(&format!("cache-{index}")),
            );
            let environment = shape.environment.clone();
            let command = bench.recipe(move |command| {
                set(command, &environment);
                command.args(["worker", "--threads", "1", "--memory", "2GiB"]);
                command.args(["--coordinator", &urls]);
                command.arg("--cache").arg(&cache);
            });
            let mut member = Member::new(format!("worker-{index}"), &folder, command);
            member.start();
            cluster.workers.push(member);
        }
        cluster
    }

    /// What clients and further workers are given.
    pub fn url(&self) -> String {
        urls(&self.client_links)
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The coordinator that leads by its own account; none while nobody does.
    pub fn leader(&self) -> Option<usize> {
        (0..self.addresses.len()).find(|&index| self.metric(index, "rankmill_leader") == Some(1))
    }

    /// A number that coordinator `index` counts; none while it does not answer.
    pub fn metric(&self, index: usize, name: &str) -> Option<u64> {
        let page = get(self.addresses[index], "/metrics")?;
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    }

    /// A number that the leader counts; none while nobody leads.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.metric(self.leader()?, name)
    }

    /// Waits until coordinator `index` leads.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub fn wait_for_leader(&self, index: usize) {
        wait_until("the leader", Duration::from_secs(60), || {
            self.metric(index, "rankmill_leader") == Some(1)
        });
    }

    /// Waits until the leader counts `count` workers.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub fn wait_for_workers(&self, count: usize) {
        wait_until("the workers", Duration::from_secs(60), || {
            self.count("rankmill_workers") == Some(count as u64)
        });
    }

    /// Changes the weather between worker `index` and all coordinators.
    pub fn isolate_worker(&self, index: usize, weather: Weather) {
        for link in &self.links[index] {
            link.set(weather);
        }
    }

    /// Changes the weather between coordinator `index` and everybody but the state store.
    pub fn isolate_coordinator(&self, index: usize, weather: Weather) {
        for links in self.links.iter().chain([&self.client_links]) {
            links[index].set(weather);
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.coordinators.iter().chain(&self.workers)
    }
}

fn set(command: &mut Command, environment: &Environment) {
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for member in self.members() {
            let said = member.said();
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            eprintln!("--- {}\n{last}", member.name);
        }
    }
}

/// A client that submits a job and follows it to its end.
pub struct Follower {
    process: Process,
    log: PathBuf,
    /// Where the result goes.
    pub out: PathBuf,
}

/// How a client ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// All that it said.
    pub said: String,
}

impl Follower {
    /// Submits the command line that `arguments` makes for an output named `out`.
    pub fn start(
        bench: &Bench,
        cluster: &Cluster,
        out: &str,
        arguments: impl FnOnce(&str) -> Vec<String>,
    ) -> Self {
        let log = bench.path(&format!("{out}.log"));
        let out = bench.path(out);
        let mut arguments = arguments(&out.display().to_string());
        arguments.extend(["--coordinator".to_owned(), cluster.url()]);
        let process = Process::start_logged(bench.command(arguments), &log);
        Self { process, log, out }
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// After `limit`: then the job hangs.
    pub fn wait(&mut self, limit: Duration) -> Ended {
        let status = self.process.wait("the job", limit);
        let said = std::fs::read(&self.log).unwrap_or_default();
        Ended {
            code: status.code().unwrap_or(-1),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }
}

fn urls(links: &[Link]) -> String {
    links.iter().map(Link::url).collect::<Vec<_>>().join(",")
}

/// An address whose port nothing uses now and that the system hands to nobody else: a coordinator
/// must be able to come back to it.
fn free_address() -> SocketAddr {
    /// Below the range from which systems take ports for outgoing connections.
    const PORTS: std::ops::Range<u16> = 12_000..30_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(PORTS.end - PORTS.start)) as u16;
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + start.wrapping_add(offset) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The body of a page; none where nobody answers within a moment.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    use std::io::{Read, Write};

    const PATIENCE: Duration = Duration::from_millis(500);
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}
