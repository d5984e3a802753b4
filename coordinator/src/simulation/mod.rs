//! Ring one of the proof: a world in which everything fails, from one seed.
//!
//! Real here are leadership with its standbys, the engine with its scheduler, journals, commit and
//! recovery, the logs, and create-if-absent with its reading back: all that decides. Simulated are time (tokio's, paused),
//! the object store's backend, the network, the workers' computation, the clients, and what starts
//! and stops processes. gRPC and real processes are for the other rings.
//!
//! A seed fixes everything: which jobs there are, which faults strike how often, every delay. All
//! runs on one thread; chance is drawn in the order of events.
//!
//! ```text
//! clients ─┐             ┌─ coordinator 0 (engine) ─┐
//!          ├─ network ───┼─ coordinator 1 ──────────┼── store ── witness
//! workers ─┘             └─ coordinator 2 ──────────┘     ▲
//!    └────────────────────────────────────────────────────┘
//! ```
//!
//! `witness` has the promises; `nemesis`, `network` and `store` have the faults. After a while the
//! world is healed, and then every job must end.
//!
//! `RANKMILL_SIM_SEEDS=100000` runs more seeds, from `RANKMILL_SIM_FIRST` on;
//! `RANKMILL_SIM_SEED=17` replays one and prints it.

mod account;
mod calls;
mod chance;
mod client;
mod coordinator;
mod job;
mod nemesis;
mod network;
mod process;
mod results;
mod store;
mod witness;
mod worker;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use world::{Run, Tracing, run};

const SEEDS: u64 = 2_000;

/// After so many broken worlds nobody needs more.
const ENOUGH: usize = 10;

/// What must have happened in every campaign of at least [`SEEDS`] seeds.
const FAULTS: [&str; 34] = [
    "worker crash",
    "worker restart",
    "worker paused",
    "worker fences itself",
    "worker leaves",
    "worker dies of a task",
    "pause longer than a lease",
    "task fails",
    "message dropped",
    "message delayed past others",
    "message duplicated",
    "message cut by a partition",
    "partition of a pair",
    "coordinator cut off from all workers",
    "coordinator crash",
    "coordinator restart",
    "coordinator paused",
    "leader fenced",
    "leader steps down, or cannot take over",
    "coordinator shut down",
    "several leaders at once",
    "clock jumps ten minutes ahead",
    "clock jumps ten minutes back",
    "store call cut by a partition",
    "store answers 5xx",
    "write times out before it lands",
    "write lands, then times out",
    "write lands after its client gave up",
    "409 though nobody won",
    "inner retry meets its own write",
    "stale listing",
    "committed output lost",
    "released object deleted",
    "released object made again",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn explain(seed: u64, broken: &str) -> String {
    format!(
        "seed {seed}: {broken}\nreplay: RANKMILL_SIM_SEED={seed} cargo test -p \
         rankmill-coordinator simulation -- --nocapture every_world"
    )
}

#[test]
fn every_world_keeps_its_promises_and_ends_once_healed() {
    if let Some(seed) = number("RANKMILL_SIM_SEED") {
        let replayed = run(seed, Tracing::Printed);
        if let Err(broken) = replayed.verdict {
            panic!("{}", explain(seed, &broken));
        }
        return;
    }
    let first = number("RANKMILL_SIM_FIRST").unwrap_or(0);
    let seeds = number("RANKMILL_SIM_SEEDS").unwrap_or(SEEDS);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut simulated = Duration::ZERO;
    let mut broken_worlds = Vec::new();
    for seed in first..first + seeds {
        let Run {
            verdict,
            counts: seen,
            simulated: time,
            ..
        } = run(seed, Tracing::Off);
        if let Err(broken) = verdict {
            broken_worlds.push(explain(seed, &broken));
        }
        if broken_worlds.len() == ENOUGH {
            break;
        }
        for (what, count) in seen {
            *counts.entry(what).or_default() += count;
        }
        simulated += time;
    }
    println!(
        "{seeds} seeds, {} hours of simulated time",
        simulated.as_secs() / 3_600
    );
    for (what, count) in &counts {
        println!("{count:>10}  {what}");
    }
    assert!(broken_worlds.is_empty(), "{}", broken_worlds.join("\n\n"));
    if seeds >= SEEDS {
        for fault in FAULTS {
            assert!(counts.contains_key(fault), "no world had: {fault}");
        }
    }
}

#[test]
fn a_seed_replays_the_same_run() {
    for seed in 0..20 {
        let first = run(seed, Tracing::Kept);
        let second = run(seed, Tracing::Kept);
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.simulated, second.simulated, "seed {seed}");
    }
}
