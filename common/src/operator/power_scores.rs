//! `power_scores`: personalized PageRank of some sources by power iteration, a block of sources
//! per read of the graph; their best targets go straight into the result.

use serde::{Deserialize, Serialize};

use super::{TASK_OVERHEAD, WrittenFile};
use crate::ObjectRef;
use crate::job::graph::Dangling;
use crate::job::ppr::Stop;
use crate::matrix::{BlockFormat, BlockRef, Precision, RowRange, TallMatrix, VertexOrder};
use crate::table::IdTable;

/// Parameters of `power_scores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerScores {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// All blocks of the graph, in row order; rows are incoming edges.
    pub blocks: Vec<BlockRef>,
    /// Out-strength of every vertex, n × 1 f64.
    pub strengths: TallMatrix,
    /// Sources that iterate side by side.
    pub width: u32,
    /// Width of the numbers that iterate; sums are f64 either way.
    pub precision: Precision,
    /// Most iterations.
    pub max_iterations: u32,
    /// What all methods need.
    pub personal: Personal,
}

/// The sources of one task of personalized PageRank, what to compute and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Personal {
    /// All vertices.
    pub ids: IdTable,
    /// Their numbering.
    pub order: Option<VertexOrder>,
    /// Where the sources of the job come from.
    pub sources: SourceList,
    /// Which of them are this task's.
    pub range: RowRange,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where the mass of vertices without out-edges goes.
    pub dangling: Dangling,
    /// The L1 error bound at which to stop.
    pub tol: f64,
    /// Whether a proven set of targets is enough.
    pub stop: Stop,
    /// Targets per source to keep.
    pub top_k: u32,
    /// Where the result goes.
    pub output: String,
    /// Name of the file of scores below it.
    pub scores_path: String,
    /// Name of the file of sources below it.
    pub sources_path: String,
}

/// Where the sources of a job come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sources", rename_all = "snake_case")]
pub enum SourceList {
    /// Every vertex, in the order of the ids.
    All,
    /// What `find_sources` found.
    Found {
        /// As in [`super::FoundSources`].
        object: ObjectRef,
        /// Their names.
        names: IdTable,
    },
}

/// What a task wrote, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PersonalScores {
    /// `source`, `target`, `score`, `rank`.
    pub scores: WrittenFile,
    /// `source`, `residual`, `proven`.
    pub sources: WrittenFile,
    /// Sources that did not get as far as they were asked to.
    pub unconverged: u64,
    /// Sources whose set of targets is proven.
    pub proven: u64,
    /// The largest error bound.
    pub max_residual: f64,
    /// Most iterations of a block of sources; zero by push.
    pub iterations: u32,
    /// Edges that were followed.
    pub edges: u64,
}

/// Bytes of one of the two panels that iterate, about.
const PANEL_BYTES: u64 = 512 << 20;
/// Sources side by side: more hardly lower the cost per source.
const WIDEST: u64 = 64;
/// Fewer waste the cache lines that are gathered.
pub const NARROWEST: u32 = 16;

/// Sources that iterate side by side on a graph of so many vertices.
pub fn block_width(vertices: u64, precision: Precision) -> u32 {
    let fitting = PANEL_BYTES / (vertices.max(1) * precision.bytes());
    let width = fitting.clamp(u64::from(NARROWEST), WIDEST) as u32;
    // Whole cache lines of f32.
    width - width % NARROWEST
}

/// The width of numbers whose rounding stays well below the tolerance. Rounding moves an iterate
/// by 2⁻²⁴ of its mass at most, which the walk then multiplies by 1/(1−d).
pub fn iteration_precision(damping: f64, tol: f64) -> Precision {
    const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
    if 4.0 * ROUNDING / (1.0 - damping) <= tol {
        Precision::Single
    } else {
        Precision::Double
    }
}

impl Personal {
    /// Bytes that the answers of `sources` sources take until they are written.
    pub(super) fn result_memory(&self) -> u64 {
        let targets = u64::from(self.top_k).min(self.ids.count());
        TASK_OVERHEAD + self.range.count * (targets * 96 + 256) + 8 * self.ids.count()
    }
}

impl PowerScores {
    pub(super) fn memory(&self) -> u64 {
        let sources = self.personal.range.count.max(1);
        let width = u64::from(self.width).min(sources.next_multiple_of(u64::from(NARROWEST)));
        let panel = self.strengths.nrows * width * self.precision.bytes();
        self.personal.result_memory() + 2 * panel + 24 * self.strengths.nrows
    }
}
