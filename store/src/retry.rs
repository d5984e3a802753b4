//! Another try for what may be asked twice.
//!
//! The client library repeats a request that was refused; what it does not repeat is an answer
//! that broke off on the way (the body of a listing, a multipart completion). Reads, overwrites,
//! deletes and whole uploads may be asked again, so they are, a few times. Creating is not among
//! them: see `create`.

use std::time::Duration;

use rankmill_common::{ErrorKind, Result};

const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Runs `operation` until it succeeds, fails for good, or has failed [`TRIES`] times.
pub(crate) async fn again<T, F>(mut operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match operation().await {
            Err(error) if error.kind == ErrorKind::Unavailable => {
                tracing::debug!(%error, "a store is asked again");
                tokio::time::sleep(pause).await;
                pause *= 4;
            }
            answer => return answer,
        }
    }
    operation().await
}
