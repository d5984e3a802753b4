//! Files mapped into memory, read-only.
//!
//! The one home of `mmap`, and of `unsafe` in this crate. Only objects of the state store and of
//! the cache are mapped, never a user's input: those files are immutable by protocol, so nobody
//! cuts them short under a reader.

#![allow(unsafe_code, reason = "mapping a file is unsafe; see SAFETY below")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
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

impl Mapped {
    /// Maps the file at `path`.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the map is read-only. Objects and cache entries appear by rename when they are
        // complete and are only ever deleted as a whole, which a map survives; no process that
        // follows the protocol writes to them or truncates them.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self {
            map: Arc::new(map),
            changed: file.metadata()?.modified().ok(),
        })
    }

    /// When the file was last written to, as far as the file system says.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        self.changed
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
