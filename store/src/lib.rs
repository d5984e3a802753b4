//! Object stores behind one small interface.
//!
//! Opens a URL (`file://`, a plain path, `s3://`, `gs://`, `az://`, `memory://`) and offers what
//! the protocol needs: whole reads, range reads, writes, listing, and *create if absent*, the only
//! conditional operation. Nothing here knows Arrow or jobs.
//!
//! Invariant: no credential leaves this crate, neither in an error nor in a debug print.

mod create;
mod error;
mod location;
mod open;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use rankmill_common::Result;

pub use create::Created;
pub use location::Location;

/// One store and a prefix within it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
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
    /// Opens `url` with the credentials of the environment. A local directory is made if it is
    /// not there; nothing is read or written yet.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a URL that cannot be understood, `Unavailable` for a client that cannot
    /// be made.
    pub fn open(url: &str) -> Result<Self> {
        let location = Location::parse(url)?;
        let inner = open::client(&location)?;
        Ok(Self { inner, location })
    }

    /// A store on a client that the caller has made: with credentials of its own, or with a layer
    /// that counts, limits or disturbs calls. `location` says where below the client's root keys
    /// lie, and names the store in messages.
    pub fn over(inner: Arc<dyn ObjectStore>, location: Location) -> Self {
        Self { inner, location }
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
        let path = self.path(key);
        let object = self
            .inner
            .get(&path)
            .await
            .map_err(|e| self.fail(key, &e))?;
        object.bytes().await.map_err(|e| self.fail(key, &e))
    }

    /// Some ranges of the object `key`; neighbours are read together.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn get_ranges(
        &self,
        key: &str,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let path = self.path(key);
        self.inner
            .get_ranges(&path, ranges)
            .await
            .map_err(|e| self.fail(key, &e))
    }

    /// Size and version of the object `key`.
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    pub async fn head(&self, key: &str) -> Result<Entry> {
        let path = self.path(key);
        let meta = self
            .inner
            .head(&path)
            .await
            .map_err(|e| self.fail(key, &e))?;
        Ok(self.entry(meta))
    }

    /// Writes the object `key`, replacing what is there.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let path = self.path(key);
        self.inner
            .put(&path, bytes.into())
            .await
            .map_err(|e| self.fail(key, &e))?;
        Ok(())
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

    /// Uploads a large object in parts.
    ///
    /// # Errors
    ///
    /// As [`Self::put`].
    pub async fn upload_file(&self, key: &str, file: &FilePath) -> Result<()> {
        open::upload(&self.inner, &self.path(key), file)
            .await
            .map_err(|e| self.fail(key, &e))
    }

    /// Deletes the object `key`; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.inner.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.fail(key, &e)),
        }
    }

    /// Every object whose key starts with the folder `prefix`, in the order of the keys.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let path = self.path(prefix);
        let metas: Vec<ObjectMeta> = self
            .inner
            .list(Some(&path))
            .try_collect()
            .await
            .map_err(|e| self.fail(prefix, &e))?;
        let mut entries: Vec<_> = metas.into_iter().map(|meta| self.entry(meta)).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    fn path(&self, key: &str) -> Path {
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

    fn fail(&self, key: &str, error: &object_store::Error) -> rankmill_common::Error {
        error::translate(&self.location.display(key), error)
    }
}

#[cfg(test)]
mod tests;
