//! Accepting a job, or finding the one that the same request made before.

use std::time::{SystemTime, UNIX_EPOCH};

use rankmill_common::job::{JobSpec, Overwrite};
use rankmill_common::manifest::{MANIFEST_NAME, SPECTRUM_FOLDER};
use rankmill_common::status::JobStatus;
use rankmill_common::{Error, ErrorKind, JobId, Result};
use rankmill_store::Location;

use super::Engine;
use super::job::Job;
use super::journal::Journal;
use crate::log::{JobEntry, JobHistory, Log, Position};
use crate::prune;

impl Engine {
    pub(super) async fn submit(&mut self, spec: JobSpec, submission: String) -> Result<JobStatus> {
        spec.validate()?;
        check_places(&spec)?;
        let (id, log) = match self.latest_generation(&spec, &submission).await? {
            Generation::Existing(id) => {
                if self.jobs.get(&id).is_some_and(Job::is_abandoned) {
                    self.jobs.remove(&id);
                }
                return self.recall(&id).await;
            }
            Generation::New(id, log) => (id, log),
        };
        check_apart(self.state.location(), &spec)?;
        self.check_output(&spec).await?;
        self.check_capacity(&spec)?;
        self.create(id, log, spec, submission).await
    }

    /// How a job stands that this coordinator may have to look up in its log.
    pub(super) async fn recall(&mut self, id: &JobId) -> Result<JobStatus> {
        if !self.jobs.contains_key(id) && is_plain(id) {
            self.resume(id.clone()).await?;
            self.start(id);
        }
        self.status(id)
    }

    /// Picks up a job from its log, if there is one.
    pub(super) async fn resume(&mut self, id: JobId) -> Result<()> {
        let (log, replay) = self.open_log(&id).await?;
        match JobHistory::replay(replay.entries)? {
            Some(history) => self.adopt(id, log, history).await,
            None => Ok(()),
        }
    }

