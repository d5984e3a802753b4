//! Matrices that tasks of one process hand each other in memory, made durable behind them.
//!
//! For a worker that lives and dies with its coordinator. What a task has made is there for the
//! next one at once; a thread writes it to the state store. Small objects are written soon; large
//! ones are left alone for a while, because most of them are let go before anybody would miss
//! them, and are then never written at all.
//!
//! The memory is taken from the worker's budget, and given back where a task needs it: durable
//! objects go first, the longest unused before others, and what is not durable is written at once.
//!
//! Invariant: an object leaves memory only when its file is complete or nobody reads it any more;
//! [`HandOver::settled`] resolves only when nothing below its prefix waits to be written.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rankmill_common::{Error, ObjectRef, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::matrix_file::{MatrixFile, Memory};
use super::objects::{Objects, disk_error};
use crate::memory::{Admission, MemoryBudget};

/// Objects up to this size are written soon.
const SMALL: u64 = 1 << 20;
/// How soon: a stage's objects travel together.
const SOON: Duration = Duration::from_millis(10);
/// How long larger ones may wait to be let go.
const LATER: Duration = Duration::from_secs(2);
/// Part (1/n) of the budget that may be held.
const SHARE: u64 = 2;
/// Bytes that may be held, whatever the budget.
const MOST: u64 = 2 << 30;

/// Matrices of this process in memory. Clones share them.
#[derive(Clone, Default)]
pub struct HandOver {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    shelf: Mutex<Shelf>,
    /// Something has to be written sooner than was thought.
    hurry: Condvar,
    /// Counts what was written or let go.
    progress: watch::Sender<u64>,
}

#[derive(Default)]
struct Shelf {
    budget: Option<MemoryBudget>,
    memory: Option<Admission>,
    clock: u64,
    bytes: u64,
    kept: HashMap<String, Kept>,
    /// How many objects lie in the memory at an address: it is one, and counts once.
    shared: HashMap<usize, usize>,
    /// Keys that wait to be written, oldest first.
    waiting: VecDeque<String>,
    /// The key that is being written.
    writing: Option<String>,
    /// Tasks that wait for memory.
    pressed: usize,
    /// Those among them for which there was none.
    short: usize,
    failed: Option<Error>,
    writer_runs: bool,
}

struct Kept {
    file: Arc<MatrixFile>,
    last_used: u64,
    since: Instant,
    /// Whether somebody waits for its file.
    wanted: bool,
    place: Option<Place>,
}

