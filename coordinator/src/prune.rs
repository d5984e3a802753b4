//! What may go from a state store, and its removal.
//!
//! Rules: the scratch of a job goes when the job has ended; blocks go when no job has used them for
//! a while and none is running; a run that was killed and not continued for that long is cancelled
//! first. Logs stay: they are small, and a coordinator that was paused for weeks must still find
//! the slot that fences it.
//!
//! Invariant: deleting happens on a list made while no job could start, so that what a later job
//! writes is never on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt};
use rankmill_common::job::JobSpec;
use rankmill_common::{Error, JobId, Result};
use rankmill_store::{Entry, Store};

use crate::engine::live_jobs;
use crate::log::{JobEntry, JobHistory, Log, Position};

/// Deletions under way at a time.
const REQUESTS: usize = 16;

/// Folders of a state.
pub(crate) const FOLDERS: [&str; 4] = ["cluster", "jobs", "matrices", "runs"];

/// Age at which a half-written file has no writer any more.
const HALF_WRITTEN: Duration = Duration::from_secs(3_600);

/// What to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Blocks and abandoned runs that nobody has touched for this long go.
    pub unused_for: Duration,
    /// Whether to only count.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs whose scratch went.
    pub jobs: u64,
    /// Matrices whose blocks went.
    pub matrices: u64,
    /// Objects removed.
    pub objects: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Jobs that are running: while there are any, blocks stay.
    pub running: u64,
}

/// Objects to be removed.
#[derive(Debug)]
pub(crate) struct Plan {
    keys: Vec<String>,
    pruned: Pruned,
    dry_run: bool,
}

/// Removes what `rule` allows from a state store that no coordinator uses. The caller holds its
/// lock.
///
/// # Errors
///
/// `Unavailable` when the store is out of reach.
pub async fn prune(state: &Store, rule: Rule) -> Result<Pruned> {
    if state.list("cluster").await?.is_empty() && state.list("jobs").await?.is_empty() {
        return Err(Error::invalid_input(
            "no state of rankmill is there: nothing was removed",
        ));
    }
    let live = unfinished_jobs(state, rule).await?;
    plan(state, &live, rule).await?.carry_out(state).await
}

/// Lists what may go while the jobs in `live` run.
pub(crate) async fn plan(state: &Store, live: &BTreeSet<JobId>, rule: Rule) -> Result<Plan> {
    let mut plan = Plan {
        keys: Vec::new(),
        pruned: Pruned {
            running: live.len() as u64,
            ..Pruned::default()
        },
        dry_run: rule.dry_run,
    };
    for (folder, entries) in jobs(state).await? {
        let scratch: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.key.starts_with(&format!("jobs/{folder}/a/")))
            .collect();
        if !scratch.is_empty() && !live.contains(&JobId::new(folder)) {
            plan.pruned.jobs += 1;
            plan.add(scratch);
        }
    }
    if live.is_empty() {
        let newest_kept = seconds_now() - rule.unused_for.as_secs() as i64;
        let matrices = folders(state.list("matrices").await?);
        for (_, entries) in matrices.into_iter().filter(is_matrix) {
            let last_used = entries.iter().map(|entry| entry.modified).max();
            if last_used.is_some_and(|used| used <= newest_kept) {
                plan.pruned.matrices += 1;
                plan.add(entries);
            }
        }
    }
    Ok(plan)
}

impl Plan {
    fn add(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.pruned.objects += 1;
            self.pruned.bytes += entry.size;
            self.keys.push(entry.key);
        }
    }

    /// Deletes what is listed. Pointers go first: a matrix without one is built anew, one whose
    /// objects are missing would have to be found out.
    pub(crate) async fn carry_out(mut self, state: &Store) -> Result<Pruned> {
        if self.dry_run {
            return Ok(self.pruned);
        }
        self.pruned.objects += state.sweep_staging(FOLDERS, HALF_WRITTEN).await;
        self.keys.sort_by_key(|key| !key.ends_with("/matrix.json"));
        let pointers = self
            .keys
            .iter()
            .take_while(|key| key.ends_with("/matrix.json"))
            .count();
        let rest = self.keys.split_off(pointers);
        for keys in [self.keys, rest] {
            futures::stream::iter(keys)
                .map(|key| async move { state.delete(&key).await })
                .buffer_unordered(REQUESTS)
                .try_collect::<()>()
                .await?;
        }
        Ok(self.pruned)
    }
}

