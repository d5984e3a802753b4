//! Append-only logs on the object store: the truth, and the fence.
//!
//! A log is a run of numbered slots, each created if absent and never changed. A slot carries its
//! writer's epoch and a nonce: the nonce tells a write from another's after an ambiguous answer,
//! a higher epoch tells a coordinator that it has been replaced. Nothing here schedules.
//!
//! Invariant: slot n+1 is written only by someone who has read or written slot n.

mod entry;
mod history;

use bytes::Bytes;
use futures::future::join_all;
use rankmill_common::{Digest, Epoch, Error, ErrorKind, Result};
use rankmill_store::{Created, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use entry::{ClusterEntry, JobEntry, TaskCost};
pub use history::{Committed, JobHistory, StageRecord};

/// Version of the encoding of slots and entries.
const LOG_VERSION: u32 = 1;

/// Slots that are asked for at a time, once as many were there: a remote store takes its time for each.
const MOST_AHEAD: usize = 32;

/// What one slot holds.
#[derive(Debug, Serialize, Deserialize)]
struct Slot<E> {
    version: u32,
    epoch: Epoch,
    /// Unique to this write.
    nonce: String,
    /// Digest of the slot before; absent in the first.
    previous: Option<Digest>,
    entries: Vec<E>,
}

/// One log, read to its end and open for appending.
#[derive(Debug)]
pub struct Log {
    store: Store,
    prefix: String,
    epoch: Epoch,
    /// The highest epoch that was read.
    seen: Epoch,
    next: u64,
    previous: Option<Digest>,
}

/// A log's entries with the highest epoch seen among them.
#[derive(Debug)]
pub struct Replay<E> {
    /// Entries in order.
    pub entries: Vec<E>,
    /// The highest epoch that wrote.
    pub epoch: Epoch,
}

/// A place in a log from which reading may start; only ever a hint.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    next: u64,
    previous: Option<Digest>,
}

impl Log {
    /// Reads the log under `prefix` from `from` to its end.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach, `InvalidInput` for a slot that cannot be read.
    pub async fn read<E: DeserializeOwned>(
        store: Store,
        prefix: String,
        from: Position,
    ) -> Result<(Self, Replay<E>)> {
        let mut log = Self {
            store,
            prefix,
            epoch: Epoch::default(),
            seen: Epoch::default(),
            next: from.next,
            previous: from.previous,
        };
        let mut replay = Replay {
            entries: Vec::new(),
            epoch: Epoch::default(),
        };
        let mut ahead = 1;
        loop {
            let keys: Vec<_> = (log.next..).take(ahead).map(|seq| log.key(seq)).collect();
            let slots = join_all(keys.iter().map(|key| log.store.get(key))).await;
            for slot in slots {
                match slot {
                    Ok(bytes) => {
                        let slot: Slot<E> = log.accept(&bytes)?;
                        replay.epoch = replay.epoch.max(slot.epoch);
                        replay.entries.extend(slot.entries);
                    }
                    Err(e) if e.kind == ErrorKind::NotFound => return Ok((log, replay)),
                    Err(e) => return Err(e),
                }
            }
            ahead = (2 * ahead).min(MOST_AHEAD);
        }
    }

