//! The cluster's own log: who is coordinator, which jobs there are.

use bytes::Bytes;
use rankmill_common::{Epoch, Error, ErrorKind, JobId, Result};
use rankmill_store::Store;
use serde::{Deserialize, Serialize};

use crate::log::{ClusterEntry, Log, Position};

const LOG: &str = "cluster/log";
const HINT: &str = "cluster/hint.json";
const TRIES: u32 = 10;

/// The cluster log, written by this coordinator.
#[derive(Debug)]
pub(crate) struct Cluster {
    store: Store,
    log: Log,
    epoch: Epoch,
}

/// Where reading the log may start: only saves time, never decides anything.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Hint {
    position: Position,
    epoch: Epoch,
    live: Vec<JobId>,
}

impl Cluster {
    /// Starts a new epoch. Returns the jobs that may not have ended.
    pub(crate) async fn take_over(store: Store) -> Result<(Self, Vec<JobId>)> {
        for _ in 0..TRIES {
            let (mut log, last, jobs) = read(&store).await?;
            let epoch = Epoch(last.0 + 1);
            log.take_over(epoch);
            match log.append(vec![ClusterEntry::EpochStarted { epoch }]).await {
                Ok(()) => return Ok((Self { store, log, epoch }, jobs)),
                Err(e) if matches!(e.kind, ErrorKind::Fenced | ErrorKind::Unavailable) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "other coordinators keep taking over this state directory",
        ))
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Makes a job known to every later coordinator.
    pub(crate) async fn accept(&mut self, job: JobId) -> Result<()> {
        self.log
            .append(vec![ClusterEntry::JobAccepted { job }])
            .await
    }

    /// Spares the next coordinator from reading what is long over. Failure costs only time.
    pub(crate) fn save_hint(&self, live: Vec<JobId>) -> impl Future<Output = ()> + Send + 'static {
        let hint = Hint {
            position: self.log.position(),
            epoch: self.epoch,
            live,
        };
        let store = self.store.clone();
        async move {
            if let Ok(bytes) = serde_json::to_vec(&hint) {
                let _ = store.put(HINT, Bytes::from(bytes)).await;
            }
        }
    }
}

/// Reads the cluster log as it grows, to see who leads.
#[derive(Debug)]
pub(crate) struct ClusterReader {
    store: Store,
    position: Position,
    epoch: Epoch,
}

impl ClusterReader {
    /// Starts where the hint says that nothing before matters.
    pub(crate) async fn open(store: Store) -> Self {
        let hint = read_hint(&store).await;
        Self {
            store,
            position: hint.position,
            epoch: hint.epoch,
        }
    }

    /// The highest epoch so far; zero where nobody has led.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store is out of reach.
    pub(crate) async fn epoch(&mut self) -> Result<Epoch> {
        let (log, replay) =
            Log::read::<ClusterEntry>(self.store.clone(), LOG.to_owned(), self.position).await?;
        self.position = log.position();
        self.epoch = self.epoch.max(replay.epoch);
        Ok(self.epoch)
    }
}

/// Jobs that may not have ended.
pub(crate) async fn live_jobs(store: &Store) -> Result<Vec<JobId>> {
    read(store).await.map(|(_, _, jobs)| jobs)
}

/// The log to its end, the highest epoch, and the jobs that may not have ended.
async fn read(store: &Store) -> Result<(Log, Epoch, Vec<JobId>)> {
    let hint = read_hint(store).await;
    let (log, replay) =
        Log::read::<ClusterEntry>(store.clone(), LOG.to_owned(), hint.position).await?;
    let mut jobs = hint.live;
    jobs.extend(replay.entries.into_iter().filter_map(|entry| match entry {
        ClusterEntry::JobAccepted { job } => Some(job),
        ClusterEntry::EpochStarted { .. } => None,
    }));
    jobs.sort();
    jobs.dedup();
    Ok((log, replay.epoch.max(hint.epoch), jobs))
}

async fn read_hint(store: &Store) -> Hint {
    match store.get(HINT).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => Hint::default(),
    }
}
