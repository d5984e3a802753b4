//! A job as its log tells it. Pure: entries in, state out.

use std::collections::{BTreeMap, BTreeSet};

use rankmill_common::job::JobSpec;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::Report;
use rankmill_common::status::JobState;
use rankmill_common::{Digest, Error, JobId, Result, StageId, TaskIndex};

use super::{JobEntry, TaskCost};

/// Everything that a log says of its job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobHistory {
    /// Which job.
    pub job: JobId,
    /// What was asked.
    pub spec: JobSpec,
    /// What the caller named the submission; empty if nothing.
    pub submission: String,
    /// Stages that the algorithm has asked for.
    pub stages: BTreeMap<StageId, StageRecord>,
    /// Keys of objects that nothing later reads.
    pub released: BTreeSet<String>,
    /// The manifest, once the result is complete.
    pub manifest: Option<Manifest>,
    /// How the job stands.
    pub state: JobState,
    /// Why it failed.
    pub error: Option<Error>,
}

/// What the log says of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRecord {
    /// Digest of what was asked.
    pub identity: Digest,
    /// Outputs that count.
    pub committed: BTreeMap<TaskIndex, Committed>,
}

/// An output that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// What was made.
    pub report: Report,
    /// What it cost.
    pub cost: TaskCost,
    /// Where its objects lie.
    pub output_prefix: String,
}

impl JobHistory {
    /// Reads a job's entries. Nothing, if nobody has created the job.
    ///
    /// # Errors
    ///
    /// `Internal` for a log that contradicts itself.
    pub fn replay(entries: Vec<JobEntry>) -> Result<Option<Self>> {
        // Coordinators that took over between a job's acceptance and its first entry fence a log
        // in which nothing has happened yet.
        let mut entries = entries
            .into_iter()
            .skip_while(|entry| matches!(entry, JobEntry::EpochStarted { .. }));
        let mut history = match entries.next() {
            None => return Ok(None),
            Some(JobEntry::JobCreated {
                job,
                spec,
                submission,
                ..
            }) => Self {
                job,
                spec: *spec,
                submission,
                stages: BTreeMap::new(),
                released: BTreeSet::new(),
                manifest: None,
                state: JobState::Running,
                error: None,
            },
            Some(other) => {
                return Err(Error::internal(format!("a job log starts with {other:?}")));
            }
        };
        for entry in entries {
            history.apply(entry)?;
        }
        Ok(Some(history))
    }

    fn apply(&mut self, entry: JobEntry) -> Result<()> {
        match entry {
            JobEntry::JobCreated { .. } => {
                return Err(Error::internal(format!(
                    "job {} was created twice",
                    self.job
                )));
            }
            JobEntry::EpochStarted { .. } => {}
            JobEntry::StageStarted {
                stage, identity, ..
            } => {
                let record = self.stages.entry(stage).or_insert_with(|| StageRecord {
                    identity,
                    committed: BTreeMap::new(),
                });
                if record.identity != identity {
                    return Err(Error::internal(format!(
                        "stage {stage} of job {} was started as two different stages",
                        self.job
                    )));
                }
            }
            JobEntry::TaskCommitted {
                stage,
                task,
                output_prefix,
                report,
                cost,
                ..
            } => {
                let record = self.stages.get_mut(&stage).ok_or_else(|| {
                    Error::internal(format!("a task of stage {stage} ended before it began"))
                })?;
                record.committed.entry(task).or_insert(Committed {
                    report: *report,
                    cost,
                    output_prefix,
                });
            }
            JobEntry::ObjectsReleased { objects } => self.released.extend(objects),
            JobEntry::ResultCommitted { manifest } => self.manifest = Some(*manifest),
            JobEntry::JobSucceeded => self.state = JobState::Succeeded,
            JobEntry::JobFailed { error } => {
                self.state = JobState::Failed;
                self.error = Some(error);
            }
            JobEntry::JobCancelled => self.state = JobState::Cancelled,
        }
        Ok(())
    }
}