    /// Writes as `epoch` from now on.
    pub fn take_over(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Where the log ends.
    pub fn position(&self) -> Position {
        Position {
            next: self.next,
            previous: self.previous,
        }
    }

    /// Appends `entries` as one slot.
    ///
    /// # Errors
    ///
    /// `Fenced` when a coordinator of the same or a higher epoch has written there first, or one of
    /// a higher epoch anywhere in what was read,
    /// `Unavailable` when the store stays out of reach.
    pub async fn append<E>(&mut self, entries: Vec<E>) -> Result<()>
    where
        E: Serialize + DeserializeOwned,
    {
        if self.seen > self.epoch {
            return Err(fenced(self.seen));
        }
        let slot = Slot {
            version: LOG_VERSION,
            epoch: self.epoch,
            nonce: uuid::Uuid::new_v4().to_string(),
            previous: self.previous,
            entries,
        };
        let bytes = Bytes::from(serde_json::to_vec(&slot).map_err(unwritable)?);
        let created = self
            .store
            .create(&self.key(self.next), bytes.clone())
            .await?;
        let Created::Other(found) = created else {
            self.advance(&bytes);
            return Ok(());
        };
        let other: Slot<E> = self.accept(&found)?;
        if other.epoch >= self.epoch {
            return Err(fenced(other.epoch));
        }
        // An older coordinator got one more word in before it was fenced: this writer's view of
        // the log is out of date.
        Err(Error::new(
            ErrorKind::Unavailable,
            "an older coordinator wrote to the log; it must be replayed",
        ))
    }

    fn accept<E: DeserializeOwned>(&mut self, bytes: &Bytes) -> Result<Slot<E>> {
        let slot: Slot<E> =
            serde_json::from_slice(bytes).map_err(|e| self.damaged(&e.to_string()))?;
        if slot.version != LOG_VERSION {
            let version = slot.version;
            return Err(self.damaged(&format!("it is of version {version}, not {LOG_VERSION}")));
        }
        if slot.previous != self.previous {
            return Err(self.damaged("it does not follow the one before it"));
        }
        self.advance(bytes);
        self.seen = self.seen.max(slot.epoch);
        Ok(slot)
    }

    /// The next slot was changed or lost, or another version of rankmill wrote it.
    fn damaged(&self, what: &str) -> Error {
        Error::invalid_input(format!(
            "slot {} of the log {prefix} in the state cannot be used: {what}; remove the folder \
             {prefix} there, and what it was the log of begins anew",
            self.next,
            prefix = self.prefix
        ))
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.previous = Some(Digest::of(bytes));
        self.next += 1;
    }

    /// Where the log under `prefix` starts, if there is one.
    pub fn first_slot(prefix: &str) -> String {
        slot_key(prefix, 0)
    }

    fn key(&self, seq: u64) -> String {
        slot_key(&self.prefix, seq)
    }
}

fn slot_key(prefix: &str, seq: u64) -> String {
    format!("{prefix}/{seq:020}")
}

fn fenced(epoch: Epoch) -> Error {
    Error::new(
        ErrorKind::Fenced,
        format!("a coordinator of epoch {epoch} has taken over"),
    )
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("a log slot cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn open(name: &str) -> (Log, Replay<u32>) {
        let store = Store::open(&format!("memory://{name}")).expect("memory store");
        Log::read(store, "log".into(), Position::default())
            .await
            .expect("readable")
    }

    #[tokio::test]
    async fn replays_what_was_appended() {
        let (mut log, _) = open("replays").await;
        log.take_over(Epoch(1));
        log.append(vec![1, 2]).await.expect("append");
        log.append(vec![3]).await.expect("append");
        let (_, replay) = open("replays").await;
        assert_eq!(replay.entries, [1, 2, 3]);
        assert_eq!(replay.epoch, Epoch(1));
    }

    #[tokio::test]
    async fn a_long_log_is_read_to_its_end_and_no_further() {
        let (mut log, _) = open("long").await;
        log.take_over(Epoch(1));
        for slot in 0..100 {
            log.append(vec![slot]).await.expect("append");
            let (read, replay) = open("long").await;
            assert_eq!(read.position().next, u64::from(slot) + 1);
            assert!(replay.entries.into_iter().eq(0..=slot));
        }
    }

    #[tokio::test]
    async fn a_slot_that_was_changed_is_named_with_the_way_out() {
        for (name, bytes) in [
            ("junk", "x"),
            ("empty", ""),
            (
                "old",
                r#"{"version":0,"epoch":1,"previous":null,"entries":[]}"#,
            ),
        ] {
            let (mut log, _) = open(name).await;
            log.take_over(Epoch(1));
            log.append(vec![1]).await.expect("append");
            let store = Store::open(&format!("memory://{name}")).expect("memory store");
            let (slot, bytes) = (slot_key("log", 0), Bytes::from_static(bytes.as_bytes()));
            store.put(&slot, bytes).await.expect("changed");
            let read = Log::read::<u32>(store, "log".into(), Position::default()).await;
            let error = read.expect_err("refused");
            assert_eq!(error.kind, ErrorKind::InvalidInput);
            let says = |part: &str| error.message.contains(part);
            assert!(
                says("slot 0 of the log log") && says("remove the folder"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn an_older_epoch_is_fenced() {
        let (mut old, _) = open("fenced").await;
        old.take_over(Epoch(1));
        old.append(vec![1]).await.expect("append");
        let (mut new, _) = open("fenced").await;
        new.take_over(Epoch(2));
        new.append(vec![2]).await.expect("append");
        let error = old.append(vec![3]).await.expect_err("fenced");
        assert_eq!(error.kind, ErrorKind::Fenced);
        let (_, replay) = open("fenced").await;
        assert_eq!(replay.entries, [1, 2]);
    }

    #[tokio::test]
    async fn an_older_epoch_that_reads_of_a_newer_one_is_fenced() {
        let (mut new, _) = open("late reader").await;
        new.take_over(Epoch(2));
        new.append(vec![2]).await.expect("append");
        let (mut old, _) = open("late reader").await;
        old.take_over(Epoch(1));
        let error = old.append(vec![1]).await.expect_err("fenced");
        assert_eq!(error.kind, ErrorKind::Fenced);
    }
}
