//! Algorithms: async functions over operators that read like the papers they come from.
//!
//! One file per job kind (`svd`, `page_rank`, `ppr`, `ppr_index`) and per way of doing it (`lanczos`, `gram`,
//! `subspace`, `sketch`), with the pieces they share: `ingest` (files to blocks), `ids` (id tables),
//! `entries` (of pieces, on their way into blocks), `graph` (edges to blocks), `operand` (reads of A),
//! `tall` (linear combinations in shards), `factors` (from right vectors to files). No I/O, no clock; the same answers always lead to the same questions.

mod convergence;
mod entries;
mod factors;
mod gram;
mod graph;
mod ids;
mod ingest;
mod lanczos;
mod operand;
mod outlook;
mod page_rank;
mod ppr;
mod ppr_index;
mod ppr_index_parts;
mod ppr_parts;
mod sketch;
mod subspace;
mod svd;
mod tall;
mod transforms;

use rankmill_common::job::JobSpec;
use rankmill_common::manifest::{InputFile, MatrixSummary, Quality};
use rankmill_common::operator::WrittenFile;
use rankmill_common::{Digest, Result};
use serde::Serialize;

use crate::stages::Stages;

/// What a finished algorithm hands over to be committed.
#[derive(Clone, Debug, PartialEq)]
pub struct JobResult {
    /// Pinned input files.
    pub inputs: Vec<InputFile>,
    /// The matrix that they made.
    pub matrix: MatrixSummary,
    /// Files of the result.
    pub files: Vec<WrittenFile>,
    /// How good the result is.
    pub convergence: Quality,
}

/// Runs the algorithm of a job.
///
/// # Errors
///
/// What the algorithm finds wrong with its input. A failed task ends the job from outside.
pub async fn run(stages: Stages, spec: JobSpec) -> Result<JobResult> {
    match spec {
        JobSpec::Svd(spec) => svd::svd(&stages, &spec).await,
        JobSpec::PageRank(spec) => page_rank::page_rank(&stages, &spec).await,
        JobSpec::Ppr(spec) => ppr::ppr(&stages, &spec).await,
        JobSpec::PprIndex(spec) => ppr_index::ppr_index(&stages, &spec).await,
    }
}

/// Part of the names of a result's files: a digest of the run (of its specification, and how often
/// it was tried) and of what was read. Files of two different results never meet, and whoever
/// cleans up after a run that failed never meets those of the next.
fn tag(stages: &Stages, read: &impl Serialize) -> String {
    Digest::of_value(&(stages.job(), read)).short()
}
