//! The manifest: what a finished result consists of and how good it is.
//!
//! Consumers read it first; a prefix without one holds no result.

use serde::{Deserialize, Serialize};

use crate::job::JobSpec;
use crate::operator::WrittenFile;
use crate::{Digest, JobId};

/// Name of the manifest below the output.
pub const MANIFEST_NAME: &str = "_manifest.json";

/// Folder of the table of singular values, in one part. Its name is that of a table, which most
/// readers of Parquet take for one.
pub const SPECTRUM_FOLDER: &str = "singular_values.parquet";

/// Folders of results. Names in them are a job's own, so that no result is touched before the manifest
/// of the next one is there.
pub const RESULT_FOLDERS: [&str; 6] = [
    "left",
    "right",
    SPECTRUM_FOLDER,
    "scores",
    "sources",
    "fingerprints",
];

/// The manifest of one finished job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub manifest_version: u32,
    /// The job that made the result.
    pub job_id: JobId,
    /// Effective parameters, every default spelled out.
    pub parameters: JobSpec,
    /// Input files as they were when the job was planned.
    pub inputs: Vec<InputFile>,
    /// The matrix that they made.
    pub matrix: MatrixSummary,
    /// Files of the result.
    pub files: Vec<WrittenFile>,
    /// How good the result is.
    pub convergence: Quality,
    /// What made it.
    pub versions: Versions,
    /// Time and work per stage, in order. The only part that differs between runs.
    pub timings: Vec<StageTiming>,
}

/// One pinned input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it lay.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
    /// The store's version tag or time of the last change.
    pub version: String,
    /// Parquet rows.
    pub rows: u64,
}

/// The size of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixSummary {
    /// Rows.
    pub nrows: u64,
    /// Columns.
    pub ncols: u64,
    /// Stored entries.
    pub nnz: u64,
    /// ‖A‖²_F, centred if A was.
    pub frobenius2: f64,
    /// Input rows that were left out.
    pub skipped_rows: u64,
}

/// How good a result is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quality {
    /// A factorization.
    Factors(ConvergenceSummary),
    /// PageRank.
    Scores(ScoresSummary),
    /// Personalized PageRank.
    Personal(PersonalSummary),
    /// An index.
    Index(IndexSummary),
}

impl Quality {
    /// Whether the tolerance was met.
    pub fn converged(&self) -> bool {
        match self {
            Self::Factors(summary) => summary.converged,
            Self::Scores(summary) => summary.converged,
            Self::Personal(summary) => summary.converged,
            Self::Index(_) => true,
        }
    }
}

/// How good PageRank scores are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoresSummary {
    /// Whether the tolerance was met.
    pub converged: bool,
    /// Iterations.
    pub iterations: u32,
    /// Proven bound of ‖scores − exact‖₁.
    pub residual: f64,
    /// ‖last change‖₁.
    pub change: f64,
    /// Sum of the scores.
    pub sum: f64,
}

/// How good personalized PageRank scores are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalSummary {
    /// Whether every source met the tolerance or, where that is enough, has a proven set of
    /// targets.
    pub converged: bool,
    /// Method that was used.
    pub method: String,
    /// Sources in the result.
    pub sources: u64,
    /// Sources, or rows of a seed table, that are not in the graph and were left out.
    pub skipped_sources: u64,
    /// Sources whose set of targets is proven.
    pub proven: u64,
    /// Sources that met neither.
    pub unconverged: u64,
    /// The largest proven bound of ‖scores − exact‖₁ of a source.
    pub max_residual: f64,
    /// Most iterations of a block of sources; zero by push.
    pub iterations: u32,
    /// Edges that were followed.
    pub edges: u64,
    /// Sources that were answered by push; the others were by power iteration.
    #[serde(default)]
    pub pushed: u64,
}

/// What an index is of, and how much it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSummary {
    /// Digest of the graph: of its pinned files and of how they are read.
    pub graph: Digest,
    /// Entries of all fingerprints.
    pub entries: u64,
    /// Mass that did not fit into the entries of a fingerprint, on average.
    pub missing: f64,
}

/// How good a factorization is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceSummary {
    /// Whether the tolerance was met.
    pub converged: bool,
    /// Method that was used.
    pub method: String,
    /// Reads of A, the last one for U and residuals included.
    pub reads: u32,
    /// Per-vector error: the largest |σ² − ‖Aᵀu‖²| over σ²_{k+1}.
    pub pve: f64,
    /// Largest residual, over σ₁.
    pub max_residual: f64,
    /// Σσ² / ‖A‖²_F.
    pub captured_energy: f64,
    /// Number of components.
    pub components: u32,
    /// Number of singular values that are not zero to rounding.
    pub numerical_rank: u32,
}

/// Versions of what made the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// rankmill.
    pub rankmill: String,
    /// Instruction-set class of the workers: bytes are the same within one class.
    pub isa: String,
}

/// Time and work of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageTiming {
    /// Name of the stage.
    pub stage: String,
    /// Number of tasks.
    pub tasks: u32,
    /// From the first task's start to the last one's commit.
    pub wall_ms: u64,
    /// Σ over tasks of their running time.
    pub busy_ms: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Bytes written to the store.
    pub bytes_written: u64,
    /// Bytes read or written at places that an index says, cache hits included.
    #[serde(default)]
    pub bytes_gathered: u64,
    /// Floating point operations.
    #[serde(default)]
    pub flops: u64,
}
