//! Seeded faults at random moments, and kills at every moment that matters.
//!
//! `RANKMILL_CHAOS_SCHEDULES=n` runs n schedules instead of 20, `RANKMILL_CHAOS_SEED=n` replays
//! one, `RANKMILL_CHAOS_MOMENTS=all` visits every moment instead of a few. A seed fixes who is hit,
//! by what, when (counted in slots of the job's log) and for how long; how far the processes have
//! got by then is up to the machine.

use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use rankmill_tests::chance::Chance;
use rankmill_tests::cluster::{Cluster, Shape};
use rankmill_tests::log::JobLog;
use rankmill_tests::program::{Bench, binary};
use rankmill_tests::proxy::{Link, Weather};
use rankmill_tests::result::digests;
use rankmill_tests::scene::{LIMIT, Scene};
use rankmill_tests::workload::Workload;

const SCHEDULES: usize = 20;

/// Links slow enough that faults find the job at work.
const SLOW: Weather = Weather::Slow {
    delay: Duration::from_millis(5),
    rate: 10_000_000,
};

/// What happens to somebody.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker(usize),
    KillCoordinator(usize),
    FreezeWorker(usize),
    FreezeCoordinator(usize),
    IsolateWorker(usize, Weather),
    IsolateCoordinator(usize, Weather),
    CutClient,
}

/// A fault, when it strikes and when it is over.
#[derive(Clone, Copy, Debug)]
struct Event {
    /// Slots of the log.
    at: usize,
    fault: Fault,
    lasts: Duration,
}

impl Fault {
    fn random(chance: &mut Chance) -> Self {
        let (worker, coordinator) = (chance.number(0..3), chance.number(0..2));
        let weather = chance.pick(&[Weather::Silent, Weather::Cut]);
        match chance.number(0..12) {
            0..3 => Self::KillWorker(worker),
            3..6 => Self::KillCoordinator(coordinator),
            6 => Self::FreezeWorker(worker),
            7..9 => Self::FreezeCoordinator(coordinator),
            9 => Self::IsolateWorker(worker, weather),
            10 => Self::IsolateCoordinator(coordinator, weather),
            _ => Self::CutClient,
        }
    }

    fn strike(self, cluster: &mut Cluster) {
        match self {
            Self::KillWorker(worker) => cluster.workers[worker].kill(),
            Self::KillCoordinator(coordinator) => cluster.coordinators[coordinator].kill(),
            Self::FreezeWorker(worker) => cluster.workers[worker].freeze(),
            Self::FreezeCoordinator(coordinator) => cluster.coordinators[coordinator].freeze(),
            Self::IsolateWorker(worker, weather) => cluster.isolate_worker(worker, weather),
            Self::IsolateCoordinator(coordinator, weather) => {
                cluster.isolate_coordinator(coordinator, weather);
            }
            Self::CutClient => cluster.client_links.iter().for_each(Link::reset),
        }
    }

    fn heal(self, cluster: &mut Cluster) {
        match self {
            Self::KillWorker(worker) => cluster.workers[worker].start(),
            Self::KillCoordinator(coordinator) => cluster.coordinators[coordinator].start(),
            Self::FreezeWorker(worker) => cluster.workers[worker].thaw(),
            Self::FreezeCoordinator(coordinator) => cluster.coordinators[coordinator].thaw(),
            Self::IsolateWorker(worker, _) => cluster.isolate_worker(worker, SLOW),
            Self::IsolateCoordinator(coordinator, _) => {
                cluster.isolate_coordinator(coordinator, SLOW);
            }
            Self::CutClient => {}
        }
    }
}

/// The faults of one seed, in the order of their moments.
fn schedule(seed: u64, slots: usize) -> Vec<Event> {
    let mut chance = Chance::new(seed);
    let mut events: Vec<_> = (0..chance.number(2..5))
        .map(|_| Event {
            at: chance.number(1..slots),
            fault: Fault::random(&mut chance),
            lasts: chance.time(0..1_800),
        })
        .collect();
    events.sort_by_key(|event| event.at);
    events
}

