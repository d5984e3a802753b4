//! Immutable objects of the state store, as bytes in memory.
//!
//! A local state store is mapped in place. Objects of a remote one are downloaded once into the
//! cache directory and mapped there. Who may see an object, and when it is deleted, is the
//! coordinator's business.
//!
//! Invariant: nobody gets bytes that this process has neither written itself nor compared with
//! their digest.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rankmill_common::{Digest, Error, ObjectRef, Result};
use rankmill_store::Store;
use tokio::runtime::Handle;

use super::cache::Cache;
use super::hand_over::HandOver;
use super::mapped::{Mapped, Maps};
use super::matrix_file::{MatrixFile, Part, Shape, Template};
use super::open_blocks::OpenBlocks;
use super::writer::{ObjectWriter, Target};
use crate::context::Counters;

/// The objects of one state store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Store,
    /// Absent where the state store is a local directory.
    cache: Option<Cache>,
    /// Files of a local state store.
    maps: Maps,
    /// Objects that this process wrote or has compared with their digest, and when their files
    /// had last changed then: a file that somebody has written to since is compared again.
    checked: Mutex<HashMap<String, Checked>>,
    /// Blocks whose structure was found sound.
    sound_blocks: Mutex<HashSet<Digest>>,
    open_blocks: OpenBlocks,
    /// Matrices in memory, where tasks hand them over so.
    hand_over: Option<HandOver>,
    /// What lies around the numbers of a matrix file, by shape.
    templates: Mutex<HashMap<Shape, Arc<Template>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checked {
    digest: Digest,
    changed: Option<SystemTime>,
}

impl Objects {
    /// Bytes that cached objects may take on disk by default.
    pub const DEFAULT_CACHE_BYTES: u64 = 64 << 30;

    /// The objects of `state`. `cache_dir` holds copies where the store is remote; without it they
    /// go to a directory of their own below the system's temporary directory, which goes when
    /// this does.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the cache directory cannot be made.
    pub fn open(state: Store, cache_dir: Option<PathBuf>) -> Result<Self> {
        Self::open_with_budget(state, cache_dir, Self::DEFAULT_CACHE_BYTES)
    }

