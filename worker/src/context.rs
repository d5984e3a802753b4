//! What an operator may touch: objects of the state store, the user's inputs, its own output
//! prefix.
//!
//! An operator runs on a blocking thread inside a compute pool; everything here blocks. Nothing
//! here decides anything: reading and writing is delegated to `storage` and to the store.
//!
//! Invariant: an operator writes only below its attempt's own prefix.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rankmill_common::{Error, ErrorKind, ObjectRef, Result};
use tokio::runtime::Handle;

use crate::storage::matrix_file::MatrixFile;
use crate::storage::{Mapped, ObjectWriter, Objects};

/// The surroundings of one attempt at a task.
#[derive(Clone, Debug)]
pub struct TaskContext {
    objects: Objects,
    runtime: Handle,
    output_prefix: String,
    memory: u64,
    cancelled: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

/// Bytes that an attempt has moved so far.
#[derive(Debug, Default)]
pub struct Counters {
    read: AtomicU64,
    written: AtomicU64,
}

impl Counters {
    /// Bytes read from the state store and from inputs.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes written to the state store.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl TaskContext {
    /// The surroundings of an attempt that writes below `output_prefix`, may hold `memory` bytes
    /// and stops soon after `cancelled` is set. `runtime` drives the network.
    pub fn new(
        objects: Objects,
        runtime: Handle,
        output_prefix: impl Into<String>,
        memory: u64,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        Self {
            objects,
            runtime,
            output_prefix: output_prefix.into(),
            memory,
            cancelled,
            counters: Arc::default(),
        }
    }

    /// The same surroundings, with bytes counted in `counters`.
    pub(crate) fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// Bytes moved so far; shared by clones of this context.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Bytes of memory that the task may hold.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// The objects of the state store.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The bytes of `object`, checked against its digest. The caller counts those that it looks at.
    ///
    /// # Errors
    ///
    /// `InputLost` where the object is gone or damaged, `Unavailable` where the store is out of
    /// reach.
    pub(crate) fn map(&self, object: &ObjectRef) -> Result<Mapped> {
        self.check_cancelled()?;
        self.objects.read(&self.runtime, object)
    }

    /// The matrix `object`, if an earlier task has left it in memory.
    pub(crate) fn in_memory(&self, object: &ObjectRef) -> Option<Arc<MatrixFile>> {
        let file = self.objects.in_memory(object)?;
        self.count_read(object.size);
        Some(file)
    }

    /// The runtime that drives the network.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// The key of the object `name` below the attempt's prefix.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.output_prefix)
    }

    /// Starts the object `name` below the attempt's prefix.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the disk is full, `Unavailable` when it cannot be written.
    pub(crate) fn writer(&self, name: &str) -> Result<ObjectWriter> {
        self.check_cancelled()?;
        let key = self.key(name);
        self.objects
            .writer(&self.runtime, &key, Arc::clone(&self.counters))
    }

    /// Errs with `Cancelled` once the attempt should stop. Operators call it between chunks.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Cancelled, "the task was cancelled"));
        }
        Ok(())
    }

    /// Waits for `future` on the network runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Adds to the bytes read.
    pub(crate) fn count_read(&self, bytes: u64) {
        self.counters.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Counters {
    /// Adds to the bytes written.
    pub(crate) fn count_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}
