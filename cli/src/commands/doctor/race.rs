//! Many writers create one object at the same moment: exactly one may win.
//!
//! This is the one promise that rankmill cannot do without: the log is a row of such objects, and
//! a coordinator that has been replaced learns it by losing one.

use std::sync::Arc;

use bytes::Bytes;
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::{Created, Store};
use tokio::sync::Barrier;

use super::store::{Finding, Findings};
use crate::text::counted;

/// What happened in one round.
#[derive(Default)]
struct Round {
    winners: Vec<Bytes>,
    /// What the others were shown as the winner's bytes.
    shown: Vec<Bytes>,
    errors: Vec<Error>,
}

/// Lets `writers` race for each of `rounds` objects and reads each back.
pub(super) async fn run(store: &Store, writers: usize, rounds: usize) -> Findings {
    let mut findings = Findings::default();
    let (mut several, mut misled, mut errors) = (0, 0, Vec::new());
    for index in 0..rounds {
        let key = format!("race/{index}");
        let round = round(store, &key, writers).await;
        let stored = match store.get(&key).await {
            Ok(stored) => stored,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        several += usize::from(round.winners.len() > 1);
        let told = round.winners.iter().chain(&round.shown);
        misled += usize::from(told.into_iter().any(|bytes| *bytes != stored));
        errors.extend(round.errors);
    }
    if several > 0 {
        findings.push(Finding::Lie(format!(
            "in {several} of {rounds} rounds more than one writer was told that it had created the \
             object: two coordinators could both believe that they lead"
        )));
    }
    if misled > 0 {
        findings.push(Finding::Lie(format!(
            "in {misled} of {rounds} rounds a writer was told of another content than the object \
             has now: what a log says could change after it was read"
        )));
    }
    if let Some(first) = errors.into_iter().next() {
        findings.push(Finding::Failed(first));
    }
    findings
}

async fn round(store: &Store, key: &str, writers: usize) -> Round {
    let start = Arc::new(Barrier::new(writers));
    let running = (0..writers).map(|writer| {
        let (store, key, start) = (store.clone(), key.to_owned(), Arc::clone(&start));
        let bytes = Bytes::from(format!("writer {writer} of {key}"));
        tokio::spawn(async move {
            start.wait().await;
            let created = store.create(&key, bytes.clone()).await;
            (bytes, created)
        })
    });
    let mut round = Round::default();
    for ended in futures::future::join_all(running).await {
        match ended {
            Ok((bytes, Ok(Created::Mine))) => round.winners.push(bytes),
            Ok((_, Ok(Created::Other(bytes)))) => round.shown.push(bytes),
            Ok((_, Err(error))) => round.errors.push(error),
            Err(panic) => round
                .errors
                .push(Error::internal(format!("a writer died: {panic}"))),
        }
    }
    round
}

/// What a race that went well shows.
pub(super) fn describe(writers: usize, rounds: usize) -> String {
    format!(
        "one winner in each of {}, {writers} writers at a time",
        counted(rounds as u64, "round")
    )
}

/// An object that exists is not created again, and who tries is shown what is there.
pub(super) async fn refuses_twins(store: &Store) -> Result<Findings> {
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    let mut findings = Findings::default();
    if store.create("twin", first.clone()).await? != Created::Mine {
        findings.lie("an object that nobody else writes was not created");
    }
    match store.create("twin", second).await {
        Ok(Created::Other(shown)) if shown == first => {}
        Ok(Created::Other(_)) => findings.lie("the loser of a create was shown wrong bytes"),
        Ok(Created::Mine) => findings.lie(
            "an object that exists was created again (If-None-Match is ignored): a log could be \
             overwritten",
        ),
        Err(error) if error.kind == ErrorKind::Unavailable => return Err(error),
        Err(error) => findings.push(Finding::Failed(error)),
    }
    Ok(findings)
}
