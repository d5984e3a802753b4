//! Create if absent, with a certain answer.
//!
//! A store's own answer can be uncertain: a timeout may hide a write that landed, an internal
//! retry may meet its own first write, S3's 409 is reported as "exists" though nobody won.
//! Whatever the store says short of success, the object is read back; where it is not there, the
//! same bytes are offered again, because an older request may still land.
//!
//! Invariant: `Mine` and `Other` are said only of bytes that a write reported as stored or a read
//! returned; everything else is an error.

use std::time::Duration;

use bytes::Bytes;
use object_store::{PutMode, PutOptions};
use rankmill_common::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::Store;

/// Who owns the object after a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// This write, now or by an earlier try with the same bytes.
    Mine,
    /// Another write; these are its bytes.
    Other(Bytes),
}

/// How long one request may take: slots are small, and a coordinator that cannot write soon has
/// to know.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long all tries may take.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn create(store: &Store, key: &str, bytes: Bytes) -> Result<Created> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let refused = match in_time(put(store, key, bytes.clone())).await {
            Ok(()) => return Ok(Created::Mine),
            Err(error) if is_final(error.kind) => return Err(error),
            Err(error) => error,
        };
        let error = match in_time(store.get_once(key)).await {
            Ok(found) if found == bytes => return Ok(Created::Mine),
            Ok(found) => return Ok(Created::Other(found)),
            Err(error) if error.kind == ErrorKind::NotFound => unsettled(store, key, refused),
            Err(error) => error,
        };
        if start.elapsed() + pause > PATIENCE {
            return Err(error);
        }
        tracing::debug!(%error, "a create is offered again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn put(store: &Store, key: &str, bytes: Bytes) -> Result<()> {
    let path = store.path(key)?;
    let options = PutOptions::from(PutMode::Create);
    store
        .inner
        .put_opts(&path, bytes.into(), options)
        .await
        .map_err(|e| store.fail(key, &e))?;
    Ok(())
}

/// Neither trying again nor reading back can change these.
fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ResourceExhausted | ErrorKind::InvalidInput)
}

/// The store says that the object exists and that it does not: nobody has won yet.
fn unsettled(store: &Store, key: &str, refused: Error) -> Error {
    if refused.kind == ErrorKind::AlreadyExists {
        let place = store.location().display(key);
        return Error::new(
            ErrorKind::Unavailable,
            format!("{place}: the store refuses to create it and does not have it either"),
        );
    }
    refused
}

async fn in_time<T>(request: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(REQUEST_LIMIT, request).await.unwrap_or_else(|_| {
        let seconds = REQUEST_LIMIT.as_secs();
        let message = format!("the store did not answer within {seconds} s");
        Err(Error::new(ErrorKind::Unavailable, message))
    })
}