/// Jobs that have not ended. Those that nobody has continued for the rule's time are cancelled.
async fn unfinished_jobs(state: &Store, rule: Rule) -> Result<BTreeSet<JobId>> {
    let mut live = BTreeSet::new();
    let newest_kept = seconds_now() - rule.unused_for.as_secs() as i64;
    for (folder, entries) in jobs(state).await? {
        let Some((log, _)) = unfinished(state, &JobId::new(&folder)).await? else {
            continue;
        };
        let last_touched = entries.iter().map(|entry| entry.modified).max();
        let abandoned = last_touched.is_some_and(|touched| touched <= newest_kept);
        if abandoned && !rule.dry_run {
            cancel(log).await?;
        }
        if !abandoned {
            live.insert(JobId::new(folder));
        }
    }
    Ok(live)
}

/// Cancels a job of a state store that no coordinator uses, if it has not ended. Returns whether it
/// had not. The caller holds the store's lock.
///
/// # Errors
///
/// `Unavailable` when the store is out of reach, `InvalidInput` for a damaged log.
pub async fn abandon(state: &Store, job: &JobId) -> Result<bool> {
    match unfinished(state, job).await? {
        Some((log, _)) => cancel(log).await.map(|()| true),
        None => Ok(false),
    }
}

/// Cancels the jobs that were to write where `spec` writes and have not ended: of a state store that no
/// coordinator uses. `spec`'s own runs stay. Returns whether there were any. The caller holds the
/// store's lock.
///
/// # Errors
///
/// As [`abandon`].
pub async fn abandon_others(state: &Store, spec: &JobSpec) -> Result<bool> {
    let mut any = false;
    for job in live_jobs(state).await? {
        let Some((log, history)) = unfinished(state, &job).await? else {
            continue;
        };
        let other = history.spec;
        if other.output().url == spec.output().url && other.digest() != spec.digest() {
            cancel(log).await?;
            any = true;
        }
    }
    Ok(any)
}

/// The log of a job that has not ended, ready to be written, and what it says.
async fn unfinished(state: &Store, job: &JobId) -> Result<Option<(Log, JobHistory)>> {
    let prefix = format!("jobs/{job}/log");
    let (mut log, replay) =
        Log::read::<JobEntry>(state.clone(), prefix, Position::default()).await?;
    log.take_over(replay.epoch);
    let history = JobHistory::replay(replay.entries)?;
    let unfinished = history.filter(|history| !history.state.is_terminal());
    Ok(unfinished.map(|history| (log, history)))
}

async fn cancel(mut log: Log) -> Result<()> {
    log.append(vec![JobEntry::JobCancelled]).await
}

/// Objects by job. Folders without a log are somebody else's: a state may be anybody's directory.
async fn jobs(state: &Store) -> Result<BTreeMap<String, Vec<Entry>>> {
    let mut jobs = folders(state.list("jobs").await?);
    jobs.retain(|folder, entries| {
        let log = format!("jobs/{folder}/log");
        entries.iter().any(|entry| entry.key.starts_with(&log))
    });
    Ok(jobs)
}

/// Whether a folder holds what a matrix has and nothing else.
fn is_matrix((folder, entries): &(String, Vec<Entry>)) -> bool {
    let pointer = format!("matrices/{folder}/matrix.json");
    let objects = format!("matrices/{folder}/a/");
    let known = |entry: &Entry| entry.key == pointer || entry.key.starts_with(&objects);
    entries.iter().all(known)
}

/// Objects by the second part of their keys: `jobs/<folder>/…`.
fn folders(entries: Vec<Entry>) -> BTreeMap<String, Vec<Entry>> {
    let mut folders: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(folder) = entry.key.split('/').nth(1) {
            folders.entry(folder.to_owned()).or_default().push(entry);
        }
    }
    folders
}

