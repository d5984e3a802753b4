//! Objects in memory under one lock.
//!
//! Invariant, while [`Honesty::Atomic`]: of any number of conditional writes of one key, one wins,
//! and whoever is told anything is told what the lock saw.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};

/// How conditional writes are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Honesty {
    /// Checked and written under one lock.
    #[default]
    Atomic,
    /// Checked, and written a moment later: two writers may both pass the check. Several servers
    /// that people run do this.
    CheckThenWrite,
    /// The condition is ignored: every write succeeds.
    Ignore,
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) tag: String,
    pub(super) modified: SystemTime,
}

/// Whether a write may replace an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    None,
    Absent,
}

/// A conditional write met an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exists;

#[derive(Default)]
pub(super) struct Backend {
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    honesty: Honesty,
    objects: BTreeMap<(String, String), Stored>,
    uploads: BTreeMap<String, BTreeMap<i32, Bytes>>,
    begun: u64,
}

impl Backend {
    pub(super) fn set_honesty(&self, honesty: Honesty) {
        self.shelves().honesty = honesty;
    }

    pub(super) async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        condition: Condition,
    ) -> Result<Stored, Exists> {
        let place = (bucket.to_owned(), key.to_owned());
        let honesty = {
            let mut shelves = self.shelves();
            let taken = condition == Condition::Absent && shelves.objects.contains_key(&place);
            match shelves.honesty {
                Honesty::Atomic | Honesty::CheckThenWrite if taken => return Err(Exists),
                Honesty::CheckThenWrite => {}
                Honesty::Atomic | Honesty::Ignore => return Ok(shelves.put(place, bytes)),
            }
            shelves.honesty
        };
        if honesty == Honesty::CheckThenWrite && condition == Condition::Absent {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(self.shelves().put(place, bytes))
    }

    pub(super) fn place(&self, bucket: &str, key: &str, bytes: Bytes) {
        let place = (bucket.to_owned(), key.to_owned());
        self.shelves().put(place, bytes);
    }

    pub(super) fn get(&self, bucket: &str, key: &str) -> Option<Stored> {
        let place = (bucket.to_owned(), key.to_owned());
        self.shelves().objects.get(&place).cloned()
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) {
        let place = (bucket.to_owned(), key.to_owned());
        self.shelves().objects.remove(&place);
    }

    /// Up to `most` objects whose keys start with `prefix` and come after `after`.
    pub(super) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
        most: usize,
    ) -> Vec<(String, Stored)> {
        let shelves = self.shelves();
        let listed = shelves.objects.iter().filter(|((place, key), _)| {
            place == bucket && key.starts_with(prefix) && key.as_str() > after
        });
        listed
            .take(most)
            .map(|((_, key), stored)| (key.clone(), stored.clone()))
            .collect()
    }

    pub(super) fn objects(&self, bucket: &str) -> BTreeMap<String, Bytes> {
        let all = self.list(bucket, "", "", usize::MAX);
        all.into_iter()
            .map(|(key, stored)| (key, stored.bytes))
            .collect()
    }

    pub(super) fn open_uploads(&self) -> usize {
        self.shelves().uploads.len()
    }

    pub(super) fn begin_upload(&self) -> String {
        let mut shelves = self.shelves();
        shelves.begun += 1;
        let id = format!("upload-{}", shelves.begun);
        shelves.uploads.insert(id.clone(), BTreeMap::new());
        id
    }

    /// Keeps a part; none if there is no such upload.
    pub(super) fn put_part(&self, upload: &str, number: i32, bytes: Bytes) -> Option<String> {
        let tag = tag_of(&bytes);
        let mut shelves = self.shelves();
        shelves.uploads.get_mut(upload)?.insert(number, bytes);
        Some(tag)
    }

    /// Puts the parts together; none if there is no such upload.
    pub(super) fn complete(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[i32],
    ) -> Option<Stored> {
        let mut shelves = self.shelves();
        let kept = shelves.uploads.get(upload)?;
        let mut whole = BytesMut::new();
        for number in parts {
            whole.extend_from_slice(kept.get(number)?);
        }
        shelves.uploads.remove(upload);
        Some(shelves.put((bucket.to_owned(), key.to_owned()), whole.freeze()))
    }

    pub(super) fn abort(&self, upload: &str) {
        self.shelves().uploads.remove(upload);
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    #[allow(clippy::disallowed_methods, reason = "what a server tells its clients")]
    fn put(&mut self, place: (String, String), bytes: Bytes) -> Stored {
        let stored = Stored {
            tag: tag_of(&bytes),
            bytes,
            modified: SystemTime::now(),
        };
        self.objects.insert(place, stored.clone());
        stored
    }
}

fn tag_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..32].to_owned()
}
