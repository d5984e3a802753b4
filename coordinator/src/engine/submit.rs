//! Accepting a job, or finding the one that the same request made before.

use std::time::{SystemTime, UNIX_EPOCH};

use rankmill_common::job::{JobSpec, Overwrite};
use rankmill_common::manifest::MANIFEST_NAME;
use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{Error, ErrorKind, JobId, Result};
use rankmill_store::{Location, Store};

use super::Engine;
use super::job::Job;
use super::journal::Journal;
use crate::log::{JobEntry, JobHistory, Log, Position};

impl Engine {
    pub(super) async fn submit(&mut self, spec: JobSpec) -> Result<JobStatus> {
        spec.validate()?;
        check_places(&spec)?;
        let (id, log, existing) = self.latest_generation(&spec).await?;
        match existing.map(|history| history.state) {
            Some(JobState::Queued | JobState::Running) => {
                if !self.jobs.contains_key(&id) {
                    self.resume(id.clone()).await?;
                    self.start(&id);
                }
                return self.status(&id);
            }
            Some(JobState::Succeeded | JobState::Failed | JobState::Cancelled) | None => {}
        }
        self.check_output(&spec).await?;
        self.check_capacity(&spec)?;
        self.create(id, log, spec).await
    }

    /// Picks up a job that has not ended from its log.
    pub(super) async fn resume(&mut self, id: JobId) -> Result<()> {
        let (mut log, replay) = self.open_log(&id).await?;
        let Some(history) = JobHistory::replay(replay.entries)? else {
            // Accepted by the cluster, but the coordinator died before the job's first entry: the
            // client never got an answer and submits again.
            return Ok(());
        };
        if !history.state.is_terminal() {
            let epoch = self.cluster.epoch();
            log.take_over(epoch);
            log.append(vec![JobEntry::EpochStarted { epoch }]).await?;
        }
        let journal = Journal::start(id.clone(), log, self.handle());
        self.jobs.insert(id, Job::resume(history, journal));
        Ok(())
    }

    /// The id under which `spec` runs: the latest run's if it has not ended, a new one otherwise.
    async fn latest_generation(&self, spec: &JobSpec) -> Result<(JobId, Log, Option<JobHistory>)> {
        let mut generation = 0;
        loop {
            let id = spec.job_id(generation);
            let (log, replay) = self.open_log(&id).await?;
            let history = JobHistory::replay(replay.entries)?;
            match history {
                Some(history) if history.state.is_terminal() => generation += 1,
                history => return Ok((id, log, history)),
            }
        }
    }

    async fn open_log(&self, id: &JobId) -> Result<(Log, crate::log::Replay<JobEntry>)> {
        Log::read(
            self.state.clone(),
            format!("jobs/{id}/log"),
            Position::default(),
        )
        .await
    }

    async fn create(&mut self, id: JobId, mut log: Log, spec: JobSpec) -> Result<JobStatus> {
        self.cluster.accept(id.clone()).await?;
        log.take_over(self.cluster.epoch());
        let created = JobEntry::JobCreated {
            job: id.clone(),
            spec: Box::new(spec),
            at_ms: wall_clock_ms(),
        };
        log.append(vec![created.clone()]).await?;
        let journal = Journal::start(id.clone(), log, self.handle());
        if let Some(history) = JobHistory::replay(vec![created])? {
            self.jobs.insert(id.clone(), Job::resume(history, journal));
        }
        self.start(&id);
        self.status(&id)
    }

    async fn check_output(&self, spec: &JobSpec) -> Result<()> {
        let output = spec.output();
        let store = Store::open(&output.url)?;
        match store.head(MANIFEST_NAME).await {
            Ok(_) if output.overwrite == Overwrite::Refuse => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} holds a finished result; pass --overwrite to replace it or choose another \
                     output",
                    store.location().display("").trim_end_matches('/')
                ),
            )),
            Ok(_) => Ok(()),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn check_capacity(&self, spec: &JobSpec) -> Result<()> {
        let mut live = self.jobs.values().filter(|job| !job.state().is_terminal());
        if let Some(other) = live.find(|job| job.spec().output().url == spec.output().url) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("job {} is writing to the same output", other.id()),
            ));
        }
        let running = self.live_jobs().len();
        if running >= self.config.max_jobs {
            return Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!("{running} jobs are running, the limit; try again later"),
            ));
        }
        Ok(())
    }
}

/// Refuses an output that the input would cover, and one that covers the input.
fn check_places(spec: &JobSpec) -> Result<()> {
    let output = Location::parse(&spec.output().url)?;
    for path in spec.paths() {
        let (folder, pattern) = split_glob(path);
        let folder = Location::parse(folder)?;
        let covered = match pattern {
            None => folder.contains(&output),
            Some(pattern) if pattern.contains("**") => folder.contains(&output),
            Some(pattern) => folder
                .depth_of(&output)
                .is_some_and(|depth| pattern.split('/').count() > depth),
        };
        if covered || output.contains(&folder) {
            return Err(Error::invalid_input(format!(
                "the output {} and the input {path} lie inside one another; choose another output",
                spec.output().url
            )));
        }
    }
    Ok(())
}

/// The folder above the first wildcard, and the pattern below it.
fn split_glob(path: &str) -> (&str, Option<&str>) {
    match path.find(['*', '?', '[']) {
        None => (path, None),
        Some(wildcard) => {
            let slash = path[..wildcard].rfind('/').unwrap_or(0);
            (&path[..slash], Some(&path[slash + 1..]))
        }
    }
}

/// For people who read the log; nothing is decided by it.
#[allow(
    clippy::disallowed_methods,
    reason = "a time for people, not for decisions"
)]
fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
