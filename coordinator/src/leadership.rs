//! Who leads: a heartbeat on the store, standbys that watch it, and the end of a term.
//!
//! Clocks decide only how soon a standby takes over. That no two coordinators write the same
//! history is the log's doing (see [`crate::log`]): a standby that is too hasty costs a change of
//! leader, never a wrong answer.

use std::time::Duration;

use bytes::Bytes;
use rankmill_common::{Epoch, Error, ErrorKind, Result};
use rankmill_store::Store;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::CoordinatorConfig;
use crate::engine::ClusterReader;

/// How long coordinators wait for one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Time between two beats of a leader.
    pub(crate) beat: Duration,
    /// Time without a new beat after which a standby takes over.
    pub(crate) takeover: Duration,
    /// Time without a successful beat after which a leader steps down.
    pub(crate) step_down: Duration,
}

impl Patience {
    pub(crate) fn of(config: &CoordinatorConfig) -> Self {
        Self {
            beat: Duration::from_millis(config.leader_beat_ms.max(1)),
            takeover: Duration::from_millis(config.takeover_ms),
            step_down: Duration::from_millis(config.step_down_ms),
        }
    }
}

/// What a leader says of itself, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Beat {
    /// Who: how others reach it.
    leader: String,
    /// Counts the beats of the term, so that each differs from the one before.
    count: u64,
    /// Whether it has gone of its own accord.
    released: bool,
}

fn key(epoch: Epoch) -> String {
    format!("cluster/hb/{epoch}")
}

async fn write(store: &Store, epoch: Epoch, beat: &Beat) -> Result<()> {
    let bytes = serde_json::to_vec(beat)
        .map_err(|e| Error::internal(format!("a heartbeat cannot be written: {e}")))?;
    store.put(&key(epoch), Bytes::from(bytes)).await
}

/// Writes the heartbeat of `epoch`; resolves when the term is over, with the reason.
pub(crate) async fn keep(store: Store, epoch: Epoch, leader: &str, patience: Patience) -> Error {
    let mut cluster = ClusterReader::open(store.clone()).await;
    let mut beat = Beat {
        leader: leader.to_owned(),
        count: 0,
        released: false,
    };
    let mut last = Instant::now();
    let mut due = tokio::time::interval(patience.beat);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        beat.count += 1;
        let round = async {
            let newest = cluster.epoch().await?;
            if newest > epoch {
                return Err(Error::new(
                    ErrorKind::Fenced,
                    format!("a coordinator of epoch {newest} has taken over"),
                ));
            }
            write(&store, epoch, &beat).await
        };
        let left = patience.step_down.saturating_sub(last.elapsed());
        match tokio::time::timeout(left, round).await {
            Ok(Ok(())) => last = Instant::now(),
            Ok(Err(error)) if error.kind == ErrorKind::Fenced => return error,
            Ok(Err(error)) if last.elapsed() < patience.step_down => {
                tracing::warn!(%error, "a heartbeat could not be written");
            }
            Ok(Err(error)) => return error.context("stepping down: the state store is away"),
            Err(_) => {
                return Error::new(
                    ErrorKind::Unavailable,
                    "stepping down: the state store does not answer",
                );
            }
        }
    }
}

/// Tells the standbys that they need not wait.
pub(crate) async fn release(store: &Store, epoch: Epoch, leader: &str) {
    let beat = Beat {
        leader: leader.to_owned(),
        count: u64::MAX,
        released: true,
    };
    // Without it the standbys wait their time.
    let _ = write(store, epoch, &beat).await;
}

