//! The witness's account of each log: what it holds, kept with types of its own.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::PutMode;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::Report;
use rankmill_common::status::JobState;
use rankmill_common::{Digest, Epoch, Error, StageId, TaskIndex};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::job::STATE;
use super::witness::Verdict;
use crate::scheduler::Lease;

/// The slots of one log.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) slots: u64,
    pub(super) last: Option<Digest>,
    pub(super) epoch: u64,
}

/// What a job's log holds.
#[derive(Debug, Default)]
pub(super) struct JobLog {
    pub(super) chain: Chain,
    pub(super) output: String,
    pub(super) stages: BTreeSet<StageId>,
    pub(super) committed: BTreeMap<(StageId, TaskIndex), Commit>,
    /// Objects that committed tasks have made.
    pub(super) objects: BTreeMap<String, Digest>,
    /// Objects that no task reads any more that is not in the log, and since which epoch.
    pub(super) released: BTreeMap<String, u64>,
    /// What each task that was leased reads.
    pub(super) reads: BTreeMap<(StageId, TaskIndex), Vec<String>>,
    pub(super) manifest: Option<Manifest>,
    pub(super) ended: Option<End>,
}

#[derive(Debug)]
pub(super) struct Commit {
    pub(super) prefix: String,
    pub(super) epoch: u64,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) state: JobState,
    pub(super) error: Option<Error>,
    pub(super) epoch: u64,
}

#[derive(Deserialize)]
pub(super) struct Slot<E> {
    pub(super) epoch: Epoch,
    pub(super) previous: Option<Digest>,
    pub(super) entries: Vec<E>,
}

impl JobLog {
    pub(super) fn commit(
        &mut self,
        stage: StageId,
        task: TaskIndex,
        commit: Commit,
        report: &Report,
        inputs: Option<&Vec<(String, Digest)>>,
    ) -> Verdict {
        if !self.stages.contains(&stage) {
            return Err(format!("stage {stage} has not begun"));
        }
        for (key, digest) in inputs.into_iter().flatten() {
            if self.objects.get(key) != Some(digest) {
                return Err(format!(
                    "task {task} of stage {stage} used {key}, which does not count"
                ));
            }
        }
        if let Report::Combined(combined) = report {
            let object = &combined.shard.object;
            if !object.key.starts_with(&commit.prefix) {
                return Err(format!("{} lies outside {}", object.key, commit.prefix));
            }
            let key = format!("{STATE}/{}", object.key);
            self.objects.insert(object.key.clone(), object.digest);
            self.objects.insert(key, object.digest);
        }
        match self.committed.insert((stage, task), commit) {
            None => Ok(()),
            Some(_) => Err(format!("task {task} of stage {stage} was committed twice")),
        }
    }

    /// The log says that `objects` may go: what is known to read them must be in it.
    pub(super) fn release(&mut self, objects: Vec<String>, epoch: u64) -> Verdict {
        for key in objects {
            let waiting = self
                .reads
                .iter()
                .find(|(task, read)| read.contains(&key) && !self.committed.contains_key(task));
            if let Some(((stage, task), _)) = waiting {
                return Err(format!(
                    "{key} was released before task {task} of stage {stage} had read it"
                ));
            }
            if self
                .released
                .insert(format!("{STATE}/{key}"), epoch)
                .is_some()
            {
                return Err(format!("{key} was released twice"));
            }
        }
        Ok(())
    }

    /// Nobody plans a task that reads what the log has as released.
    pub(super) fn leased(&mut self, lease: &Lease, read: Vec<String>, epoch: u64) -> Verdict {
        let task = (lease.stage, lease.task);
        let gone = read.iter().find(|key| {
            let released = self.released.get(&format!("{STATE}/{key}"));
            released.is_some_and(|since| *since <= epoch)
        });
        if let Some(key) = gone
            && !self.committed.contains_key(&task)
        {
            return Err(format!(
                "{} is to read {key}, which was released",
                lease.attempt
            ));
        }
        self.reads.insert(task, read);
        Ok(())
    }

    /// Whether an object was let go: it is back where an output was lost that was made of it.
    pub(super) fn is_released(&self, key: &str) -> bool {
        self.released.contains_key(key)
    }

    pub(super) fn end(&mut self, state: JobState, error: Option<Error>, epoch: u64) {
        self.ended = Some(End {
            state,
            error,
            epoch,
        });
    }
}

impl Chain {
    /// Accepts the next slot: created, never replaced, by the newest epoch, after its predecessor.
    pub(super) fn extend<E: DeserializeOwned>(
        &mut self,
        key: &str,
        seq: u64,
        bytes: &Bytes,
        mode: &PutMode,
    ) -> Result<Slot<E>, String> {
        if !matches!(mode, PutMode::Create) {
            return Err(format!("{key} was not written as a new object"));
        }
        let slot: Slot<E> =
            serde_json::from_slice(bytes).map_err(|e| format!("{key} is nonsense: {e}"))?;
        if seq != self.slots || slot.previous != self.last {
            return Err(format!(
                "{key} does not follow slot {} of its log",
                self.slots
            ));
        }
        if slot.epoch.0 < self.epoch {
            return Err(format!(
                "{key}: epoch {} wrote after epoch {}",
                slot.epoch, self.epoch
            ));
        }
        self.slots += 1;
        self.last = Some(Digest::of(bytes));
        self.epoch = slot.epoch.0;
        Ok(slot)
    }
}