    /// Picks up a job after a takeover. One whose log cannot be read is left alone: it must not
    /// keep the others from going on.
    pub(super) async fn resume_or_set_aside(&mut self, id: JobId) -> Result<()> {
        match self.take_over(id.clone()).await {
            Err(error) if error.kind == ErrorKind::Internal => {
                tracing::error!(job = %id, %error, "set aside");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Those of `jobs` that have not ended, as far as their logs tell: the others need not be looked at
    /// ever again.
    pub(super) async fn unfinished(&self, jobs: Vec<JobId>) -> Result<Vec<JobId>> {
        let mut unfinished = Vec::new();
        for id in jobs {
            let history = match self.open_log(&id).await {
                Ok((_, replay)) => JobHistory::replay(replay.entries),
                Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
                Err(error) => Err(error),
            };
            // One without a first entry may still be given it, by a coordinator that was paused.
            let ended = history
                .is_ok_and(|history| history.is_some_and(|history| history.state.is_terminal()));
            if !ended {
                unfinished.push(id);
            }
        }
        Ok(unfinished)
    }

    async fn take_over(&mut self, id: JobId) -> Result<()> {
        let (log, replay) = self.open_log(&id).await?;
        match JobHistory::replay(replay.entries)? {
            Some(history) => self.adopt(id, log, history).await,
            // Accepted, but without a first entry. The older coordinator may be about to write
            // it: it would tell the client that all is well, and nobody would look at the job
            // again. Fenced, it fails, and the client submits once more.
            None => self.fence(log).await.map(|_| ()),
        }
    }

    async fn adopt(&mut self, id: JobId, mut log: Log, history: JobHistory) -> Result<()> {
        if !history.state.is_terminal() {
            log = self.fence(log).await?;
        }
        let journal = Journal::start(
            id.clone(),
            log,
            self.handle(),
            self.surroundings.outputs.clone(),
        );
        let job = Job::resume(history, journal, self.surroundings.clone());
        self.jobs.insert(id, job);
        Ok(())
    }

    /// From here on no older coordinator writes to `log`.
    async fn fence(&self, mut log: Log) -> Result<Log> {
        let epoch = self.cluster.epoch();
        log.take_over(epoch);
        log.append(vec![JobEntry::EpochStarted { epoch }]).await?;
        Ok(log)
    }

    /// The run that answers a request: one that has not ended or that the same submission made,
    /// a new one otherwise.
    async fn latest_generation(&self, spec: &JobSpec, submission: &str) -> Result<Generation> {
        let next = self.first_unused_generation(spec).await?;
        if let Some(latest) = next.checked_sub(1) {
            let id = spec.job_id(latest);
            let (log, replay) = self.open_log(&id).await?;
            let Some(history) = JobHistory::replay(replay.entries)? else {
                return Ok(Generation::New(id, log));
            };
            let repeated = !submission.is_empty() && history.submission == submission;
            if repeated || !history.state.is_terminal() {
                return Ok(Generation::Existing(id));
            }
        }
        let id = spec.job_id(next);
        let (log, _) = self.open_log(&id).await?;
        Ok(Generation::New(id, log))
    }

    /// How many generations of `spec` have a log. A generation starts when the one before it has
    /// ended, so they have no gaps and the last one is found by doubling and halving: a nightly
    /// job has hundreds.
    async fn first_unused_generation(&self, spec: &JobSpec) -> Result<u32> {
        let mut used = 0;
        let mut unused = 1;
        while self.is_used(spec, unused - 1).await? {
            used = unused;
            unused *= 2;
        }
        while used + 1 < unused {
            let middle = used + (unused - used) / 2;
            if self.is_used(spec, middle - 1).await? {
                used = middle;
            } else {
                unused = middle;
            }
        }
        Ok(used)
    }

    async fn is_used(&self, spec: &JobSpec, generation: u32) -> Result<bool> {
        let prefix = log_prefix(&spec.job_id(generation));
        match self.state.head(&Log::first_slot(&prefix)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn open_log(&self, id: &JobId) -> Result<(Log, crate::log::Replay<JobEntry>)> {
        Log::read(self.state.clone(), log_prefix(id), Position::default()).await
    }

    async fn create(
        &mut self,
        id: JobId,
        mut log: Log,
        spec: JobSpec,
        submission: String,
    ) -> Result<JobStatus> {
        self.cluster.accept(id.clone()).await?;
        log.take_over(self.cluster.epoch());
        let created = JobEntry::JobCreated {
            job: id.clone(),
            spec: Box::new(spec),
            submission,
            at_ms: wall_clock_ms(),
        };
        log.append(vec![created.clone()]).await?;
        let journal = Journal::start(
            id.clone(),
            log,
            self.handle(),
            self.surroundings.outputs.clone(),
        );
        if let Some(history) = JobHistory::replay(vec![created])? {
            self.jobs.insert(
                id.clone(),
                Job::resume(history, journal, self.surroundings.clone()),
            );
        }
        self.start(&id);
        self.status(&id)
    }

    async fn check_output(&self, spec: &JobSpec) -> Result<()> {
        let output = spec.output();
        let store = (self.surroundings.output)(&output.url)?;
        if matches!(spec, JobSpec::Svd(_)) && store.head(SPECTRUM_FOLDER).await.is_ok() {
            return Err(Error::invalid_input(format!(
                "{} is a file, and a result has a folder of this name: remove it, or choose \
                 another output",
                store.location().display(SPECTRUM_FOLDER)
            )));
        }
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
        let mut holders = self.jobs.values().filter(|job| job.holds_output());
        if let Some(other) = holders.find(|job| job.spec().output().url == spec.output().url) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("job {} is writing to the same output", other.id()),
            ));
        }
        let live = |job: &&Job| !job.state().is_terminal();
        let running = self.jobs.values().filter(live).count();
        if running >= self.config.max_jobs {
            return Err(Error::new(
                ErrorKind::ResourceExhausted,
                format!("{running} jobs are running, the limit; try again later"),
            ));
        }
        Ok(())
    }
}

fn log_prefix(id: &JobId) -> String {
    format!("jobs/{id}/log")
}

/// The run of a specification that a request is about.
enum Generation {
    Existing(JobId),
    New(JobId, Log),
}

/// Whether an id is of the form that rankmill makes, so that it may stand in a key.
fn is_plain(id: &JobId) -> bool {
    let text = id.as_str();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain)
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

/// Refuses an output among the objects of the state, and one that covers them.
fn check_apart(state: &Location, spec: &JobSpec) -> Result<()> {
    let output = Location::parse(&spec.output().url)?;
    let mut folders = prune::FOLDERS.iter().map(|folder| state.join(folder));
    if output.contains(state) || folders.any(|folder| folder.contains(&output)) {
        return Err(Error::invalid_input(format!(
            "the output {} and the state {} lie inside one another; choose another output",
            output.display(""),
            state.display("")
        )));
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
