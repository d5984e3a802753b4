//! The simulated world: its processes, links, store and witness, from the first start to the
//! verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use rankmill_common::job::JobSpec;
use rankmill_common::{StageId, TaskIndex};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::chance::Chance;
use super::client;
use super::coordinator::{Coordinator, Manner};
use super::job;
use super::nemesis::{self, Faults};
use super::process::{Place, Process};
use super::store::Disk;
use super::witness::{Verdict, Witness};

/// Places where coordinators may run.
pub(super) const COORDINATORS: usize = 3;

/// How long a healed world may take to end its jobs. A clock that was set back stands still for
/// ten minutes, as far as silence and patience go; the rest is backoff and work.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Whether what happens is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracing {
    Off,
    Kept,
    Printed,
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) verdict: Verdict,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) trace: Vec<String>,
    pub(super) simulated: Duration,
}

/// Everything there is.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) disk: Disk,
    pub(super) faults: Faults,
    /// A task that kills whoever tries it.
    pub(super) poison: Option<(StageId, TaskIndex)>,
    began: Instant,
    tracing: Tracing,
    healed: AtomicBool,
    clients: AtomicUsize,
    trouble: Notify,
    inner: Mutex<Inner>,
    witness: Mutex<Witness>,
}

#[derive(Default)]
struct Inner {
    cuts: BTreeMap<(Place, Place), u32>,
    processes: BTreeMap<usize, Arc<Process>>,
    coordinators: BTreeMap<usize, Arc<Coordinator>>,
    workers: BTreeMap<usize, Arc<Process>>,
    counts: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
    verdict: Option<String>,
}

/// Lives through the world of `seed`.
pub(super) fn run(seed: u64, tracing: Tracing) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap_or_else(|e| unreachable!("a runtime without I/O needs nothing: {e}"));
    // The engine's future stays on its thread, as it does in `main`.
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let world = Arc::new(World::new(seed, tracing));
        world.live().await;
        let mut inner = world.lock();
        Run {
            verdict: inner.verdict.take().map_or(Ok(()), Err),
            counts: std::mem::take(&mut inner.counts),
            trace: std::mem::take(&mut inner.trace),
            simulated: world.began.elapsed(),
        }
    })
}

impl World {
    fn new(seed: u64, tracing: Tracing) -> Self {
        let chance = Chance::new(seed);
        let faults = Faults::draw(&chance);
        let poison = chance
            .happens(30)
            .then(|| (StageId(chance.below(3) as u32), TaskIndex(0)));
        Self {
            chance,
            disk: Disk::default(),
            faults,
            poison,
            began: Instant::now(),
            tracing,
            healed: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            trouble: Notify::new(),
            inner: Mutex::default(),
            witness: Mutex::default(),
        }
    }

    async fn live(self: &Arc<Self>) {
        let specs = self.plan_jobs();
        self.trace(|| format!("{:?}, poison {:?}", self.faults, self.poison));
        self.start_coordinator(0, Manner::Patient);
        self.start_coordinator(1, Manner::Patient);
        for worker in 0..self.chance.between(2, 4) as usize {
            self.start_worker(worker);
        }
        self.clients.store(specs.len(), Ordering::Relaxed);
        for spec in specs {
            tokio::task::spawn_local(client::live(Arc::clone(self), spec));
        }
        tokio::task::spawn_local(nemesis::haunt(Arc::clone(self)));
        tokio::select! {
            biased;
            () = self.trouble.notified() => return,
            () = self.pause(20_000, 90_000) => {}
        }
        self.heal().await;
        tokio::select! {
            biased;
            () = self.trouble.notified() => return,
            () = self.all_ended() => {}
            () = tokio::time::sleep(PATIENCE) => {
                self.report("healed, and yet a job does not end".to_owned());
                return;
            }
        }
        self.watch(|witness| witness.judge_ends(&self.disk));
        self.count_ends();
    }

    fn plan_jobs(&self) -> Vec<JobSpec> {
        let jobs = 1 + self.chance.below(2);
        let specs: Vec<_> = (0..jobs)
            .map(|index| job::spec(index, self.chance.between(0, 8)))
            .collect();
        self.watch(|witness| {
            for spec in &specs {
                let files = job::undisturbed(spec);
                witness.expected.insert(spec.output().url.clone(), files);
            }
            Ok(())
        });
        specs
    }

