//! Algorithms: async functions over operators that read like the papers they come from.
//!
//! One file per job kind (`svd`) and per way of doing it (`lanczos`, `gram`, `subspace`,
//! `sketch`), with the pieces they share: `ingest` (files to blocks), `operand` (reads of A),
//! `tall` (linear combinations in shards), `factors` (from right vectors to files). No I/O, no
//! clock; the same answers always lead to the same questions.

mod convergence;
mod factors;
mod gram;
mod ingest;
mod lanczos;
mod operand;
mod sketch;
mod subspace;
mod svd;
mod tall;

use rankmill_common::Result;
use rankmill_common::job::JobSpec;
use rankmill_common::manifest::{ConvergenceSummary, InputFile, MatrixSummary};
use rankmill_common::operator::WrittenFile;

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
    pub convergence: ConvergenceSummary,
}

/// Runs the algorithm of a job.
///
/// # Errors
///
/// What the algorithm finds wrong with its input. A failed task ends the job from outside.
pub async fn run(stages: Stages, spec: JobSpec) -> Result<JobResult> {
    match spec {
        JobSpec::Svd(spec) => svd::svd(&stages, &spec).await,
    }
}
