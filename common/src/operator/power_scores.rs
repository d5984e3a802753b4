//! `power_scores`: personalized PageRank of some sources by power iteration, a block of sources
//! per read of the graph; their best targets go straight into the result.

use serde::{Deserialize, Serialize};

use super::{TASK_OVERHEAD, WrittenFile};
use crate::ObjectRef;
use crate::job::graph::Dangling;
use crate::job::ppr::Stop;
use crate::matrix::{BlockFormat, BlockRef, RowRange, TallMatrix, VertexOrder};
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
    /// The numbers that iterate; sums are f64 either way.
    pub iteration: Iteration,
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

/// The numbers that iterate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Iteration {
    /// f32.
    Single,
    /// f32, and once they are near the solution, f32 numbers of what is missing.
    Refined,
    /// f64.
    Double,
}

impl Iteration {
    /// Bytes that a source takes per vertex, in all panels: two that iterate and, where they are
    /// refined, the numbers before and their residual.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Single => 8,
            Self::Refined | Self::Double => 16,
        }
    }

    /// The cheapest numbers whose rounding stays well below the tolerance.
    pub fn for_tolerance(damping: f64, tol: f64) -> Self {
        let leak = 1.0 - damping;
        // Rounding moves an iterate by 2⁻²⁴ of its mass, which the walk multiplies by 1/(1−d).
        if 4.0 * ROUNDING / leak <= tol {
            return Self::Single;
        }
        // What is missing has at most 1/(1−d) of its residual's mass; both are rounded.
        let missing = refine_at(damping) * (1.0 + 1.0 / leak);
        if 2.0 * ROUNDING * missing / leak <= tol {
            Self::Refined
        } else {
            Self::Double
        }
    }
}

/// Relative error of a number that is rounded to f32.
const ROUNDING: f64 = 1.0 / (1 << 24) as f64;

/// The residual at which what is missing is iterated instead: small, so that its own rounding is,
/// and above what rounding leaves of iterates in f32.
pub fn refine_at(damping: f64) -> f64 {
    (64.0 * ROUNDING).max(8.0 * ROUNDING / (1.0 - damping))
}

/// Sources that iterate side by side: as many as share a cache line of f32. Wider blocks read the
/// edges less often, but fewer of the vertices that they gather stay in cache (RMAT 20: 2.5 ms per
/// iteration and source for 16 of them, 4.2 for 32, 4.5 for 64).
pub const BLOCK_WIDTH: u32 = 16;

/// Bytes of all panels of a block of sources on a graph of so many vertices.
pub fn panel_bytes(vertices: u64, width: u32, iteration: Iteration) -> u64 {
    vertices * u64::from(width) * iteration.bytes()
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
        self.personal.result_memory()
            + panel_bytes(vertices, self.width, self.iteration)
            + 24 * vertices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_the_tolerance_allows() {
        let numbers = Iteration::for_tolerance;
        assert_eq!(numbers(0.85, 1e-4), Iteration::Single);
        assert_eq!(numbers(0.85, 1e-8), Iteration::Refined);
        assert_eq!(numbers(0.85, 1e-13), Iteration::Double);
        assert_eq!(numbers(0.999, 1e-8), Iteration::Double);
    }
}
