//! Files mapped into memory, read-only.
//!
//! The one home of `mmap`, and of `unsafe` in this crate. Only objects of the state store and of
//! the cache are mapped, never a user's input: those files are immutable by protocol, so nobody
//! cuts them short under a reader.

#![allow(unsafe_code, reason = "mapping a file is unsafe; see SAFETY below")]

use std::collections::HashMap;
use std::fs::File;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use arrow::buffer::Buffer;
use memmap2::Mmap;

/// The bytes of one file. Cheap to clone; the file stays alive, even if it is deleted meanwhile,
/// as long as a clone or a buffer made of it does.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    changed: Option<SystemTime>,
}

/// The files that are mapped now: tasks that read the same file share its map, so that its pages
/// count once in the process's memory.
#[derive(Debug, Default)]
pub(super) struct Maps {
    known: Mutex<HashMap<FileId, Weak<Mmap>>>,
}

/// A file in one state: another one, or one that was written to, has another.
type FileId = (u64, u64, u64, Option<SystemTime>);

/// Maps remembered before those that nobody holds any more are swept out.
const SWEEP: usize = 1 << 12;

impl Maps {
    /// Maps the file at `path`.
    pub(super) fn open(&self, path: &Path) -> std::io::Result<Mapped> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let changed = metadata.modified().ok();
        let id = (metadata.dev(), metadata.ino(), metadata.len(), changed);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(Mapped { map, changed });
        }
        // SAFETY: the map is read-only. Objects and cache entries appear by rename when they are
        // complete and are only ever deleted as a whole, which a map survives; no process that
        // follows the protocol writes to them or truncates them.
        let map = Arc::new(unsafe { Mmap::map(&file)? });
        if known.len() >= SWEEP {
            known.retain(|_, map| map.strong_count() > 0);
        }
        known.insert(id, Arc::downgrade(&map));
        Ok(Mapped { map, changed })
    }
}

impl Mapped {
    /// When the file was last written to, as far as the file system says.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        self.changed
    }

    /// Whether both are one map of one file.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.map, &other.map)
    }

    /// The bytes as an Arrow buffer, without a copy.
    pub(crate) fn buffer(&self) -> Buffer {
        Buffer::from(bytes::Bytes::from_owner(self.clone()))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_mapped_once_until_it_changes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("object");
        std::fs::write(&path, b"first").expect("written");
        let maps = Maps::default();
        let first = maps.open(&path).expect("mapped");
        let again = maps.open(&path).expect("mapped");
        assert!(std::ptr::eq(first.as_ptr(), again.as_ptr()));
        let draft = directory.path().join("draft");
        std::fs::write(&draft, b"other").expect("written");
        std::fs::rename(&draft, &path).expect("replaced");
        let other = maps.open(&path).expect("mapped");
        assert_eq!((&first[..], &other[..]), (&b"first"[..], &b"other"[..]));
    }
}