/// Runs the job under the schedule of `seed`; returns how many of its faults struck.
fn run(seed: u64) -> usize {
    let slots = Workload::get().slots;
    let events = schedule(seed, slots);
    let mut scene = Scene::set(Bench::new(), Shape::default(), |cluster| {
        (0..3).for_each(|worker| cluster.isolate_worker(worker, SLOW));
    });
    let mut coming = events.iter().copied().peekable();
    let mut healing: Vec<(Instant, Fault)> = Vec::new();
    let (started, mut struck) = (Instant::now(), 0);
    while scene.job.is_running() {
        assert!(started.elapsed() < LIMIT, "it hangs");
        let reached = JobLog::count_slots(scene.cluster.state());
        while let Some(event) = coming.next_if(|event| event.at <= reached) {
            event.fault.strike(&mut scene.cluster);
            healing.push((Instant::now() + event.lasts, event.fault));
            struck += 1;
        }
        healing.retain(|(due, fault)| {
            let later = *due > Instant::now();
            if !later {
                fault.heal(&mut scene.cluster);
            }
            later
        });
        std::thread::sleep(Duration::from_millis(3));
    }
    scene.succeeds(2 * events.len());
    struck
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn seeded_schedules_change_no_byte() {
    let count = number("RANKMILL_CHAOS_SCHEDULES").map_or(SCHEDULES, |count| count as usize);
    let seeds: Vec<u64> = match number("RANKMILL_CHAOS_SEED") {
        Some(seed) => vec![seed],
        None => (0..count as u64).collect(),
    };
    let (started, mut struck, mut failed) = (Instant::now(), 0, Vec::new());
    for &seed in &seeds {
        match std::panic::catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(faults) => struck += faults,
            Err(_) => {
                eprintln!(
                    "seed {seed} failed: {:?}\nreplay: RANKMILL_CHAOS_SEED={seed} cargo test \
                     --workspace --test chaos seeded",
                    schedule(seed, Workload::get().slots)
                );
                failed.push(seed);
            }
        }
    }
    eprintln!(
        "{} schedules, {struck} faults, {:?}; failed: {failed:?}",
        seeds.len(),
        started.elapsed()
    );
    assert!(failed.is_empty(), "failing seeds: {failed:?}");
}

/// Whether every moment is to be visited, or only a few.
fn all_moments() -> bool {
    std::env::var("RANKMILL_CHAOS_MOMENTS").is_ok_and(|value| value == "all")
}

#[test]
fn leader_and_worker_are_killed_when_a_slot_appears() {
    let slots = Workload::get().slots;
    let mut visited = 0;
    for slot in (1..slots).step_by(if all_moments() { 1 } else { slots / 6 }) {
        let mut scene = Scene::start(Shape::default());
        let reached = || JobLog::count_slots(scene.cluster.state()) >= slot;
        while scene.job.is_running() && !reached() {}
        let before = scene.log();
        scene.cluster.coordinators[0].kill();
        scene.cluster.workers[slot % 3].kill();
        scene.cluster.workers[slot % 3].start();
        if slot % 2 == 0 {
            scene.cluster.coordinators[0].start();
        }
        let after = scene.succeeds(2);
        Scene::continued(&before, &after);
        visited += 1;
    }
    eprintln!("killed at {visited} of {slots} slots");
}

/// What a PUT on a local disk consists of: bytes made durable, a name given, the name made
/// durable.
const STEPS_OF_A_PUT: &str = "?link,linkat,?rename,renameat,renameat2,fsync";

#[test]
fn a_run_is_killed_at_the_steps_of_its_writes() {
    let workload = Workload::get();
    let mut visited = 0;
    let steps: Vec<usize> = match all_moments() {
        true => (1..workload.tasks).collect(),
        false => vec![1, 2, 3, 5, 8, 12],
    };
    // Steps are counted by each thread for itself: a late one may not be reached.
    for step in steps {
        let bench = Bench::new();
        let out = bench.path("out");
        let arguments = workload.arguments(&out.display().to_string());
        let inject = format!("inject={STEPS_OF_A_PUT}:signal=KILL:when={step}");
        let trace = format!("trace={STEPS_OF_A_PUT}");
        let log = bench.path("strace.log");
        let killed = Command::new("strace")
            .args(["-f", "-qq", "-e", &trace, "-e", &inject, "-o"])
            .arg(&log)
            .arg(binary())
            .args(&arguments)
            .env("RANKMILL_STATE", bench.path("state"))
            .output();
        let Ok(killed) = killed else {
            eprintln!("SKIPPED: there is no strace here; no run is killed within a write");
            return;
        };
        if std::fs::read(&log).map_or(true, |trace| trace.is_empty()) {
            eprintln!("SKIPPED: strace may not trace here; no run is killed within a write");
            return;
        }
        if killed.status.success() {
            continue;
        }
        let before = JobLog::read(&bench.path("state"));
        bench.succeed(&arguments);
        assert_eq!(digests(&out), workload.digests, "killed at step {step}");
        let after = JobLog::read(&bench.path("state"));
        Scene::continued(&before, &after);
        assert_eq!(after.commits.len(), workload.tasks, "killed at step {step}");
        visited += 1;
    }
    assert!(visited > 0, "no run was killed");
    eprintln!("killed at {visited} steps of writes");
}
