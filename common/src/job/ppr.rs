//! Personalized PageRank: parameters and validation.

use serde::{Deserialize, Serialize};

use super::graph::{self, Dangling};
use super::svd::Convergence;
use crate::input::InputSpec;
use crate::job::OutputSpec;
use crate::{ByteSize, Error, Result};

/// For each source, the stationary distribution of a walk that follows an edge with probability
/// `damping` and starts anew at the source otherwise; its largest scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PprSpec {
    /// The edges.
    pub input: InputSpec,
    /// Where the scores go.
    pub output: OutputSpec,
    /// Where walks start.
    pub seeds: Seeds,
    /// What to do with sources that are not in the graph.
    pub on_missing_source: OnMissingSource,
    /// Chance to follow an edge.
    pub damping: f64,
    /// Where the mass of vertices without out-edges goes.
    pub dangling: Dangling,
    /// L1 error bound of each source's scores at which to stop.
    pub tol: f64,
    /// Targets per source to keep.
    pub top_k: u32,
    /// How scores are found.
    pub method: PprMethod,
    /// An index of the graph that completes what `push` leaves.
    pub index: Option<String>,
    /// When `push` leaves a source.
    pub stop: Stop,
    /// Most iterations by `power`.
    pub max_iterations: u32,
    /// What happens when a source meets neither the tolerance nor a proven set of targets.
    pub convergence: Convergence,
    /// Bytes that one task may hold of the graph and of what it computes with: what does not fit is
    /// worked on in parts. Decides how the work is cut, so it belongs to the job and not to the
    /// workers that happen to run it.
    #[serde(default = "graph::default_task_memory")]
    pub task_memory: ByteSize,
}

/// Where walks start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seeds", rename_all = "snake_case")]
pub enum Seeds {
    /// Every vertex is a source.
    All,
    /// These vertices are, as people write their ids.
    Ids {
        /// In any order; each counts once.
        ids: Vec<String>,
    },
    /// The vertices of a Parquet column are.
    Sources {
        /// Parquet files, directories or globs, as URLs.
        paths: Vec<String>,
        /// The column; absent, it is the only one, or the one called `source`.
        column: Option<String>,
    },
    /// Each source is a weighted set of vertices: a Parquet table with a row per vertex of a set.
    Table {
        /// Parquet files, directories or globs, as URLs.
        paths: Vec<String>,
        /// Column of the sources' names, of any id type.
        source: String,
        /// Column of vertices.
        vertex: String,
        /// Column of positive weights, scaled to sum to one; absent, they are equal.
        weight: Option<String>,
    },
}

/// When `push` leaves a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// When its scores are within the tolerance.
    #[default]
    Bound,
    /// Already when its set of targets is proven: scores are then as good as its residual says.
    BoundOrProven,
}

/// What to do with sources that are not in the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissingSource {
    /// Refuse, naming the first ten.
    #[default]
    Error,
    /// Leave them out and count them.
    Skip,
}

/// How personalized PageRank is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PprMethod {
    /// Push, and power iteration of the sources for which the estimate says that push takes more.
    #[default]
    Auto,
    /// Power iteration on blocks of sources.
    Power,
    /// Forward push per source until the tolerance or the set of targets is proven.
    Push,
}

/// Most targets per source.
pub const MAX_TOP_K: u32 = 1 << 20;

impl PprMethod {
    /// The word that people write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Power => "power",
            Self::Push => "push",
        }
    }
}

impl PprSpec {
    /// The method to begin with. `Auto` stays where only pushing shows what is cheaper.
    pub fn chosen_method(&self) -> PprMethod {
        if self.index.is_some() {
            return PprMethod::Push;
        }
        match (self.method, self.dangling) {
            (PprMethod::Auto, Dangling::Uniform) => PprMethod::Power,
            (method, _) => method,
        }
    }

    /// Files with sources or seeds.
    pub fn seed_paths(&self) -> &[String] {
        match &self.seeds {
            Seeds::All | Seeds::Ids { .. } => &[],
            Seeds::Sources { paths, .. } | Seeds::Table { paths, .. } => paths,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        graph::validate_iteration(self.damping, self.tol, self.max_iterations)?;
        if !(1..=MAX_TOP_K).contains(&self.top_k) {
            return Err(Error::invalid_input(format!(
                "--top-k must lie between 1 and {MAX_TOP_K}, not {}",
                self.top_k
            )));
        }
        if self.method == PprMethod::Push && self.dangling == Dangling::Uniform {
            return Err(Error::invalid_input(
                "--method push follows edges from the source and cannot spread the mass of \
                 dangling vertices uniformly: use --method power, or --dangling restart or \
                 self-loop",
            ));
        }
        self.validate_index()?;
        match &self.seeds {
            Seeds::Ids { ids } if ids.is_empty() => {
                return Err(Error::invalid_input("--sources names no vertex"));
            }
            Seeds::Sources { paths, .. } | Seeds::Table { paths, .. } if paths.is_empty() => {
                return Err(Error::invalid_input("no file of sources was given"));
            }
            Seeds::All | Seeds::Ids { .. } | Seeds::Sources { .. } | Seeds::Table { .. } => {}
        }
        graph::validate_input(&self.input)
    }

    fn validate_index(&self) -> Result<()> {
        let reason = match (&self.index, self.method, self.dangling, self.stop) {
            (None, _, _, _) => return Ok(()),
            (Some(_), PprMethod::Power, _, _) => {
                "--index completes what push leaves: leave --method power out, or --index"
            }
            (Some(_), _, Dangling::Uniform, _) => {
                "no index is made with --dangling uniform: use restart or self-loop"
            }
            (Some(_), _, _, Stop::BoundOrProven) => {
                "--stop-when-proven is for scores that are proven without an index: leave it or \
                 --index out"
            }
            (
                Some(_),
                PprMethod::Auto | PprMethod::Push,
                Dangling::Restart | Dangling::SelfLoop,
                Stop::Bound,
            ) => return Ok(()),
        };
        Err(Error::invalid_input(reason))
    }
}
