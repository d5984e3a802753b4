//! Create if absent, with a certain answer.
//!
//! A store's own answer can be uncertain: a timeout may hide a write that landed, an internal
//! retry may meet its own first write, S3's 409 is reported as "exists" though nobody won.
//! Whatever the store says short of success, the object is read back; where it is not there, the
//! same bytes are offered again, because an older request may still land.

use std::time::Duration;

use bytes::Bytes;
use object_store::{PutMode, PutOptions};
use rankmill_common::{Error, ErrorKind, Result};

use crate::Store;

/// Who owns the object after a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// This write, now or by an earlier try with the same bytes.
    Mine,
    /// Another write; these are its bytes.
    Other(Bytes),
}

const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn create(store: &Store, key: &str, bytes: Bytes) -> Result<Created> {
    let mut last = None;
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(FIRST_PAUSE * 2u32.pow(attempt - 1)).await;
        }
        match put(store, key, bytes.clone()).await {
            Ok(()) => return Ok(Created::Mine),
            Err(e) if e.kind == ErrorKind::ResourceExhausted => return Err(e),
            Err(e) if e.kind == ErrorKind::InvalidInput => return Err(e),
            Err(e) => last = Some(e),
        }
        match store.get(key).await {
            Ok(found) if found == bytes => return Ok(Created::Mine),
            Ok(found) => return Ok(Created::Other(found)),
            Err(e) if e.kind == ErrorKind::NotFound => {}
            Err(e) => last = Some(e),
        }
    }
    Err(last.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the store did not answer")))
}

async fn put(store: &Store, key: &str, bytes: Bytes) -> Result<()> {
    let options = PutOptions::from(PutMode::Create);
    store
        .inner
        .put_opts(&store.path(key), bytes.into(), options)
        .await
        .map_err(|e| store.fail(key, &e))?;
    Ok(())
}
