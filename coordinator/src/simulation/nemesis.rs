//! What befalls processes, links and objects, at random moments, until the world is healed.

use std::sync::Arc;
use std::time::Duration;

use super::coordinator::Manner;
use super::process::{Place, Process};
use super::world::{COORDINATORS, World};

/// How likely each fault of a call or a task is, per thousand. A seed has its own mixture, so that
/// some worlds are calm in one respect and wild in another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faults {
    pub(super) drops: u64,
    pub(super) delays: u64,
    pub(super) duplicates: u64,
    pub(super) store_refuses: u64,
    pub(super) store_writes: u64,
    pub(super) stale_lists: u64,
    pub(super) task_failures: u64,
    pub(super) drains: u64,
    pub(super) cancels: u64,
    pub(super) walks: u64,
    /// Longest time between two strokes of fate, in milliseconds; 0 for none at all.
    pub(super) gap_ms: u64,
}

impl Faults {
    pub(super) fn draw(chance: &super::chance::Chance) -> Self {
        // One world in twenty is left alone: whatever goes wrong there is the engine's own doing.
        let wild = u64::from(!chance.happens(50));
        Self {
            drops: wild * chance.pick(&[0, 10, 100]),
            delays: wild * chance.pick(&[0, 30, 200]),
            duplicates: wild * chance.pick(&[0, 50, 300]),
            store_refuses: wild * chance.pick(&[0, 10, 60]),
            store_writes: wild * chance.pick(&[0, 50, 250]),
            stale_lists: wild * chance.pick(&[0, 500]),
            task_failures: wild * chance.pick(&[0, 0, 30]),
            drains: wild * chance.pick(&[0, 0, 200]),
            cancels: wild * chance.pick(&[0, 0, 0, 200]),
            walks: wild * chance.pick(&[0, 500]),
            gap_ms: wild * chance.pick(&[0, 1_500, 5_000, 12_000]),
        }
    }
}

/// Strikes until the world is healed.
pub(super) async fn haunt(world: Arc<World>) {
    let gap = world.faults.gap_ms;
    if gap == 0 {
        return;
    }
    loop {
        world.pause(100, gap).await;
        if world.is_healed() {
            return;
        }
        strike(&world);
    }
}

fn strike(world: &Arc<World>) {
    match world.chance.below(16) {
        0 | 1 => {
            world.count("worker crash");
            world.kill_worker(world.chance.below(world.worker_count()));
        }
        2 => pause(world, world.worker(), "worker paused"),
        3 | 4 => pause(world, world.some_coordinator(), "coordinator paused"),
        5 | 6 => cut_pair(world),
        7 => isolate(world),
        8 | 9 => crash_coordinator(world),
        10 => shut_down_coordinator(world),
        11 | 12 => second_coordinator(world),
        13 => jump(world, world.some_coordinator()),
        14 => jump(world, world.worker()),
        _ => lose_object(world),
    }
}

fn pause(world: &Arc<World>, victim: Option<Arc<Process>>, what: &'static str) {
    let Some(process) = victim else { return };
    if process.is_dead() || process.is_paused() {
        return;
    }
    world.count(what);
    let long = world.chance.pick(&[2_000, 20_000, 45_000]);
    if long > 15_000 {
        world.count("pause longer than a lease");
    }
    let time = world.chance.millis(long / 2, long);
    world.trace(|| format!("{:?} is paused for {time:?}", process.place));
    process.pause();
    let world = Arc::clone(world);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(time).await;
        world.trace(|| format!("{:?} goes on", process.place));
        process.resume();
    });
}

fn cut_pair(world: &Arc<World>) {
    let coordinator = Place::Coordinator(world.chance.below(COORDINATORS));
    let worker = Place::Worker(world.chance.below(world.worker_count()));
    let pairs = [
        (worker, coordinator),
        (coordinator, Place::Store),
        (worker, Place::Store),
        (Place::Client, coordinator),
    ];
    let pair = world.chance.pick(&pairs);
    world.count("partition of a pair");
    cut(world, vec![pair]);
}