/// Where an object that is not durable yet goes.
#[derive(Clone)]
struct Place {
    objects: Objects,
    runtime: Handle,
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelf = self.inner.lock();
        f.debug_struct("HandOver")
            .field("bytes", &shelf.bytes)
            .field("waiting", &shelf.waiting.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandOver {
    /// Takes memory from `budget` from now on.
    pub(crate) fn share(&self, budget: &MemoryBudget) {
        self.inner.lock().budget = Some(budget.clone());
    }

    /// Bytes of the budget that are held, all of which a task may have.
    pub(crate) fn admitted(&self) -> u64 {
        let shelf = self.inner.lock();
        shelf.memory.as_ref().map_or(0, Admission::bytes)
    }

    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.inner.lock().bytes
    }

    /// Keeps `file` and writes it in time, where there is room.
    pub(super) fn keep(
        &self,
        file: MatrixFile,
        objects: &Objects,
        runtime: &Handle,
    ) -> Option<ObjectRef> {
        let object = file.object().clone();
        let mut shelf = self.inner.lock();
        if !shelf.has_room_for(file.numbers().memory()) {
            self.inner.hurry.notify_all();
            return None;
        }
        let place = Place {
            objects: objects.clone(),
            runtime: runtime.clone(),
        };
        shelf.insert(file, place);
        if !shelf.writer_runs {
            shelf.writer_runs = self.start_writer();
        }
        self.inner.hurry.notify_all();
        Some(object)
    }

    /// The object in memory, if it is there.
    pub(super) fn get(&self, object: &ObjectRef) -> Option<Arc<MatrixFile>> {
        let mut shelf = self.inner.lock();
        shelf.clock += 1;
        let clock = shelf.clock;
        let kept = shelf.kept.get_mut(&object.key)?;
        if kept.file.object() != object {
            return None;
        }
        kept.last_used = clock;
        Some(Arc::clone(&kept.file))
    }

    /// Makes room for a task that needs `bytes`; while the answer lives, nothing new is kept.
    pub(crate) fn make_room(&self, bytes: u64) -> Pressure {
        let mut shelf = self.inner.lock();
        shelf.pressed += 1;
        while shelf.free() < bytes && shelf.evict_one() {}
        let short = shelf.free() < bytes;
        if short {
            shelf.short += 1;
            self.inner.hurry.notify_all();
        }
        Pressure {
            of: self.clone(),
            short,
        }
    }

    /// Resolves when everything below `prefix` is durable or was let go.
    ///
    /// # Errors
    ///
    /// Why something could not be written; it names the file.
    pub async fn settled(&self, prefix: &str) -> Result<()> {
        let mut progress = self.inner.progress.subscribe();
        loop {
            progress.borrow_and_update();
            {
                let shelf = self.inner.lock();
                if let Some(error) = &shelf.failed {
                    return Err(error.clone());
                }
                if !shelf.awaits(prefix) {
                    return Ok(());
                }
            }
            if progress.changed().await.is_err() {
                return Err(Error::internal("the writer of outputs is gone"));
            }
        }
    }

    /// Has `key` written now, if it is waiting.
    pub(super) async fn demand(&self, key: &str) -> Result<()> {
        {
            let mut shelf = self.inner.lock();
            if !shelf.awaits(key) {
                return Ok(());
            }
            if let Some(kept) = shelf.kept.get_mut(key) {
                kept.wanted = true;
            }
            self.inner.hurry.notify_all();
        }
        self.settled(key).await
    }

    /// Nobody reads these objects any more: those that wait are never written.
    pub fn release(&self, keys: &[String]) {
        let mut shelf = self.inner.lock();
        for key in keys {
            shelf.remove(key);
        }
        drop(shelf);
        self.inner.tell();
    }

    /// Lets go of everything below `prefix`; then nothing is written there any more.
    pub async fn forget(&self, prefix: &str) {
        let keys: Vec<String> = {
            let shelf = self.inner.lock();
            let below = shelf.kept.keys().filter(|key| is_below(key, prefix));
            below.cloned().collect()
        };
        self.release(&keys);
        // What is being written at the moment is not stopped.
        let _ = self.settled(prefix).await;
    }

    fn start_writer(&self) -> bool {
        let inner = Arc::downgrade(&self.inner);
        let thread = std::thread::Builder::new().name("durable".to_owned());
        let started = thread.spawn(move || {
            while let Some(inner) = inner.upgrade() {
                inner.write_next();
            }
        });
        started.is_ok()
    }
}

/// While it lives, a task waits for memory.
#[derive(Debug)]
pub(crate) struct Pressure {
    of: HandOver,
    short: bool,
}

impl Drop for Pressure {
    fn drop(&mut self) {
        let mut shelf = self.of.inner.lock();
        shelf.pressed -= 1;
        shelf.short -= usize::from(self.short);
    }
}

impl Inner {
    fn tell(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    /// Writes the next object that is due, or waits a little for one.
    fn write_next(&self) {
        /// How often a thread without work looks whether anybody is left.
        const IDLE: Duration = Duration::from_millis(200);
        let mut shelf = self.lock();
        let now = Instant::now();
        let Some((key, wait)) = shelf.next_due(now) else {
            let _ = self.hurry.wait_timeout(shelf, IDLE);
            return;
        };
        if wait > Duration::ZERO {
            let _ = self.hurry.wait_timeout(shelf, wait.min(IDLE));
            return;
        }
        shelf.waiting.retain(|other| *other != key);
        let Some((file, place)) = shelf.take_place(&key) else {
            return;
        };
        shelf.writing = Some(key.clone());
        drop(shelf);
        let written = write(&file, &place);
        let mut shelf = self.lock();
        shelf.writing = None;
        if let Err(error) = written {
            shelf.failed.get_or_insert(error);
        }
        if shelf.short > 0 {
            shelf.remove(&key);
        }
        drop(shelf);
        self.tell();
    }
}

impl Shelf {
    /// Bytes that may be held.
    fn limit(&self) -> u64 {
        let budget = self.budget.as_ref().map_or(0, MemoryBudget::total);
        (budget / SHARE).min(MOST)
    }

