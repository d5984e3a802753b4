//! The index of personalized PageRank (PowerWalk): parameters and validation.

use serde::{Deserialize, Serialize};

use super::graph::{self, Dangling};
use crate::input::InputSpec;
use crate::job::OutputSpec;
use crate::{ByteSize, Error, Result};

/// A fingerprint of every vertex: an estimate of the largest scores of the walks that start there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PprIndexSpec {
    /// The edges.
    pub input: InputSpec,
    /// Where the index goes.
    pub output: OutputSpec,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where walks go from vertices without out-edges; not to a uniform vertex.
    pub dangling: Dangling,
    /// Walks from each vertex.
    pub walks: u32,
    /// Most entries of a fingerprint.
    pub entries: u32,
    /// What decides the random numbers.
    pub seed: u64,
    /// Bytes that one task may hold of the graph and of what it computes with: what does not fit is
    /// worked on in parts. Decides how the work is cut, so it belongs to the job and not to the
    /// workers that happen to run it.
    #[serde(default = "graph::default_task_memory")]
    pub task_memory: ByteSize,
}

/// Walks from each vertex, unless said otherwise.
pub const WALKS: u32 = 100;
/// Most entries of a fingerprint, unless said otherwise.
pub const ENTRIES: u32 = 256;
/// Most entries that can be asked for.
pub const MAX_ENTRIES: u32 = 1 << 14;
/// Most visits of the walks from one vertex, on average: they are counted in memory.
pub const MAX_VISITS: u64 = 1 << 22;
/// L1 error bound of `ppr --index`, unless said otherwise: none to speak of, since what the index
/// adds is far better than what can be proven of it. [`EFFECTIVE_WALKS`] decides instead.
pub const INDEXED_TOL: f64 = 1.9;
/// Push goes on until fingerprints say as much about what is left as so many walks from the source
/// would: where RAG@200 passes 0.99 (PowerWalk, §5: 2000 walks and no decomposition).
pub const EFFECTIVE_WALKS: u32 = 2000;

/// Σr² of the residual r at which fingerprints of `walks` walks count as [`EFFECTIVE_WALKS`]: they
/// vary as Σr²/walks.
pub fn spread(walks: u32) -> f64 {
    f64::from(walks) / f64::from(EFFECTIVE_WALKS)
}

impl PprIndexSpec {
    /// Visits of the walks from one vertex, on average.
    pub fn visits(&self) -> u64 {
        (f64::from(self.walks) / (1.0 - self.damping)).ceil() as u64
    }

    pub(super) fn validate(&self) -> Result<()> {
        // There is neither a tolerance nor an iteration.
        graph::validate_iteration(self.damping, 1.0, 1)?;
        if self.dangling == Dangling::Uniform {
            return Err(Error::invalid_input(
                "an index serves walks from one source and cannot spread the mass of dangling \
                 vertices uniformly: use --dangling restart or self-loop",
            ));
        }
        if !(1..=MAX_ENTRIES).contains(&self.entries) {
            return Err(Error::invalid_input(format!(
                "--entries must lie between 1 and {MAX_ENTRIES}, not {}",
                self.entries
            )));
        }
        if self.walks == 0 || self.visits() > MAX_VISITS {
            return Err(Error::invalid_input(format!(
                "--walks must lie between 1 and {} with --damping {}, not {}",
                (MAX_VISITS as f64 * (1.0 - self.damping)) as u64,
                self.damping,
                self.walks
            )));
        }
        graph::validate_input(&self.input)
    }
}
