//! Sees every write, lease and acknowledgement, and says at once when a promise is broken.
//!
//! It reads slots with its own types and keeps its own account of each log: of the code that it
//! judges it uses nothing but the entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::PutMode;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::WrittenFile;
use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{AttemptId, Digest, Error, JobId};

use super::account::{Chain, Commit, JobLog, Slot};
use super::job::{self, STATE};
use super::process::Process;
use super::results::{files_are_there, is_expected, is_named, is_published, url};
use super::store::Disk;
use crate::engine::Assignment;
use crate::log::{ClusterEntry, JobEntry};
use crate::scheduler::Lease;

/// A promise was broken, or not.
pub(super) type Verdict = Result<(), String>;

/// Everything that has been seen.
#[derive(Debug, Default)]
pub(super) struct Witness {
    pub(super) jobs: BTreeMap<JobId, JobLog>,
    cluster: Chain,
    /// Files that each output must hold in the end.
    pub(super) expected: BTreeMap<String, Vec<WrittenFile>>,
    /// What attempts that were leased may read.
    inputs: BTreeMap<AttemptId, Vec<(String, Digest)>>,
    acknowledged: BTreeSet<AttemptId>,
    lost: BTreeSet<(u64, String)>,
    pub(super) accepted: BTreeSet<JobId>,
    cancelled: BTreeSet<JobId>,
}

/// What a key of the store is.
enum Object<'a> {
    ClusterSlot(u64),
    JobSlot(JobId, u64),
    Attempt(JobId),
    Manifest(&'a str),
    ResultFile(&'a str, &'a str),
    Other,
}

impl Witness {
    /// A write has taken effect.
    pub(super) fn written(
        &mut self,
        disk: &Disk,
        process: &Process,
        key: &str,
        bytes: &Bytes,
        mode: &PutMode,
    ) -> Verdict {
        match Object::of(key) {
            Object::ClusterSlot(seq) => {
                let slot = self.cluster.extend(key, seq, bytes, mode)?;
                self.cluster_slot(process, slot)
            }
            Object::JobSlot(job, seq) => {
                let log = self.jobs.entry(job.clone()).or_default();
                let slot = log.chain.extend(key, seq, bytes, mode)?;
                if slot.epoch.0 > self.cluster.epoch {
                    return Err(format!("{key}: epoch {} has not begun", slot.epoch));
                }
                for entry in slot.entries {
                    self.job_entry(&job, slot.epoch.0, entry)
                        .map_err(|reason| format!("{key}: {reason}"))?;
                }
                Ok(())
            }
            Object::Attempt(job) => self.attempt_written(&job, key, bytes),
            Object::Manifest(output) => self.manifest_written(disk, output, bytes),
            Object::ResultFile(output, path) => self.result_written(output, path, bytes),
            Object::Other => Ok(()),
        }
    }

    fn cluster_slot(&mut self, process: &Process, slot: Slot<ClusterEntry>) -> Verdict {
        for entry in slot.entries {
            match entry {
                ClusterEntry::EpochStarted { epoch } => process.took_epoch(epoch.0),
                ClusterEntry::JobAccepted { .. } => {}
            }
        }
        Ok(())
    }

    fn job_entry(&mut self, job: &JobId, epoch: u64, entry: JobEntry) -> Verdict {
        let log = self.jobs.entry(job.clone()).or_default();
        if log.ended.is_some() {
            return Err(format!("an entry after the end: {entry:?}"));
        }
        match entry {
            JobEntry::JobCreated { spec, .. } => {
                if !log.output.is_empty() {
                    return Err("the job was created twice".to_owned());
                }
                log.output.clone_from(&spec.output().url);
            }
            JobEntry::EpochStarted { epoch: started } if started.0 != epoch => {
                return Err(format!("epoch {started} begins in a slot of epoch {epoch}"));
            }
            JobEntry::EpochStarted { .. } => {}
            JobEntry::StageStarted { stage, .. } => {
                if !log.stages.insert(stage) {
                    return Err(format!("stage {stage} began twice"));
                }
            }
            JobEntry::TaskCommitted {
                stage,
                task,
                attempt,
                output_prefix,
                report,
                ..
            } => {
                if self.acknowledged.contains(&attempt) {
                    return Err(format!("{attempt} was acknowledged before its commit"));
                }
                let inputs = self.inputs.get(&attempt);
                let commit = Commit {
                    prefix: output_prefix,
                    epoch,
                };
                log.commit(stage, task, commit, &report, inputs)?;
            }
            JobEntry::ObjectsReleased { objects } => log.release(objects, epoch)?,
            JobEntry::ResultCommitted { manifest } => {
                if log.manifest.is_some() {
                    return Err("the result was committed twice".to_owned());
                }
                if !is_expected(self.expected.get(&log.output), &manifest.files) {
                    return Err("the result is not that of the undisturbed run".to_owned());
                }
                log.manifest = Some(*manifest);
            }
            JobEntry::JobSucceeded => log.end(JobState::Succeeded, None, epoch),
            JobEntry::JobFailed { error } => log.end(JobState::Failed, Some(error), epoch),
            JobEntry::JobCancelled => log.end(JobState::Cancelled, None, epoch),
        }
        Ok(())
    }

