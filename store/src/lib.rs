//! Object stores behind one small interface.
//!
//! Opens a URL (`file://`, a plain path, `s3://`, `gs://`, `az://`, `memory://`) by the process's
//! store profiles or its environment and offers what the protocol needs: whole reads, range reads,
//! writes, listing, and *create if absent*, the only conditional operation. Nothing here knows
//! Arrow or jobs.
//!
//! Invariant: no credential leaves this crate, neither in an error nor in a debug print.

mod create;
mod draft;
mod environment;
mod error;
mod listing;
mod location;
mod name;
mod open;
mod profile;
mod retry;
mod setting;
mod staging;
mod upload;

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use rankmill_common::{Error, ErrorKind, Result};

pub use create::Created;
pub use draft::Draft;
pub use error::{disk_error, disk_fault};
pub use location::{Location, local_url};
pub use profile::StoreProfiles;

/// Deletions under way at a time.
const DELETIONS: usize = 16;

/// One store and a prefix within it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    /// The same client for listings page by page, where it is one of a remote store.
    pages: Option<Arc<dyn PaginatedListStore>>,
    location: Location,
}

/// An object as a listing or a head request shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key relative to the store's prefix.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The store's version tag, or the time of the last change where it has none.
    pub version: String,
    /// Seconds since 1970 of the last change.
    pub modified: i64,
}

impl Store {
    /// Opens `url` by the store profiles of this process, or with the credentials of its
    /// environment where it has none. A local directory is made if it is not there; nothing is
    /// read or written yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a URL that cannot be understood or that no profile serves, and for
    /// settings from which no client can be made.
    pub fn open(url: &str) -> Result<Self> {
        StoreProfiles::installed().open(url)
    }