/// Waits until nobody leads: nobody ever did, the last leader has gone or fallen silent, or it was
/// an earlier process at our own address. `seen` hears who leads until then.
pub(crate) async fn wait_for_vacancy(
    store: Store,
    own_name: &str,
    patience: Patience,
    mut seen: impl FnMut(&str),
) {
    let mut cluster = ClusterReader::open(store.clone()).await;
    let mut last: Option<(Epoch, Option<Bytes>)> = None;
    let mut since = Instant::now();
    loop {
        match look(&store, &mut cluster).await {
            Ok((epoch, _)) if epoch == Epoch::default() => return,
            Ok((epoch, bytes)) => {
                let beat = bytes.as_deref().and_then(parse);
                if let Some(beat) = &beat {
                    if beat.released || beat.leader == own_name {
                        return;
                    }
                    seen(&beat.leader);
                }
                let now = Some((epoch, bytes));
                if now != last {
                    last = now;
                    since = Instant::now();
                } else if since.elapsed() >= patience.takeover {
                    return;
                }
            }
            // Out of touch with the store, silence says nothing about the leader.
            Err(error) => {
                tracing::warn!(%error, "cannot see who leads");
                since = Instant::now();
            }
        }
        tokio::time::sleep(patience.beat / 2).await;
    }
}

/// The coordinator that leads on `store`, where one lives. A leader that has not said that it went may
/// have been killed: it is watched for as long as a standby would, and `waiting` hears its name.
///
/// # Errors
///
/// `Unavailable` when the store is out of reach, `InvalidInput` where its log is damaged.
pub async fn living_leader(store: &Store, mut waiting: impl FnMut(&str)) -> Result<Option<String>> {
    let patience = Patience::of(&CoordinatorConfig::default());
    let mut cluster = ClusterReader::open(store.clone()).await;
    let mut last = look(store, &mut cluster).await?;
    let Some(beat) = last.1.as_deref().and_then(parse) else {
        return Ok(None);
    };
    if beat.released {
        return Ok(None);
    }
    waiting(&beat.leader);
    let since = Instant::now();
    while since.elapsed() < patience.takeover {
        tokio::time::sleep(patience.beat / 2).await;
        let now = look(store, &mut cluster).await?;
        if now == last {
            continue;
        }
        match now.1.as_deref().and_then(parse) {
            Some(beat) => return Ok((!beat.released).then_some(beat.leader)),
            // Whoever has just taken over has not spoken yet.
            None => last = now,
        }
    }
    Ok(None)
}

async fn look(store: &Store, cluster: &mut ClusterReader) -> Result<(Epoch, Option<Bytes>)> {
    let epoch = cluster.epoch().await?;
    match store.get(&key(epoch)).await {
        Ok(bytes) => Ok((epoch, Some(bytes))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok((epoch, None)),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<Beat> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Cluster;

    const NAME: &str = "http://here";

    async fn led(place: &str, released: bool) -> (Store, Epoch) {
        let store = Store::open(&format!("memory://{place}")).expect("memory store");
        let (cluster, _) = Cluster::take_over(store.clone()).await.expect("the lead");
        let beat = Beat {
            leader: NAME.to_owned(),
            count: 1,
            released,
        };
        let written = write(&store, cluster.epoch(), &beat).await;
        written.expect("a heartbeat");
        (store, cluster.epoch())
    }

    async fn looked(store: &Store) -> (Option<String>, u32) {
        let mut waited = 0;
        let found = living_leader(store, |_| waited += 1).await;
        (found.expect("a state"), waited)
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_lives_is_told_from_one_that_fell_silent() {
        let (store, epoch) = led("silent leader", false).await;
        assert_eq!(looked(&store).await, (None, 1));
        let patience = Patience::of(&CoordinatorConfig::default());
        let beating = keep(store.clone(), epoch, NAME, patience);
        tokio::select! {
            error = beating => panic!("{error}"),
            found = looked(&store) => assert_eq!(found, (Some(NAME.to_owned()), 1)),
        }
    }

    #[tokio::test]
    async fn nobody_waits_where_nobody_leads() {
        let empty = Store::open("memory://never led").expect("memory store");
        assert_eq!(looked(&empty).await, (None, 0));
        let (store, _) = led("a leader that went", true).await;
        assert_eq!(looked(&store).await, (None, 0));
    }
}
