//! One input file: its size and version, and ranges of its bytes.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rankmill_common::{Error, Result};
use rankmill_store::{Location, Store};

use super::{io_error, store_error};
use crate::context::TaskContext;

/// An input file, open for reading. Cheap to clone.
#[derive(Clone)]
pub(crate) struct InputFile {
    context: TaskContext,
    url: Arc<str>,
    /// As people like to read it: a path where it is local.
    name: Arc<str>,
    access: Access,
    size: u64,
    version: Arc<str>,
}

#[derive(Clone)]
enum Access {
    Local { file: Arc<File>, path: PathBuf },
    Remote { store: Store, key: String },
}

impl InputFile {
    /// Opens the file at `url` as it is now.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where there is no such file, `Unavailable` where it is out of reach.
    pub(crate) fn open(context: &TaskContext, url: &str) -> Result<Self> {
        let location = Location::parse(url)?;
        let (access, name, size, version) = match location.local_path("") {
            Some(path) => {
                let name = path.to_string_lossy().trim_end_matches('/').to_owned();
                let path = PathBuf::from(&name);
                let file = File::open(&path).map_err(|e| io_error(&name, &e))?;
                let metadata = file.metadata().map_err(|e| io_error(&name, &e))?;
                let version = local_version(&metadata);
                let file = Arc::new(file);
                (Access::Local { file, path }, name, metadata.len(), version)
            }
            None => {
                let (store, key) = Store::open_object(url)?;
                let head = context.block_on(store.head(&key));
                let entry = head.map_err(|e| store_error(url, e))?;
                let access = Access::Remote { store, key };
                (access, url.to_owned(), entry.size, entry.version)
            }
        };
        Ok(Self {
            context: context.clone(),
            url: url.into(),
            name: name.into(),
            access,
            size,
            version: version.into(),
        })
    }

    /// Opens the file at `url`, which must still be what was pinned.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; `InvalidInput` where the file has changed.
    pub(crate) fn open_pinned(
        context: &TaskContext,
        url: &str,
        size: u64,
        version: &str,
    ) -> Result<Self> {
        let file = Self::open(context, url)?;
        if file.size == size && *file.version == *version {
            Ok(file)
        } else {
            Err(file.changed())
        }
    }

    /// Errs with `InvalidInput` if the file is no longer what was opened.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        let (size, version) = match &self.access {
            Access::Local { path, .. } => {
                let metadata = std::fs::metadata(path).map_err(|e| io_error(&self.name, &e))?;
                (metadata.len(), local_version(&metadata))
            }
            Access::Remote { store, key } => {
                let head = self.context.block_on(store.head(key));
                let entry = head.map_err(|e| store_error(&self.url, e))?;
                (entry.size, entry.version)
            }
        };
        if (size, &*version) == (self.size, &*self.version) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    fn changed(&self) -> Error {
        Error::invalid_input(format!(
            "{} changed while the job ran: run the job again, on files that nobody writes to",
            self.name
        ))
    }

    /// The file as people like to read it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The store's version tag, or the time of the last change.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The surroundings that the file was opened in.
    pub(super) fn context(&self) -> &TaskContext {
        &self.context
    }

    /// Appends some of the file's bytes.
    pub(super) fn append(&self, bytes: &mut Vec<u8>, start: u64, length: usize) -> Result<()> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(Error::invalid_input(format!(
                "{}: bytes {start}+{length} lie behind its end; it is truncated or damaged",
                self.name
            )));
        }
        self.context.check_cancelled()?;
        self.context.count_read(length as u64);
        match &self.access {
            Access::Local { file, .. } => {
                let before = bytes.len();
                bytes.resize(before + length, 0);
                read_exact_at(file, &mut bytes[before..], start).map_err(|e| match e.kind() {
                    std::io::ErrorKind::UnexpectedEof => self.changed(),
                    _ => io_error(&self.name, &e),
                })
            }
            Access::Remote { store, key } => {
                let span = start..start + length as u64;
                let read = self.context.block_on(store.get_ranges(key, &[span]));
                let parts = read.map_err(|e| store_error(&self.url, e))?;
                let part = parts.into_iter().next().unwrap_or_default();
                if part.len() != length {
                    return Err(self.changed());
                }
                bytes.extend_from_slice(&part);
                Ok(())
            }
        }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, start)
}

#[cfg(not(unix))]
fn read_exact_at(file: &File, bytes: &mut [u8], start: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    // A handle of its own: handles share their position with their clones.
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(bytes)
}

fn local_version(metadata: &Metadata) -> String {
    let since = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mtime = since.unwrap_or_default().as_nanos();
    format!("mtime-{mtime}{}", change_time(metadata))
}

/// When the file became what it is here, which copies that keep the time of their original do not
/// keep. Inodes would tell as much, but not every mount of a shared file system numbers them alike.
#[cfg(unix)]
fn change_time(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("-ctime-{}.{:09}", metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn change_time(_: &Metadata) -> String {
    String::new()
}