    /// As [`Self::open`], with cached copies kept below `cache_bytes`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_with_budget(
        state: Store,
        cache_dir: Option<PathBuf>,
        cache_bytes: u64,
    ) -> Result<Self> {
        let cache = match state.local_path("") {
            Some(_) => None,
            None => Some(Cache::open(cache_dir, cache_bytes)?),
        };
        let inner = Inner {
            state,
            cache,
            maps: Maps::default(),
            checked: Mutex::default(),
            sound_blocks: Mutex::default(),
            open_blocks: OpenBlocks::default(),
            hand_over: None,
            templates: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The same objects, of which those of jobs stay in `hand_over` before they are written.
    /// Without effect on a remote store.
    #[must_use]
    pub fn handed_over(self, hand_over: Option<HandOver>) -> Self {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) if inner.cache.is_none() => Self {
                inner: Arc::new(Inner { hand_over, ..inner }),
            },
            Ok(inner) => Self {
                inner: Arc::new(inner),
            },
            // Somebody reads them already.
            Err(inner) => Self { inner },
        }
    }

    /// Where tasks hand each other matrices in memory, if they do.
    pub(crate) fn hand_over(&self) -> Option<&HandOver> {
        self.inner.hand_over.as_ref()
    }

    /// The matrix `object`, if it is in memory.
    pub(crate) fn in_memory(&self, object: &ObjectRef) -> Option<Arc<MatrixFile>> {
        self.hand_over()?.get(object)
    }

    /// Keeps the matrix `key` in memory and sees to it that it is written, unless it has to be
    /// written at once.
    pub(super) fn keep(
        &self,
        runtime: &Handle,
        key: &str,
        shape: Shape,
        numbers: &Part,
    ) -> Result<Option<ObjectRef>> {
        /// The root of what goes with its job: other outputs outlive it, and are written at once.
        const SCRATCH: &str = "jobs/";
        let Some(hand_over) = self.hand_over().filter(|_| key.starts_with(SCRATCH)) else {
            return Ok(None);
        };
        let known = lock(&self.inner.templates).get(&shape).cloned();
        let template = match known {
            Some(template) => template,
            None => {
                let made = Arc::new(Template::of(shape)?);
                lock(&self.inner.templates).insert(shape, Arc::clone(&made));
                made
            }
        };
        let file = MatrixFile::new(key.to_owned(), shape, template, numbers.clone());
        Ok(hand_over.keep(file, self, runtime))
    }

    /// Whether objects lie on a local disk, so that nobody waits for a network.
    pub(crate) fn are_local(&self) -> bool {
        self.inner.cache.is_none()
    }

    /// The store behind the objects.
    pub fn state(&self) -> &Store {
        &self.inner.state
    }

    /// The bytes of `object`. Blocks; `runtime` drives the download.
    ///
    /// # Errors
    ///
    /// `InputLost` where the object is gone or damaged, `Unavailable` where the store is out of
    /// reach, `ResourceExhausted` where the cache's disk is full.
    pub(crate) fn read(&self, runtime: &Handle, object: &ObjectRef) -> Result<Mapped> {
        if let Some(hand_over) = self.hand_over() {
            // A reader that wants the file, not the numbers.
            runtime.block_on(hand_over.demand(&object.key))?;
        }
        let mapped = match (&self.inner.cache, self.inner.state.local_path(&object.key)) {
            (None, Some(path)) => self.open_local(&path, object)?,
            (Some(cache), _) => cache.read(&self.inner.state, runtime, object)?,
            (None, None) => return Err(Error::internal("a remote store without a cache")),
        };
        self.check(&mapped, object)?;
        Ok(mapped)
    }

    fn open_local(&self, path: &Path, object: &ObjectRef) -> Result<Mapped> {
        self.inner.maps.open(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::input_lost(&object.key, "it does not exist"),
            _ => disk_error(path, &e),
        })
    }

    fn check(&self, mapped: &Mapped, object: &ObjectRef) -> Result<()> {
        if mapped.len() as u64 != object.size {
            let reason = format!("it has {} bytes, not {}", mapped.len(), object.size);
            return Err(Error::input_lost(&object.key, reason));
        }
        let checked = Checked {
            digest: object.digest,
            changed: mapped.changed(),
        };
        if lock(&self.inner.checked).get(&object.key) == Some(&checked) {
            return Ok(());
        }
        if digest_of(mapped) != object.digest {
            if let Some(cache) = &self.inner.cache {
                cache.forget(&object.digest);
            }
            return Err(Error::input_lost(&object.key, "its content is damaged"));
        }
        lock(&self.inner.checked).insert(object.key.clone(), checked);
        Ok(())
    }

    /// Starts the object `key`.
    pub(crate) fn writer(
        &self,
        runtime: &Handle,
        key: &str,
        counters: Arc<Counters>,
    ) -> Result<ObjectWriter> {
        let staged = match (&self.inner.cache, self.inner.state.local_path(key)) {
            (None, Some(path)) => path,
            (Some(cache), _) => cache.directory().join("new"),
            (None, None) => return Err(Error::internal("a remote store without a cache")),
        };
        let target = Target {
            objects: self.clone(),
            runtime: runtime.clone(),
            counters,
            key: key.to_owned(),
        };
        ObjectWriter::create(target, &staged)
    }

    /// Moves a complete staged file to where readers find it.
    pub(super) fn publish(
        &self,
        runtime: &Handle,
        staged: &Path,
        object: &ObjectRef,
    ) -> Result<()> {
        // A rename keeps it.
        let changed = std::fs::metadata(staged).and_then(|staged| staged.modified());
        match (&self.inner.cache, self.inner.state.local_path(&object.key)) {
            (None, Some(path)) => {
                std::fs::rename(staged, &path).map_err(|e| disk_error(&path, &e))?;
            }
            (Some(cache), _) => {
                runtime.block_on(self.inner.state.upload_file(&object.key, staged))?;
                cache.adopt(staged, object)?;
            }
            (None, None) => return Err(Error::internal("a remote store without a cache")),
        }
        let checked = Checked {
            digest: object.digest,
            changed: changed.ok(),
        };
        lock(&self.inner.checked).insert(object.key.clone(), checked);
        Ok(())
    }

    /// The blocks that stay open from task to task.
    pub(crate) fn open_blocks(&self) -> &OpenBlocks {
        &self.inner.open_blocks
    }

    /// Whether a block's structure was found sound before.
    pub(super) fn is_sound_block(&self, digest: &Digest) -> bool {
        lock(&self.inner.sound_blocks).contains(digest)
    }

    /// Remembers that a block's structure is sound.
    pub(super) fn mark_sound_block(&self, digest: Digest) {
        lock(&self.inner.sound_blocks).insert(digest);
    }
}

/// blake3 of some bytes, on all threads of the current pool.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    let hash = blake3::Hasher::new().update_rayon(bytes).finalize();
    Digest::from_bytes(*hash.as_bytes())
}

/// An error of the local disk.
pub(super) fn disk_error(path: &Path, error: &io::Error) -> Error {
    rankmill_store::disk_error(path.display(), error)
}

/// A lock whose data no panic can leave half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
