//! What the engine takes from outside: algorithms, the stores of results, the time.
//!
//! Their values are the library's own wherever a coordinator serves. A simulated world puts its
//! own in their place, so that the same engine runs there.

use std::sync::Arc;

use futures::future::BoxFuture;
use rankmill_common::job::JobSpec;
use rankmill_common::{JobId, Result};
use rankmill_store::Store;
use tokio::time::Instant;

use crate::algorithm::{self, JobResult};
use crate::stages::Stages;

/// Outputs of tasks that are visible to the tasks of this process before they are durable.
///
/// A coordinator that lives and dies with its only worker counts a task as done at once, and logs
/// it when its outputs are durable: the log never holds more than the store.
pub trait Outputs: Send + Sync {
    /// Resolves when everything below `prefix` is durable or was let go.
    fn settled(&self, prefix: &str) -> BoxFuture<'static, Result<()>>;

    /// Nobody reads these objects any more: they need not become durable.
    fn release(&self, keys: &[String]);

    /// Nothing below `prefix` is wanted any more; resolves when nothing is written there.
    fn forget(&self, prefix: &str) -> BoxFuture<'static, ()>;
}

/// A job's algorithm, on its way.
pub(super) type Algorithm = BoxFuture<'static, Result<JobResult>>;

/// Opens the store of a result.
type OpenOutput = Arc<dyn Fn(&str) -> Result<Store> + Send + Sync>;

/// What lies around an engine.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Starts the algorithm of a job.
    pub(crate) algorithm: fn(Stages, JobSpec) -> Algorithm,
    /// Opens the store of a result.
    pub(crate) output: OpenOutput,
    /// What holds outputs in memory before they are durable, if anything does.
    pub(crate) outputs: Option<Arc<dyn Outputs>>,
    /// Milliseconds on a clock that people do not set.
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Surroundings {
    /// Lets go of the outputs of a job that is over.
    pub(super) async fn forget_outputs(&self, job: &JobId) {
        if let Some(outputs) = &self.outputs {
            outputs.forget(&format!("jobs/{job}/")).await;
        }
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        let started = Instant::now();
        Self {
            algorithm: |stages, spec| Box::pin(algorithm::run(stages, spec)),
            output: Arc::new(Store::open),
            outputs: None,
            clock: Arc::new(move || started.elapsed().as_millis() as u64),
        }
    }
}