    /// Bytes of the budget that nobody holds.
    fn free(&self) -> u64 {
        self.budget.as_ref().map_or(0, MemoryBudget::free)
    }

    /// Takes what is not held yet of `memory`, if need be from durable objects.
    fn has_room_for(&mut self, memory: Memory) -> bool {
        if self.pressed > 0 || self.failed.is_some() {
            return false;
        }
        loop {
            let is_held = self.shared.contains_key(&memory.address);
            let wanted = self.bytes + if is_held { 0 } else { memory.bytes };
            if wanted <= self.limit() && self.resize(wanted) {
                return true;
            }
            if !self.evict_one() {
                return false;
            }
        }
    }

    fn resize(&mut self, bytes: u64) -> bool {
        match &self.budget {
            Some(budget) => budget.try_resize(&mut self.memory, bytes),
            None => false,
        }
    }

    fn insert(&mut self, file: MatrixFile, place: Place) {
        let key = file.object().key.clone();
        self.remove(&key);
        self.clock += 1;
        let memory = file.numbers().memory();
        let objects = self.shared.entry(memory.address).or_default();
        *objects += 1;
        if *objects == 1 {
            self.bytes += memory.bytes;
        }
        self.waiting.push_back(key.clone());
        let kept = Kept {
            file: Arc::new(file),
            last_used: self.clock,
            since: Instant::now(),
            wanted: false,
            place: Some(place),
        };
        self.kept.insert(key, kept);
    }

    fn remove(&mut self, key: &str) {
        if let Some(kept) = self.kept.remove(key) {
            let memory = kept.file.numbers().memory();
            if let Entry::Occupied(mut objects) = self.shared.entry(memory.address) {
                *objects.get_mut() -= 1;
                if *objects.get() == 0 {
                    objects.remove();
                    self.bytes -= memory.bytes;
                }
            }
            if kept.place.is_some() {
                self.waiting.retain(|other| other != key);
            }
            let bytes = self.bytes;
            self.resize(bytes);
        }
    }

    /// Lets go of the durable object that was not used for longest.
    fn evict_one(&mut self) -> bool {
        let durable = self
            .kept
            .iter()
            .filter(|(key, kept)| kept.place.is_none() && self.writing.as_ref() != Some(*key));
        let oldest = durable.min_by_key(|(_, kept)| kept.last_used);
        let Some(key) = oldest.map(|(key, _)| key.clone()) else {
            return false;
        };
        self.remove(&key);
        true
    }

    fn awaits(&self, prefix: &str) -> bool {
        let mut keys = self.waiting.iter().chain(&self.writing);
        keys.any(|key| is_below(key, prefix))
    }

    /// The object to write next and how long it has time.
    fn next_due(&self, now: Instant) -> Option<(String, Duration)> {
        let at_once = self.short > 0 || self.bytes > self.limit() / 2;
        let due = self.waiting.iter().filter_map(|key| {
            let kept = self.kept.get(key)?;
            let patience = if at_once || kept.wanted {
                Duration::ZERO
            } else if kept.file.object().size <= SMALL {
                SOON
            } else {
                LATER
            };
            let wait = (kept.since + patience).saturating_duration_since(now);
            Some((key, wait))
        });
        let first = due.min_by_key(|(_, wait)| *wait);
        first.map(|(key, wait)| (key.clone(), wait))
    }

    fn take_place(&mut self, key: &str) -> Option<(Arc<MatrixFile>, Place)> {
        let kept = self.kept.get_mut(key)?;
        let place = kept.place.take()?;
        Some((Arc::clone(&kept.file), place))
    }
}

fn is_below(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

fn write(file: &MatrixFile, place: &Place) -> Result<()> {
    let object = file.object();
    let Some(path) = place.objects.state().local_path(&object.key) else {
        return Err(Error::internal("outputs are held back for a remote store"));
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(|e| disk_error(folder, &e))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".staged-{}", uuid::Uuid::new_v4().simple()));
    let staged = folder.join(name);
    let written = File::create_new(&staged)
        .and_then(|mut target| {
            file.write(&mut target)?;
            target.flush()
        })
        .map_err(|e| disk_error(&staged, &e))
        .and_then(|()| place.objects.publish(&place.runtime, &staged, object));
    if written.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    written
}

#[cfg(test)]
mod tests;
