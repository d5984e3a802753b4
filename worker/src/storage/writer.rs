//! Writes one object: staged, hashed on the way, visible only when complete.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rankmill_common::{Digest, Error, ObjectRef, Result};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::objects::{Objects, disk_error};
use crate::context::Counters;

/// Bytes gathered before they are hashed and written.
const BUFFER: usize = 1 << 20;

/// Where a finished object goes.
pub(super) struct Target {
    pub(super) objects: Objects,
    pub(super) runtime: Handle,
    pub(super) counters: Arc<Counters>,
    pub(super) key: String,
}

/// An object being written. Without [`Self::finish`] it never existed.
///
/// Nothing is flushed to the disk's platters: after a power cut the digest tells a torn object
/// from a whole one, and its producer runs again.
pub(crate) struct ObjectWriter {
    target: Target,
    staged: Staged,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    size: u64,
}

/// A file that goes when it is dropped.
struct Staged {
    file: File,
    path: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // It is gone already where it was published.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ObjectWriter {
    /// Stages the object in a file beside `place`.
    pub(super) fn create(target: Target, place: &Path) -> Result<Self> {
        let folder = place.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(|e| disk_error(folder, &e))?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".staged-{}", Uuid::new_v4().simple()));
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(|e| disk_error(&path, &e))?;
        Ok(Self {
            target,
            staged: Staged { file, path },
            buffer: Vec::with_capacity(BUFFER),
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }

    /// Makes the object visible.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
    pub(crate) fn finish(mut self) -> Result<ObjectRef> {
        self.spill()
            .map_err(|e| disk_error(&self.staged.path, &e))?;
        let object = ObjectRef {
            key: self.target.key.clone(),
            size: self.size,
            digest: Digest::from_bytes(*self.hasher.finalize().as_bytes()),
        };
        let Target {
            objects, runtime, ..
        } = &self.target;
        objects.publish(runtime, &self.staged.path, &object)?;
        self.target.counters.count_written(self.size);
        Ok(object)
    }

    /// The error that travels for a failed write to this object.
    pub(crate) fn error(&self, error: &io::Error) -> Error {
        disk_error(&self.staged.path, error)
    }

    fn spill(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.put(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.staged.file.write_all(bytes)?;
        if bytes.len() >= BUFFER {
            self.hasher.update_rayon(bytes);
        } else {
            self.hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.spill()?;
        }
        if bytes.len() >= BUFFER {
            // Part by part, so that what is hashed is still in a cache.
            bytes.chunks(BUFFER).try_for_each(|part| self.put(part))?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Only `finish` makes anything visible.
        Ok(())
    }
}