    /// Opens the folder of the object at `url`; also returns the object's key in it. A profile
    /// that serves the object need not serve its folder.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_object(url: &str) -> Result<(Self, String)> {
        StoreProfiles::installed().open_object(url)
    }

    /// A store on a client that the caller has made: with credentials of its own, or with a layer
    /// that counts, limits or disturbs calls. `location` says where below the client's root keys
    /// lie, and names the store in messages.
    pub fn over(inner: Arc<dyn ObjectStore>, location: Location) -> Self {
        Self {
            inner,
            pages: None,
            location,
        }
    }

    /// The place this store was opened on.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The object `key` as a local file, where the store is a local directory.
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.location.local_path(key)
    }

    /// The whole object `key`.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `Unavailable` when the store is out of reach.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        retry::again(|| self.get_once(key)).await
    }

    async fn get_once(&self, key: &str) -> Result<Bytes> {
        let path = self.path(key)?;
        let object = self
            .inner
            .get(&path)
            .await
            .map_err(|e| self.fail(key, &e))?;
        object.bytes().await.map_err(|e| self.fail(key, &e))
    }

    /// Some ranges of the object `key`; neighbours are read together. Each comes whole.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn get_ranges(
        &self,
        key: &str,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let path = self.path(key)?;
        let parts = retry::again(async || {
            let read = self.inner.get_ranges(&path, ranges).await;
            read.map_err(|e| self.fail(key, &e))
        });
        let parts = parts.await?;
        let whole = ranges
            .iter()
            .zip(&parts)
            .all(|(range, part)| range.end - range.start == part.len() as u64);
        if whole && parts.len() == ranges.len() {
            return Ok(parts);
        }
        let place = self.location.display(key);
        let message = format!("{place}: the store sent less than it was asked for");
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    /// Size and version of the object `key`.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn head(&self, key: &str) -> Result<Entry> {
        let path = self.path(key)?;
        let meta = retry::again(async || {
            let head = self.inner.head(&path).await;
            head.map_err(|e| self.fail(key, &e))
        });
        Ok(self.entry(meta.await?))
    }

    /// Writes the object `key`, replacing what is there.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(key)?;
        let put = retry::again(async || {
            let put = self.inner.put(&path, bytes.clone().into()).await;
            put.map_err(|e| self.fail(key, &e))
        });
        put.await?;
        Ok(())
    }

    /// Starts the object `key` of some `expected` bytes, which is written from front to back: for
    /// what had better not be in memory as a whole.
    ///
    /// # Errors
    ///
    /// As [`Self::put`].
    pub fn draft(&self, key: &str, expected: usize) -> Result<Draft> {
        Draft::create(self, key, expected)
    }

    /// Writes the object `key` unless there is one. The answer is certain: where the store's own
    /// is not (a timeout, a conflict), the object is read back and the same bytes are offered
    /// again. Callers put a nonce in `bytes`, so that equal bytes mean *this* write.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store stays out of reach: the write may then still land.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<Created> {
        create::create(self, key, bytes).await
    }

    /// Writes a local file as the object `key`, in parts where it is large, replacing what is
    /// there.
    ///
    /// # Errors
    ///
    /// As [`Self::put`].
    pub async fn upload_file(&self, key: &str, file: &FilePath) -> Result<()> {
        let path = self.path(key)?;
        let upload = retry::again(async || {
            let upload = upload::upload(&*self.inner, &path, file).await;
            upload.map_err(|failure| self.upload_failed(key, file, &failure))
        });
        upload.await
    }

    /// Deletes the object `key`; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach.
    pub async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        let delete = retry::again(async || {
            let deleted = self.inner.delete(&path).await;
            deleted.map_err(|e| self.fail(key, &e))
        });
        match delete.await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    /// Deletes the objects `keys`, as far as that is possible.
    ///
    /// # Errors
    ///
    /// As [`Self::delete`], of one that could not be deleted.
    pub async fn delete_all(&self, keys: impl IntoIterator<Item = String>) -> Result<()> {
        let deletions = futures::stream::iter(keys).map(async |key| self.delete(&key).await);
        let failed = deletions
            .buffer_unordered(DELETIONS)
            .filter_map(async |deleted| deleted.err());
        let failures: Vec<_> = failed.collect().await;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Deletes every object below the folder `prefix`, as far as that is possible; a local store's
    /// folders go with them, and what was left half-written in them.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach, or when somebody goes on writing there: some
    /// objects may then still be there. `InvalidInput` where `prefix` leads elsewhere, `Internal`
    /// where it is the whole store.
    pub async fn delete_below(&self, prefix: &str) -> Result<()> {
        if prefix.trim_matches('/').is_empty() {
            return Err(Error::internal("a whole store is never deleted"));
        }
        let path = self.path(prefix)?;
        let Some(folder) = self.local_path(path.as_ref()) else {
            let entries = self.list(prefix).await?;
            return self
                .delete_all(entries.into_iter().map(|entry| entry.key))
                .await;
        };
        let place = self.location.display(prefix);
        match tokio::task::spawn_blocking(move || staging::remove_folder(&folder)).await {
            Ok(removed) => removed.map_err(|e| disk_error(place, &e)),
            Err(e) => Err(Error::new(ErrorKind::Unavailable, format!("{place}: {e}"))),
        }
    }

    /// Every object whose key starts with the folder `prefix`, in the order of the keys. Keys that
    /// no client could read, such as one with two slashes in a row, are passed over.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach, `InvalidInput` naming a key that cannot be
    /// read and that the store lists nothing behind.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let path = self.path(prefix)?;
        let listing = retry::again(async || {
            let found = self.list_once(&path).await;
            found.map_err(|e| self.fail(prefix, &e))
        });
        let mut metas: Vec<ObjectMeta> = listing.await?;
        // Consoles make an object for the folder itself; it is not in the folder.
        metas.retain(|meta| meta.location != path);
        let mut entries: Vec<_> = metas.into_iter().map(|meta| self.entry(meta)).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    async fn list_once(&self, path: &Path) -> object_store::Result<Vec<ObjectMeta>> {
        let found = self.inner.list(Some(path)).try_collect().await;
        match (found, &self.pages) {
            (Err(error), Some(pages)) if listing::odd_key(&error).is_some() => {
                listing::list_around(&**pages, path).await
            }
            (found, _) => found,
        }
    }

    /// Removes what killed processes have left half-written below `folders` and nobody has touched
    /// for `age`. Returns how many files that were. Remote stores keep nothing half-written but parts of
    /// uploads, which their own lifecycle rules remove.
    pub async fn sweep_staging<const N: usize>(
        &self,
        folders: [&'static str; N],
        age: std::time::Duration,
    ) -> u64 {
        match self.local_path("") {
            // A lost thread has removed nothing that mattered.
            Some(root) => tokio::task::spawn_blocking(move || {
                let folders = folders.map(|folder| root.join(folder));
                folders.iter().map(|root| staging::sweep(root, age)).sum()
            })
            .await
            .unwrap_or(0),
            None => 0,
        }
    }

    /// Removes what killed processes have left half-written in `folder` of objects that nobody
    /// writes any more, as `is_over` knows by their names.
    pub async fn sweep_staged_in(&self, folder: &str, is_over: fn(&str) -> bool) {
        if let Some(folder) = self.local_path(folder) {
            // What is left costs only space.
            let swept = tokio::task::spawn_blocking(move || staging::sweep_in(&folder, is_over));
            let _ = swept.await;
        }
    }

    fn path(&self, key: &str) -> Result<Path> {
        self.location.object_path(key)
    }

    fn entry(&self, meta: ObjectMeta) -> Entry {
        Entry {
            key: self.location.key_of(&meta.location),
            size: meta.size,
            version: meta
                .e_tag
                .unwrap_or_else(|| meta.last_modified.to_rfc3339()),
            modified: meta.last_modified.timestamp(),
        }
    }

    fn fail(&self, key: &str, error: &object_store::Error) -> Error {
        error::translate(&self.location.display(key), error)
    }

    fn upload_failed(&self, key: &str, file: &FilePath, failure: &upload::Failure) -> Error {
        match failure {
            upload::Failure::Store(error) => self.fail(key, error),
            upload::Failure::Disk(error) => Error::new(
                ErrorKind::Unavailable,
                format!("{}: {error}", file.display()),
            ),
            upload::Failure::Forgotten => Error::new(
                ErrorKind::Unavailable,
                format!("{}: the store lost its upload", self.location.display(key)),
            ),
        }
    }
}

/// The client behind it holds credentials, so only the place is shown.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.location.url()).finish()
    }
}

#[cfg(test)]
mod tests;
