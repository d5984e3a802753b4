//! What the logs of a state directory say, read as any other program would read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The stage and the index of a task.
pub type TaskKey = (u64, u64);

/// The log of one job, slot after slot.
pub struct JobLog {
    /// Number of slots.
    pub slots: usize,
    /// The attempts whose outputs count, in the order of the log.
    pub commits: Vec<(TaskKey, Attempt)>,
    /// Keys of released objects, by entry.
    pub releases: Vec<Vec<String>>,
    /// The highest epoch that wrote.
    pub epoch: u64,
    /// The epoch that wrote each slot.
    pub epochs: Vec<u64>,
    /// How many jobs there are under the state directory.
    pub jobs: usize,
}

/// One try at a task: the epoch that granted it and its number within that epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Epoch of the coordinator.
    pub epoch: u64,
    /// Counts every lease of the epoch, from 1.
    pub number: u64,
}

impl JobLog {
    /// Reads the log of the only job under the state directory `state`. A slot that is just being
    /// written ends the log.
    pub fn read(state: &Path) -> Self {
        let mut log = Self {
            slots: 0,
            commits: Vec::new(),
            releases: Vec::new(),
            epoch: 0,
            epochs: Vec::new(),
            jobs: std::fs::read_dir(state.join("jobs")).map_or(0, Iterator::count),
        };
        for slot in slots(state) {
            log.slots += 1;
            log.epochs.push(slot["epoch"].as_u64().unwrap_or(0));
            log.epoch = log.epoch.max(slot["epoch"].as_u64().unwrap_or(0));
            let entries = slot["entries"].as_array().cloned().unwrap_or_default();
            log.commits.extend(entries.iter().filter_map(commit));
            log.releases.extend(entries.iter().filter_map(release));
        }
        log
    }

    /// Number of slots of the only job under `state`, without reading them.
    pub fn count_slots(state: &Path) -> usize {
        slot_paths(state).len()
    }

    /// How many attempts the coordinators of all epochs granted at least: the highest number that
    /// was committed of each.
    pub fn granted(&self) -> u64 {
        let mut granted = BTreeMap::new();
        for (_, attempt) in &self.commits {
            let highest = granted.entry(attempt.epoch).or_insert(0);
            *highest = attempt.number.max(*highest);
        }
        granted.values().sum()
    }

    /// How often each task was committed.
    pub fn commits_per_task(&self) -> BTreeMap<TaskKey, usize> {
        let mut counts = BTreeMap::new();
        for (task, _) in &self.commits {
            *counts.entry(*task).or_default() += 1;
        }
        counts
    }
}

fn slots(state: &Path) -> Vec<Value> {
    let read = |path: &PathBuf| std::fs::read(path).ok();
    let parsed = |bytes: Vec<u8>| serde_json::from_slice(&bytes).ok();
    slot_paths(state)
        .iter()
        .map_while(|path| read(path).and_then(parsed))
        .collect()
}

fn slot_paths(state: &Path) -> Vec<PathBuf> {
    let Ok(jobs) = std::fs::read_dir(state.join("jobs")) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = jobs
        .flatten()
        .filter_map(|job| std::fs::read_dir(job.path().join("log")).ok())
        .flat_map(|log| log.flatten().map(|slot| slot.path()))
        // Files that are still being staged carry a suffix.
        .filter(|path| path.extension().is_none() && !path.to_string_lossy().contains('#'))
        .collect();
    paths.sort();
    paths
}

fn release(entry: &Value) -> Option<Vec<String>> {
    if entry["entry"] != "objects_released" {
        return None;
    }
    let keys = entry["objects"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str);
    Some(keys.map(str::to_owned).collect())
}

fn commit(entry: &Value) -> Option<(TaskKey, Attempt)> {
    if entry["entry"] != "task_committed" {
        return None;
    }
    let task = (entry["stage"].as_u64()?, entry["task"].as_u64()?);
    let (epoch, number) = entry["attempt"].as_str()?.split_once('-')?;
    let attempt = Attempt {
        epoch: epoch.parse().ok()?,
        number: number.parse().ok()?,
    };
    Some((task, attempt))
}