/// A coordinator that still writes, but that no worker reaches any more; a new one takes over.
fn isolate(world: &Arc<World>) {
    let Some(process) = world.some_coordinator() else {
        return;
    };
    world.count("coordinator cut off from all workers");
    let workers = (0..world.worker_count()).map(|worker| (Place::Worker(worker), process.place));
    cut(world, workers.collect());
    second_coordinator(world);
}

fn cut(world: &Arc<World>, pairs: Vec<(Place, Place)>) {
    let longest = world.chance.pick(&[3_000, 20_000, 90_000]);
    let time = world.chance.millis(500, longest);
    world.trace(|| format!("{pairs:?} are cut for {time:?}"));
    world.cut(&pairs);
    let world = Arc::clone(world);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(time).await;
        world.join(&pairs);
    });
}

fn crash_coordinator(world: &Arc<World>) {
    let index = world.chance.below(COORDINATORS);
    if !world.kill_coordinator(index) {
        return;
    }
    world.count("coordinator crash");
    world.restart_later(index, 10_000);
}

fn shut_down_coordinator(world: &Arc<World>) {
    let index = world.chance.below(COORDINATORS);
    let Some(coordinator) = world.coordinator(index) else {
        return;
    };
    world.trace(|| format!("coordinator {index} is asked to shut down"));
    coordinator.shutdown.notify_one();
    world.restart_later(index, 20_000);
}

/// Somebody starts another coordinator while the first one may still be there.
fn second_coordinator(world: &Arc<World>) {
    let vacant = (0..COORDINATORS).find(|&index| world.is_vacant(index));
    if let Some(index) = vacant {
        let manner = world.chance.pick(&[Manner::Hasty, Manner::Patient]);
        world.start_coordinator(index, manner);
    }
}

fn jump(world: &Arc<World>, victim: Option<Arc<Process>>) {
    let Some(process) = victim else { return };
    let (ms, what) = match world.chance.happens(500) {
        true => (600_000, "clock jumps ten minutes ahead"),
        false => (-600_000, "clock jumps ten minutes back"),
    };
    // Once per process: the bound on how long a healed world may take knows of one jump.
    if process.jump(ms) {
        world.count(what);
        world.trace(|| format!("{:?}: {what}", process.place));
    }
}

fn lose_object(world: &Arc<World>) {
    if let Some(key) = world.choose_committed_object() {
        world.count("committed output lost");
        world.lose(&key);
    }
}

impl World {
    /// Kills the worker at place `index`; another one starts there after a while.
    pub(super) fn kill_worker(self: &Arc<Self>, index: usize) {
        let Some(process) = self.worker_at(index) else {
            return;
        };
        if process.is_dead() {
            return;
        }
        self.trace(|| format!("worker {index} dies"));
        process.die();
        let time = self.chance.millis(50, 20_000);
        let world = Arc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            world.count("worker restart");
            world.start_worker(index);
        });
    }

    /// Somebody starts a coordinator at place `index` again, unless another one is there by then.
    pub(super) fn restart_later(self: &Arc<Self>, index: usize, longest_ms: u64) {
        let time = self.chance.millis(50, longest_ms);
        let world = Arc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(time).await;
            if !world.is_healed() && world.is_vacant(index) {
                world.count("coordinator restart");
                world.start_coordinator(index, Manner::Patient);
            }
        });
    }

    /// Everything works again from here on.
    pub(super) async fn heal(self: &Arc<Self>) {
        self.trace(|| "healed".to_owned());
        self.end_faults();
        for process in self.processes() {
            process.resume();
        }
        // Coordinators that came in haste do not look whether they were replaced: whoever started
        // them stops them in the end. The others settle among themselves who leads.
        let rule = Arc::clone(self);
        let grace = self.chance.millis(0, 20_000);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(grace).await;
            rule.stop_hasty_coordinators();
            loop {
                rule.keep_a_coordinator();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
    }
}
