//! What the engine takes from outside: algorithms, the stores of results, the time.
//!
//! Their values are the library's own wherever a coordinator serves. A simulated world puts its
//! own in their place, so that the same engine runs there.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use rankmill_common::Result;
use rankmill_common::job::JobSpec;
use rankmill_store::Store;

use crate::algorithm::{self, JobResult};
use crate::stages::Stages;

/// A job's algorithm, on its way.
pub(super) type Algorithm = BoxFuture<'static, Result<JobResult>>;

/// Opens a store by its URL.
type OpenStore = Arc<dyn Fn(&str) -> Result<Store> + Send + Sync>;

/// What lies around an engine.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Starts the algorithm of a job.
    pub(crate) algorithm: fn(Stages, JobSpec) -> Algorithm,
    /// Opens the store of a result.
    pub(crate) output: OpenStore,
    /// Milliseconds on a clock that people do not set.
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Default for Surroundings {
    fn default() -> Self {
        let started = Instant::now();
        Self {
            algorithm: |stages, spec| Box::pin(algorithm::run(stages, spec)),
            output: Arc::new(Store::open),
            clock: Arc::new(move || started.elapsed().as_millis() as u64),
        }
    }
}
