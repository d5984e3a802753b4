//! Copies of remote objects on the local disk, named by their digest.
//!
//! Least recently used copies go first when the budget is exceeded; a copy that is mapped stays
//! readable after its file is gone. Several processes may share a directory: each keeps its own
//! account, so together they may exceed one budget.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rankmill_common::{Digest, Error, ErrorKind, ObjectRef, Result};
use rankmill_store::Store;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::mapped::{Mapped, Maps};
use super::objects::{disk_error, lock};

/// Bytes fetched by one request.
const PART: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    /// Whether the directory is this process's own and goes with it.
    temporary: bool,
    budget: u64,
    account: Mutex<Account>,
    downloads: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    maps: Maps,
}

#[derive(Debug, Default)]
struct Account {
    clock: u64,
    total: u64,
    entries: HashMap<Digest, Copy>,
}

#[derive(Debug)]
struct Copy {
    size: u64,
    last_used: u64,
}

impl Cache {
    pub(super) fn open(directory: Option<PathBuf>, budget: u64) -> Result<Self> {
        let temporary = directory.is_none();
        let directory = directory.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("rankmill-cache-{}", Uuid::new_v4().simple()))
        });
        std::fs::create_dir_all(&directory).map_err(|e| {
            let message = format!("cannot make the cache {}: {e}", directory.display());
            Error::invalid_input(message)
        })?;
        let account = Mutex::new(survey(&directory)?);
        Ok(Self {
            directory,
            temporary,
            budget,
            account,
            downloads: Mutex::default(),
            maps: Maps::default(),
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The copy of `object`, downloaded first if there is none. Its digest is not checked here.
    pub(super) fn read(
        &self,
        store: &Store,
        runtime: &Handle,
        object: &ObjectRef,
    ) -> Result<Mapped> {
        let turn = Arc::clone(lock(&self.downloads).entry(object.digest).or_default());
        let guard = lock(&turn);
        let path = self.path(&object.digest);
        let mapped = match self.maps.open(&path) {
            Ok(mapped) if mapped.len() as u64 == object.size => mapped,
            Ok(_) | Err(_) => {
                let staged = self
                    .directory
                    .join(format!("new.{}", Uuid::new_v4().simple()));
                let downloaded = download(store, runtime, object, &staged)
                    .and_then(|()| self.maps.open(&staged).map_err(|e| disk_error(&staged, &e)));
                match downloaded {
                    Ok(mapped) => {
                        self.adopt(&staged, object)?;
                        mapped
                    }
                    Err(error) => {
                        let _ = std::fs::remove_file(&staged);
                        return Err(error);
                    }
                }
            }
        };
        self.touch(object);
        drop(guard);
        lock(&self.downloads).remove(&object.digest);
        Ok(mapped)
    }

    /// Takes a complete file into the cache.
    pub(super) fn adopt(&self, staged: &Path, object: &ObjectRef) -> Result<()> {
        let path = self.path(&object.digest);
        std::fs::rename(staged, &path).map_err(|e| disk_error(&path, &e))?;
        self.touch(object);
        Ok(())
    }

    /// Drops a copy that turned out to be damaged.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut account = lock(&self.account);
        if let Some(copy) = account.entries.remove(digest) {
            account.total -= copy.size;
        }
        let _ = std::fs::remove_file(self.path(digest));
    }

    fn touch(&self, object: &ObjectRef) {
        let mut account = lock(&self.account);
        account.clock += 1;
        let copy = Copy {
            size: object.size,
            last_used: account.clock,
        };
        let before = account.entries.insert(object.digest, copy);
        account.total += object.size - before.map_or(0, |copy| copy.size.min(object.size));
        while account.total > self.budget && account.entries.len() > 1 {
            let oldest = account
                .entries
                .iter()
                .min_by_key(|(_, copy)| copy.last_used);
            let Some(digest) = oldest.map(|(digest, _)| *digest) else {
                break;
            };
            if let Some(copy) = account.entries.remove(&digest) {
                account.total -= copy.size;
            }
            let _ = std::fs::remove_file(self.path(&digest));
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// What earlier processes left, oldest first. Unfinished downloads are removed after a day.
fn survey(directory: &Path) -> Result<Account> {
    const STALE_SECONDS: u64 = 24 * 3600;
    let failed = |e: std::io::Error| disk_error(directory, &e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Ok(digest) = name.parse::<Digest>() {
            found.push((metadata.modified().ok(), digest, metadata.len()));
        } else if name.starts_with("new.") {
            let age = metadata
                .modified()
                .ok()
                .and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age.as_secs() > STALE_SECONDS) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    found.sort();
    let mut account = Account::default();
    for (_, digest, size) in found {
        account.clock += 1;
        account.total += size;
        let last_used = account.clock;
        account.entries.insert(digest, Copy { size, last_used });
    }
    Ok(account)
}

fn download(store: &Store, runtime: &Handle, object: &ObjectRef, staged: &Path) -> Result<()> {
    let failed = |e: std::io::Error| disk_error(staged, &e);
    let mut file = File::create_new(staged).map_err(failed)?;
    // A wrong size would show as a failed range request: ask first, so that it reads as a loss.
    let entry = runtime
        .block_on(store.head(&object.key))
        .map_err(|e| lost_if_missing(object, e))?;
    if entry.size != object.size {
        let reason = format!("it has {} bytes, not {}", entry.size, object.size);
        return Err(Error::input_lost(&object.key, reason));
    }
    let mut start = 0;
    while start < object.size {
        let end = (start + PART).min(object.size);
        let parts = runtime
            .block_on(store.get_ranges(&object.key, std::slice::from_ref(&(start..end))))
            .map_err(|e| lost_if_missing(object, e))?;
        for part in &parts {
            file.write_all(part).map_err(failed)?;
        }
        start = end;
    }
    Ok(())
}

fn lost_if_missing(object: &ObjectRef, error: Error) -> Error {
    match error.kind {
        ErrorKind::NotFound => Error::input_lost(&object.key, "it does not exist"),
        ErrorKind::InvalidInput
        | ErrorKind::AlreadyExists
        | ErrorKind::ResourceExhausted
        | ErrorKind::Unavailable
        | ErrorKind::InputLost
        | ErrorKind::Fenced
        | ErrorKind::Cancelled
        | ErrorKind::NotConverged
        | ErrorKind::Internal => error,
    }
}
