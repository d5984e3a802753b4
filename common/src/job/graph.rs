//! What all jobs on graphs share: damping, dangling mass, tolerances and the bound behind them.

use serde::{Deserialize, Serialize};

use crate::input::{Ids, InputSpec, Layout};
use crate::{ByteSize, Error, Result};

/// Where a walk goes from a vertex without out-edges. In each case scores sum to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dangling {
    /// To where walks start: a uniform vertex for PageRank, the source for personalized PageRank.
    #[default]
    Restart,
    /// To a uniform vertex.
    Uniform,
    /// It stays.
    SelfLoop,
}

impl Dangling {
    /// The word that people write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Uniform => "uniform",
            Self::SelfLoop => "self-loop",
        }
    }
}

/// Defaults, in one place for the command line, job files and documentation.
pub mod defaults {
    use crate::ByteSize;

    /// Bytes that one task may hold: its part of the graph and what it computes with.
    pub const TASK_MEMORY: ByteSize = ByteSize(8 << 30);
    /// Chance to follow an edge.
    pub const DAMPING: f64 = 0.85;
    /// L1 error bound of PageRank.
    pub const TOL: f64 = 1e-6;
    /// L1 error bound of personalized PageRank.
    pub const PERSONAL_TOL: f64 = 1e-4;
    /// Most iterations.
    pub const MAX_ITERATIONS: u32 = 1000;
}

/// What specifications of an earlier version stand for.
pub(super) fn default_task_memory() -> ByteSize {
    defaults::TASK_MEMORY
}

/// Bounds ‖x − x*‖₁ of an iterate x = F(y) + ε by ‖F(y) − y‖₁ (`change`) and ‖ε‖₁ (`rounding`),
/// where F contracts by `damping`: ‖F(y) − x*‖ ≤ d·‖y − x*‖ ≤ d/(1−d)·‖F(y) − y‖.
pub fn error_bound(damping: f64, change: f64, rounding: f64) -> f64 {
    (damping * (change + rounding)) / (1.0 - damping) + rounding
}

pub(super) fn validate_input(input: &InputSpec) -> Result<()> {
    if input.paths.is_empty() {
        return Err(Error::invalid_input("no input was given"));
    }
    let layout = match &input.layout {
        Layout::Graph(layout) => layout,
        Layout::Sparse(_) | Layout::Dense(_) => {
            return Err(Error::invalid_input(
                "this job reads edges: name their columns with --src and --dst",
            ));
        }
    };
    let mut names = vec![&layout.src, &layout.dst];
    names.extend(&layout.weight);
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid_input(
            "--src, --dst and --weight must name different columns",
        ));
    }
    match layout.ids {
        Ids::Dense {
            shape: Some((nrows, ncols)),
        } if nrows == 0 && ncols == 0 => Err(Error::invalid_input(
            "--vertices is 0; a graph has at least one",
        )),
        Ids::Dense {
            shape: Some((nrows, ncols)),
        } if nrows != ncols => Err(Error::invalid_input(format!(
            "a graph's matrix is square, not {nrows}×{ncols}"
        ))),
        Ids::Dense { .. } | Ids::Dictionary => Ok(()),
    }
}

pub(super) fn validate_iteration(damping: f64, tol: f64, max_iterations: u32) -> Result<()> {
    if !(damping > 0.0 && damping < 1.0) {
        return Err(Error::invalid_input(format!(
            "--damping is the chance to follow an edge and must lie between 0 and 1, not \
             {damping} (--restart-prob is its complement)"
        )));
    }
    if !(tol > 0.0 && tol < 2.0) {
        return Err(Error::invalid_input(format!(
            "--tol is an L1 distance between scores that sum to 1; it must lie between 0 and 2, \
             not {tol}"
        )));
    }
    if max_iterations == 0 {
        return Err(Error::invalid_input("--max-iterations must be at least 1"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_geometric_tail_of_the_changes() {
        let tail: f64 = (1..500).map(|k| 0.85_f64.powi(k)).sum();
        assert!((error_bound(0.85, 1.0, 0.0) - tail).abs() < 1e-12);
        assert!(error_bound(0.85, 0.0, 1e-9) > 6.66e-9);
    }

    #[test]
    fn damping_is_a_probability_and_says_so() {
        for wrong in [0.0, 1.0, -0.1, 1.5, f64::NAN] {
            let error = validate_iteration(wrong, 1e-6, 10).expect_err("refused");
            assert!(error.message.contains("--damping"), "{error}");
        }
        assert!(validate_iteration(0.85, 1e-6, 10).is_ok());
    }
}