    /// Outputs that count never change, whoever writes there again.
    fn attempt_written(&self, job: &JobId, key: &str, bytes: &Bytes) -> Verdict {
        match self.jobs.get(job).and_then(|log| log.objects.get(key)) {
            Some(digest) if *digest != Digest::of(bytes) => {
                Err(format!("the committed output {key} was overwritten"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn manifest_written(&self, disk: &Disk, output: &str, bytes: &Bytes) -> Verdict {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|e| format!("a manifest of nonsense: {e}"))?;
        let job = &manifest.job_id;
        let Some(log) = self.jobs.get(job) else {
            return Err(format!("the manifest of {job} without a log"));
        };
        if log.manifest.as_ref() != Some(&manifest) {
            return Err(format!("the manifest of {job} is not what its log holds"));
        }
        if let Some(end) = &log.ended
            && end.state != JobState::Succeeded
        {
            return Err(format!("the manifest of {job} came after its end"));
        }
        files_are_there(disk, output, &manifest)
    }

    fn result_written(&self, output: &str, path: &str, bytes: &Bytes) -> Verdict {
        let expected = self.expected.get(&url(output)).into_iter().flatten();
        let digest = Digest::of(bytes);
        let part = job::part_of(path);
        match expected
            .into_iter()
            .find(|file| job::part_of(&file.path) == part)
        {
            Some(file) if file.blake3 == digest => Ok(()),
            Some(_) | None => Err(format!("{output}/{path} is no file of the undisturbed run")),
        }
    }

    /// An object was deleted by a process (not by fate).
    pub(super) fn deleted(&self, disk: &Disk, process: &Process, key: &str) -> Verdict {
        match Object::of(key) {
            Object::ClusterSlot(_) | Object::JobSlot(..) => {
                Err(format!("{:?} deleted the slot {key}", process.place))
            }
            Object::Attempt(job) => match self.jobs.get(&job) {
                Some(log) if log.manifest.is_some() || log.ended.is_some() => Ok(()),
                Some(log) if log.released.contains_key(key) => Ok(()),
                Some(_) | None => Err(format!("{key} was swept while its job needs it")),
            },
            Object::Manifest(output) => Err(format!("the manifest of {output} was deleted")),
            Object::ResultFile(output, path) => {
                if is_named(disk, output, path) {
                    return Err(format!(
                        "{output}/{path} is part of a result and was deleted"
                    ));
                }
                let url = url(output);
                let owner = |job: &JobId| path.contains(&Digest::of_value(job).short());
                let mut jobs = self.jobs.iter().filter(|(_, log)| log.output == url);
                match jobs.find(|(job, log)| log.ended.is_none() && owner(job)) {
                    Some((job, _)) => Err(format!(
                        "{:?} deleted {output}/{path} under the running job {job}",
                        process.place
                    )),
                    None => Ok(()),
                }
            }
            Object::Other => Ok(()),
        }
    }

    /// A coordinator of `epoch` has handed out a lease.
    pub(super) fn granted(&mut self, epoch: u64, assignment: &Assignment) -> Verdict {
        let lease = &assignment.lease;
        let read = job::inputs(&assignment.operator);
        let keys = read.iter().map(|input| input.key.clone()).collect();
        let read = read.into_iter().map(|input| (input.key, input.digest));
        let known = self.inputs.insert(lease.attempt.clone(), read.collect());
        if known.is_some() {
            return Err(format!("attempt {} was leased twice", lease.attempt));
        }
        let Some(log) = self.jobs.get_mut(&lease.job) else {
            return Err(format!("{} has no log and leases", lease.job));
        };
        log.leased(lease, keys, epoch)?;
        if let Some(end) = &log.ended
            && end.epoch <= epoch
        {
            return Err(format!("{} was leased after the job's end", lease.attempt));
        }
        match log.committed.get(&(lease.stage, lease.task)) {
            // A coordinator that was replaced may repeat what its successors have done.
            Some(commit) if commit.epoch <= epoch => {
                let repair = commit.prefix == lease.output_prefix
                    && self.lost.contains(&(epoch, commit.prefix.clone()));
                match repair {
                    true => Ok(()),
                    false => Err(format!(
                        "task {} of stage {} was committed and leased again as {}",
                        lease.task, lease.stage, lease.attempt
                    )),
                }
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A coordinator of `epoch` hears that an object is gone.
    pub(super) fn reported_lost(&mut self, epoch: u64, key: &str) -> Verdict {
        if let Some((prefix, _)) = key.rsplit_once('/') {
            self.lost.insert((epoch, prefix.to_owned()));
        }
        Ok(())
    }

    /// A worker's report of an output was answered: it may forget the attempt.
    pub(super) fn acknowledged(&mut self, lease: &Lease) -> Verdict {
        self.acknowledged.insert(lease.attempt.clone());
        Ok(())
    }

    /// A client was told that its job is in good hands.
    pub(super) fn accepted(&mut self, status: &JobStatus) -> Verdict {
        self.accepted.insert(status.id.clone());
        match self.jobs.get(&status.id) {
            Some(log) if !log.output.is_empty() => Ok(()),
            Some(_) | None => Err(format!("{} was accepted without a log", status.id)),
        }
    }

    /// A client was told how its job stands.
    pub(super) fn told(&self, disk: &Disk, status: &JobStatus) -> Verdict {
        if status.state != JobState::Succeeded {
            return Ok(());
        }
        let log = self.jobs.get(&status.id);
        let manifest = log.and_then(|log| log.manifest.as_ref());
        let manifest = manifest.ok_or_else(|| format!("{} ended well too soon", status.id))?;
        is_published(disk, &status.output, manifest)
    }

    pub(super) fn cancelled(&mut self, job: &JobId) {
        self.cancelled.insert(job.clone());
    }

    /// Whether a client may let go: the latest run of its specification is over.
    pub(super) fn latest_has_ended(&self, spec: &rankmill_common::job::JobSpec) -> bool {
        let runs = (0..).map(|generation| self.jobs.get(&spec.job_id(generation)));
        let latest = runs.take_while(Option::is_some).flatten().last();
        latest.is_some_and(|log| log.ended.is_some())
    }

    /// Whether every job that a client was promised is over.
    pub(super) fn all_have_ended(&self) -> bool {
        let mut logs = self.accepted.iter().map(|job| self.jobs.get(job));
        logs.all(|log| log.is_some_and(|log| log.ended.is_some()))
    }

    /// Once the world is healed and every job over: results are whole, failures have a reason.
    pub(super) fn judge_ends(&self, disk: &Disk) -> Verdict {
        for (job, log) in &self.jobs {
            let Some(end) = &log.ended else { continue };
            match (end.state, &log.manifest) {
                (JobState::Succeeded, Some(manifest)) => {
                    is_published(disk, &log.output, manifest)?;
                }
                (JobState::Succeeded, None) => {
                    return Err(format!("{job} ended well without a result"));
                }
                (JobState::Cancelled, _) if self.cancelled.contains(job) => {}
                (JobState::Failed, _) if end.error.as_ref().is_some_and(is_explained) => {}
                (state, _) => {
                    return Err(format!("{job} is {state:?} for no reason: {:?}", end.error));
                }
            }
        }
        Ok(())
    }
}

impl<'a> Object<'a> {
    fn of(key: &'a str) -> Self {
        let parts: Vec<&str> = key.splitn(5, '/').collect();
        let seq = |text: &str| text.parse().unwrap_or(u64::MAX);
        match parts[..] {
            [STATE, "cluster", "log", slot] => Self::ClusterSlot(seq(slot)),
            [STATE, "jobs", job, "log", slot] => Self::JobSlot(JobId::new(job), seq(slot)),
            [STATE, "jobs", job, "a", _] => Self::Attempt(JobId::new(job)),
            ["out", index, "_manifest.json"] => Self::Manifest(&key[..4 + index.len()]),
            ["out", index, _, _] => {
                let output = &key[..4 + index.len()];
                Self::ResultFile(output, &key[output.len() + 1..])
            }
            _ => Self::Other,
        }
    }
}

/// Whether a job may fail so, in a world where processes die and calls fail.
fn is_explained(error: &Error) -> bool {
    let reasons = [
        "is set aside",
        " times: ",
        "no worker has been registered",
        "received another result while this job ran",
    ];
    reasons.iter().any(|reason| error.message.contains(reason))
}
