//! Looks at an input outside any job: its footers, for an estimate, and the versions of its files.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rankmill_common::input::InputSpec;
use rankmill_common::operator::{Inspect, Inspection};
use rankmill_common::{Error, Result};
use rankmill_store::Store;
use serde::{Deserialize, Serialize};

use crate::context::TaskContext;
use crate::operator;
use crate::storage::Objects;
use crate::storage::input::{InputFile, expand};

/// Memory that reading footers and the first row may use.
const MEMORY: u64 = 256 << 20;

/// What the footers of `input` say. Blocks; must not be called on an async thread.
///
/// # Errors
///
/// `InvalidInput` for files or columns that are missing or unusable, `Unavailable` when a store
/// is out of reach.
pub fn inspect(input: &InputSpec) -> Result<Inspection> {
    outside_a_job(|context| {
        let inspect = Inspect {
            input: input.clone(),
        };
        operator::inspect(context, &inspect)
    })
}

/// A file as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputVersion {
    /// Where it lies.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// The store's version tag, or the times of a local file.
    pub version: String,
}

/// The files that `paths` name as they are now. Blocks, as [`inspect`].
///
/// # Errors
///
/// `InvalidInput` for files that are missing, `Unavailable` when a store is out of reach.
pub fn input_versions(paths: &[String]) -> Result<Vec<InputVersion>> {
    outside_a_job(|context| {
        let files = expand(context, paths)?.into_iter().map(|url| {
            let file = InputFile::open(context, &url)?;
            let (size, version) = (file.size(), file.version().to_owned());
            Ok(InputVersion { url, size, version })
        });
        files.collect()
    })
}

fn outside_a_job<T>(work: impl FnOnce(&TaskContext) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("no runtime: {e}")))?;
    let objects = Objects::open(Store::open("memory://inspection")?, None)?;
    let context = TaskContext::new(
        objects,
        runtime.handle().clone(),
        "inspection",
        MEMORY,
        Arc::new(AtomicBool::new(false)),
    );
    work(&context)
}