/// The time as stores stamp it. A wrong clock prunes too early or too late, which costs time, not
/// answers.
#[allow(
    clippy::disallowed_methods,
    reason = "ages of objects, not an order of events"
)]
fn seconds_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

/// Reads an age as people write it: `36h`, `7d`, `90m`, `30s`.
///
/// # Errors
///
/// `InvalidInput` with the forms there are.
pub fn parse_age(text: &str) -> Result<Duration> {
    let invalid = || Error::invalid_input(format!("{text:?} is no age: write 90m, 36h or 7d"));
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(invalid()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    let total = count.checked_mul(seconds).ok_or_else(invalid)?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    async fn store_with(name: &str, keys: &[&str]) -> Store {
        let store = Store::open(&format!("memory://{name}")).expect("memory");
        for key in keys {
            let bytes = Bytes::from_static(b"12345");
            store.put(key, bytes).await.expect("written");
        }
        store
    }

    const KEYS: [&str; 6] = [
        "jobs/live/a/0/0/1-1/x",
        "jobs/live/log/0",
        "jobs/ended/a/0/0/1-1/x",
        "jobs/ended/log/0",
        "matrices/abc/matrix.json",
        "matrices/abc/a/ended/0/0/1-2/block",
    ];

    fn rule(seconds: u64) -> Rule {
        Rule {
            unused_for: Duration::from_secs(seconds),
            dry_run: false,
        }
    }

    #[tokio::test]
    async fn blocks_stay_while_a_job_runs() {
        let store = store_with("prune-live", &KEYS).await;
        let live = BTreeSet::from([JobId::new("live")]);
        let plan = plan(&store, &live, rule(0)).await.expect("listed");
        let pruned = plan.carry_out(&store).await.expect("deleted");
        assert_eq!((pruned.jobs, pruned.matrices, pruned.objects), (1, 0, 1));
        assert!(store.head(KEYS[0]).await.is_ok());
        assert!(store.head(KEYS[2]).await.is_err());
        assert!(store.head(KEYS[4]).await.is_ok());
    }

    #[tokio::test]
    async fn old_blocks_go_and_young_ones_stay() {
        let store = store_with("prune-age", &KEYS).await;
        let nobody = BTreeSet::new();
        let young = plan(&store, &nobody, rule(3_600)).await.expect("listed");
        assert_eq!(young.pruned.matrices, 0);
        let old = plan(&store, &nobody, rule(0)).await.expect("listed");
        let pruned = old.carry_out(&store).await.expect("deleted");
        assert_eq!((pruned.matrices, pruned.bytes), (1, 20));
        assert!(store.list("matrices").await.expect("listed").is_empty());
    }

    #[tokio::test]
    async fn what_is_nobodys_or_somebody_elses_stays() {
        let theirs = [
            "jobs/nightly/a/1.txt",
            "matrices/B.npy",
            "matrices/mine/A.npy",
            "matrices/mixed/A.npy",
            "matrices/mixed/matrix.json",
        ];
        let store = store_with("prune-theirs", &theirs).await;
        for key in KEYS {
            let bytes = Bytes::from_static(b"12345");
            store.put(key, bytes).await.expect("written");
        }
        let old = plan(&store, &BTreeSet::new(), rule(0)).await;
        let pruned = old.expect("listed").carry_out(&store).await;
        assert_eq!(pruned.expect("deleted").objects, 4);
        for key in theirs {
            assert!(store.head(key).await.is_ok(), "{key} is gone");
        }
        let nothing = store_with("prune-nothing", &["matrices/B.npy"]).await;
        let error = prune(&nothing, rule(0)).await.expect_err("no state");
        assert!(error.message.contains("no state"), "{error}");
    }

    #[test]
    fn ages_are_read() {
        assert_eq!(parse_age("36h"), Ok(Duration::from_secs(129_600)));
        for wrong in ["", "7", "d", "7 days", "99999999999999999999d", "\u{e9}"] {
            assert!(parse_age(wrong).is_err(), "{wrong:?}");
        }
    }
}