    async fn all_ended(&self) {
        loop {
            let ended =
                self.clients.load(Ordering::Relaxed) == 0 && self.witness().all_have_ended();
            if ended {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn count_ends(&self) {
        let witness = self.witness();
        for (job, log) in &witness.jobs {
            if let Some(end) = &log.ended {
                self.trace(|| format!("{job}: {:?} {:?}", end.state, end.error));
                let message = end.error.as_ref().map_or("", |error| &error.message);
                self.count(match end.state.as_str() {
                    "succeeded" => "job succeeded",
                    "cancelled" => "job cancelled",
                    _ if message.contains("is set aside") => "job failed: poison",
                    _ if message.contains("no worker has") => "job failed: no workers",
                    _ if message.contains(" times: ") => "job failed: task failures",
                    _ => "job failed: another result was there",
                });
            }
        }
    }

    /// Milliseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Waits, `low..=high` milliseconds.
    pub(super) async fn pause(&self, low: u64, high: u64) {
        tokio::time::sleep(self.chance.millis(low, high)).await;
    }

    /// Whether this time a fault of the kind `rate` strikes.
    pub(super) fn goes_wrong(&self, rate: impl Fn(&Faults) -> u64) -> bool {
        !self.is_healed() && self.chance.happens(rate(&self.faults))
    }

    pub(super) fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    pub(super) fn end_faults(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.lock().cuts.clear();
    }

    pub(super) fn client_done(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self, spec: &JobSpec) -> bool {
        self.witness().latest_has_ended(spec)
    }

    // Links.

    pub(super) fn is_cut(&self, a: Place, b: Place) -> bool {
        self.lock().cuts.contains_key(&(a.min(b), a.max(b)))
    }

    pub(super) fn cut(&self, pairs: &[(Place, Place)]) {
        let mut inner = self.lock();
        for &(a, b) in pairs {
            *inner.cuts.entry((a.min(b), a.max(b))).or_default() += 1;
        }
    }

    pub(super) fn join(&self, pairs: &[(Place, Place)]) {
        let mut inner = self.lock();
        for &(a, b) in pairs {
            let pair = (a.min(b), a.max(b));
            if let Some(cuts) = inner.cuts.get_mut(&pair) {
                *cuts -= 1;
                if *cuts == 0 {
                    inner.cuts.remove(&pair);
                }
            }
        }
    }

    // Processes.

    pub(super) fn place_process(&self, index: usize, process: &Arc<Process>) {
        let mut inner = self.lock();
        inner.processes.insert(index, Arc::clone(process));
    }

    pub(super) fn publish_coordinator(&self, index: usize, coordinator: Coordinator) {
        self.lock()
            .coordinators
            .insert(index, Arc::new(coordinator));
    }

    pub(super) fn remove_coordinator(&self, index: usize, process: &Arc<Process>) {
        let mut inner = self.lock();
        let same = |found: &Arc<Process>| Arc::ptr_eq(found, process);
        if inner.processes.get(&index).is_some_and(same) {
            inner.processes.remove(&index);
            inner.coordinators.remove(&index);
        }
    }

    pub(super) fn coordinator(&self, index: usize) -> Option<Arc<Coordinator>> {
        self.lock().coordinators.get(&index).cloned()
    }

    pub(super) fn is_vacant(&self, index: usize) -> bool {
        !self.lock().processes.contains_key(&index)
    }

    pub(super) fn some_coordinator(&self) -> Option<Arc<Process>> {
        let inner = self.lock();
        let all: Vec<_> = inner.processes.values().collect();
        (!all.is_empty()).then(|| Arc::clone(all[self.chance.below(all.len())]))
    }

    pub(super) fn kill_coordinator(&self, index: usize) -> bool {
        let Some(process) = self.lock().processes.get(&index).cloned() else {
            return false;
        };
        self.trace(|| format!("coordinator {index} (epoch {}) dies", process.epoch()));
        process.die();
        self.remove_coordinator(index, &process);
        true
    }

    pub(super) fn stop_hasty_coordinators(&self) {
        for index in 0..COORDINATORS {
            let found = self.coordinator(index);
            if found.is_some_and(|coordinator| coordinator.manner == Manner::Hasty) {
                self.kill_coordinator(index);
            }
        }
    }

    /// Somebody is started where nobody is left.
    pub(super) fn keep_a_coordinator(self: &Arc<Self>) {
        let nobody = self.lock().processes.is_empty();
        if nobody {
            self.start_coordinator(0, Manner::Patient);
        }
    }

    /// How many coordinators believe that they lead.
    pub(super) fn leaders(&self) -> usize {
        let inner = self.lock();
        let all = inner.coordinators.values();
        all.filter(|coordinator| coordinator.seat.metrics().is_some())
            .count()
    }

    pub(super) fn place_worker(&self, index: usize, process: &Arc<Process>) {
        self.lock().workers.insert(index, Arc::clone(process));
    }

    pub(super) fn worker_count(&self) -> usize {
        self.lock().workers.len()
    }

    pub(super) fn worker_at(&self, index: usize) -> Option<Arc<Process>> {
        self.lock().workers.get(&index).cloned()
    }

    pub(super) fn worker(&self) -> Option<Arc<Process>> {
        self.worker_at(self.chance.below(self.worker_count()))
    }

    pub(super) fn processes(&self) -> Vec<Arc<Process>> {
        let inner = self.lock();
        let all = inner.processes.values().chain(inner.workers.values());
        all.cloned().collect()
    }

    // Objects.

    /// One object that a committed task of a running job has made.
    pub(super) fn choose_committed_object(&self) -> Option<String> {
        let witness = self.witness();
        let running = witness.jobs.values().filter(|log| log.ended.is_none());
        let keys: Vec<&String> = running
            .flat_map(|log| log.objects.keys())
            .filter(|key| key.starts_with(job::STATE))
            .collect();
        (!keys.is_empty()).then(|| keys[self.chance.below(keys.len())].clone())
    }

    /// Whether a running job has let an object go.
    pub(super) fn is_released(&self, key: &str) -> bool {
        let witness = self.witness();
        let mut running = witness.jobs.values().filter(|log| log.ended.is_none());
        running.any(|log| log.is_released(key))
    }

    pub(super) fn lose(&self, key: &str) {
        self.trace(|| format!("{key} is lost"));
        self.disk.remove(self.now(), &Path::from(key));
    }

    // Notes.

    pub(super) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing == Tracing::Off {
            return;
        }
        let line = format!("{:>8} ms  {}", self.now(), line());
        if self.tracing == Tracing::Printed {
            println!("{line}");
        }
        self.lock().trace.push(line);
    }

    /// Lets the witness see something.
    pub(super) fn watch(&self, look: impl FnOnce(&mut Witness) -> Verdict) {
        let verdict = look(&mut self.witness());
        if let Err(broken) = verdict {
            self.report(broken);
        }
    }

    /// The first broken promise ends the run.
    pub(super) fn report(&self, broken: String) {
        self.trace(|| format!("BROKEN: {broken}"));
        self.lock().verdict.get_or_insert(broken);
        self.trouble.notify_one();
    }

    fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
