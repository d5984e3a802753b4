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
    /// The numbers in which residuals and estimates are kept; sums are f64 either way.
    pub kept: Precision,
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
    /// Whether every edge goes both ways with the same weight.
    pub symmetric: bool,
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
    /// Sources that were answered by push.
    pub pushed: u64,
}

/// Numbers of sources that may iterate side by side, the better first: as many as have their
/// increments in one cache line, and half of them where memory is short or there are no more. An
/// answer does not depend on it.
pub fn block_widths(sources: u64) -> &'static [u32] {
    const WIDTHS: &[u32] = &[BLOCK_WIDTH, BLOCK_WIDTH / 2];
    match sources <= u64::from(BLOCK_WIDTH) / 2 {
        true => &WIDTHS[1..],
        false => WIDTHS,
    }
}

/// Most sources that iterate side by side.
pub const BLOCK_WIDTH: u32 = 32;

/// What residuals and estimates are kept in: the shorter numbers where their rounding, in as many
/// steps as power iteration can take, stays below the tolerance.
pub fn kept_for_tolerance(damping: f64, tol: f64) -> Precision {
    const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
    let leak = 1.0 - damping;
    let changes = std::iter::successors(Some(2.0 / leak), |change| Some(change * damping));
    let steps = changes.take(10_000).take_while(|&left| left > tol).count() as f64;
    // A rounded estimate has another residual: by 1+d times what rounding moves of its mass, which is
    // one, but for the first steps.
    let masses = steps + 2.0 / (leak * leak);
    if (1.0 + damping) * ROUNDING * masses / leak <= tol / 2.0 {
        Precision::Single
    } else {
        Precision::Double
    }
}

/// Bytes of all panels of a block of sources on a graph of so many vertices: two of increments with
/// two bytes a source, residuals and estimates.
pub fn panel_bytes(vertices: u64, width: u32, kept: Precision) -> u64 {
    vertices * u64::from(width) * (4 + 2 * kept.bytes())
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
        let vertices = self.strengths.nrows;
        self.personal.result_memory() + panel_bytes(vertices, self.width, self.kept) + 24 * vertices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_the_tolerance_allows() {
        assert_eq!(kept_for_tolerance(0.85, 1e-3), Precision::Single);
        assert_eq!(kept_for_tolerance(0.85, 1e-4), Precision::Double);
        assert_eq!(kept_for_tolerance(0.999, 1e-4), Precision::Double);
        assert_eq!(kept_for_tolerance(0.01, 1e-6), Precision::Single);
    }
}
