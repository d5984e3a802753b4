//! PageRank: parameters and validation.

use serde::{Deserialize, Serialize};

use super::graph::{self, Dangling};
use super::svd::Convergence;
use crate::input::InputSpec;
use crate::job::OutputSpec;
use crate::{ByteSize, Result};

/// The stationary distribution of a walk that follows an edge with probability `damping` and
/// starts anew at a uniform vertex otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRankSpec {
    /// The edges.
    pub input: InputSpec,
    /// Where the scores go.
    pub output: OutputSpec,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where the mass of vertices without out-edges goes.
    pub dangling: Dangling,
    /// The iteration stops when ‖x − exact‖₁ is proven to be at most this.
    pub tol: f64,
    /// Most iterations.
    pub max_iterations: u32,
    /// What happens when the tolerance is not met within `max_iterations`.
    pub convergence: Convergence,
    /// Bytes that one task may hold of the graph and of what it computes with: what does not fit is
    /// worked on in parts. Decides how the work is cut, so it belongs to the job and not to the
    /// workers that happen to run it.
    #[serde(default = "graph::default_task_memory")]
    pub task_memory: ByteSize,
}

impl PageRankSpec {
    pub(super) fn validate(&self) -> Result<()> {
        graph::validate_iteration(self.damping, self.tol, self.max_iterations)?;
        graph::validate_input(&self.input)
    }
}
