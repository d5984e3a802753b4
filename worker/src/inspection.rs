//! Reads an input's footers outside any job, for an estimate.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rankmill_common::input::InputSpec;
use rankmill_common::operator::{Inspect, Inspection};
use rankmill_common::{Error, Result};
use rankmill_store::Store;

use crate::context::TaskContext;
use crate::operator;
use crate::storage::Objects;

/// Memory that reading footers and the first row may use.
const MEMORY: u64 = 256 << 20;

/// What the footers of `input` say. Blocks; must not be called on an async thread.
///
/// # Errors
///
/// `InvalidInput` for files or columns that are missing or unusable, `Unavailable` when a store
/// is out of reach.
pub fn inspect(input: &InputSpec) -> Result<Inspection> {
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
    let inspect = Inspect {
        input: input.clone(),
    };
    operator::inspect(&context, &inspect)
}
