//! Flags that all jobs on graphs share, raw.

use rankmill_common::ByteSize;
use rankmill_common::input::{
    Duplicates, EdgeDirection, GraphLayout, Ids, InputSpec, Layout, OnBadRow,
};
use rankmill_common::job::OutputSpec;
use rankmill_common::job::graph::{Dangling, defaults};
use rankmill_common::job::svd::Convergence;
use serde::Deserialize;

use super::places::Places;
use super::words::{IdKind, one_or_many, word};
use crate::exit::{Failure, Outcome};

/// Which edges, how walks go along them, and where the result goes.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct GraphArgs {
    /// Parquet files, directories or globs of edges: paths or file://, s3://, gs://, az:// URLs
    #[arg(value_name = "EDGES")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) input: Vec<String>,
    /// Directory or URL prefix for the result
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<String>,
    /// Replace a finished result in OUT
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Column of the vertex that an edge leaves: integer, string or binary [default: src]
    #[arg(long, value_name = "COL", help_heading = "Edges")]
    pub(crate) src: Option<String>,
    /// Column of the vertex that an edge enters, of the same type [default: dst]
    #[arg(long, value_name = "COL", help_heading = "Edges")]
    pub(crate) dst: Option<String>,
    /// Column of positive weights [default: every edge weighs one]
    #[arg(long, value_name = "COL", help_heading = "Edges")]
    pub(crate) weight: Option<String>,
    /// Follow each edge both ways
    #[arg(long, help_heading = "Edges")]
    pub(crate) undirected: bool,
    /// What ids are: any keys, or indices 0, 1, 2, … already [default: keys]
    #[arg(long, value_name = "KIND", help_heading = "Edges")]
    pub(crate) ids: Option<IdKind>,
    /// Number of vertices, with --ids dense [default: as many as the largest index asks for]
    #[arg(long, value_name = "N", help_heading = "Edges")]
    pub(crate) vertices: Option<u64>,
    /// Parallel edges: sum, max, last, error [default: sum]
    #[arg(long, value_name = "HOW", value_parser = word::<Duplicates>, help_heading = "Edges")]
    pub(crate) duplicates: Option<Duplicates>,
    /// An input row with a null, NaN or infinity: error, skip [default: error]
    #[arg(long, value_name = "WHAT", value_parser = word::<OnBadRow>, help_heading = "Edges")]
    #[serde(alias = "on_bad_row")]
    pub(crate) on_bad_row: Option<OnBadRow>,

    /// Chance to follow an edge rather than start anew [default: 0.85]
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    pub(crate) damping: Option<f64>,
    /// Chance to start anew, 1 − damping; instead of --damping
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    #[serde(alias = "restart_prob")]
    pub(crate) restart_prob: Option<f64>,
    /// Refused: some call the damping so and some its complement
    #[arg(long, hide = true, allow_negative_numbers = true)]
    pub(crate) alpha: Option<f64>,
    /// Where walks go from a vertex without out-edges: restart, uniform, self-loop
    /// [default: restart]
    #[arg(long, value_name = "WHERE", value_parser = word::<Dangling>)]
    pub(crate) dangling: Option<Dangling>,
    /// L1 distance from the exact scores, which sum to 1, at which to stop
    /// [default: 1e-6 for pagerank, 1e-4 for ppr]
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    pub(crate) tol: Option<f64>,
    /// Most iterations [default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(alias = "max_iterations")]
    pub(crate) max_iterations: Option<u32>,
    /// Bytes that one task may hold of the graph and of what it computes with; what does not fit is
    /// worked on in parts [default: --memory for runs here, else 8GiB]
    #[arg(long, value_name = "SIZE")]
    #[serde(alias = "task_memory")]
    pub(crate) task_memory: Option<ByteSize>,
    /// Exit with 8 if the tolerance is not met (the result is written all the same)
    #[arg(long)]
    pub(crate) strict: bool,
}

/// What [`GraphArgs`] say, apart from the tolerance.
pub(super) struct GraphJob {
    pub(super) input: InputSpec,
    pub(super) output: OutputSpec,
    pub(super) damping: f64,
    pub(super) dangling: Dangling,
    pub(super) max_iterations: u32,
    pub(super) convergence: Convergence,
    pub(super) task_memory: ByteSize,
}

impl GraphArgs {
    /// What runs; `more` are files that the job reads besides the edges.
    pub(super) fn job(&self, more: &[String]) -> Outcome<(GraphJob, Vec<String>)> {
        if self.input.is_empty() {
            return Err(Failure::usage(
                "no EDGES: name Parquet files, directories or globs",
            ));
        }
        let damping = self.damping()?;
        let layout = Layout::Graph(self.layout()?);
        let paths: Vec<String> = self.input.iter().chain(more).cloned().collect();
        let mut places = Places::of(&paths, self.output.as_deref(), self.overwrite)?;
        let more = places.inputs.split_off(self.input.len());
        let job = GraphJob {
            input: InputSpec {
                paths: places.inputs,
                layout,
                on_bad_row: self.on_bad_row.unwrap_or_default(),
            },
            output: places.output,
            damping,
            dangling: self.dangling.unwrap_or_default(),
            max_iterations: self.max_iterations.unwrap_or(defaults::MAX_ITERATIONS),
            convergence: if self.strict {
                Convergence::Require
            } else {
                Convergence::Report
            },
            task_memory: self.task_memory.unwrap_or(defaults::TASK_MEMORY),
        };
        Ok((job, more))
    }

    fn damping(&self) -> Outcome<f64> {
        if let Some(alpha) = self.alpha {
            return Err(Failure::usage(format!(
                "--alpha has two meanings: write --damping {alpha} for the chance to follow an \
                 edge (networkx, igraph), or --restart-prob {alpha} for the chance to start anew \
                 (PyG, DGL, most papers)"
            )));
        }
        match (self.damping, self.restart_prob) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "--restart-prob is 1 − --damping: give one of them",
            )),
            (Some(damping), None) => Ok(damping),
            (None, Some(restart)) => Ok(1.0 - restart),
            (None, None) => Ok(defaults::DAMPING),
        }
    }

    fn layout(&self) -> Outcome<GraphLayout> {
        let ids = match (self.ids, self.vertices) {
            (Some(IdKind::Dense), count) => Ids::Dense {
                shape: count.map(|count| (count, count)),
            },
            (None | Some(IdKind::Keys), None) => Ids::Dictionary,
            (None | Some(IdKind::Keys), Some(_)) => {
                return Err(Failure::usage(
                    "--vertices needs --ids dense: with other ids there are as many vertices as \
                     distinct ids",
                ));
            }
        };
        let column =
            |given: &Option<String>, name: &str| given.clone().unwrap_or_else(|| name.to_owned());
        Ok(GraphLayout {
            src: column(&self.src, "src"),
            dst: column(&self.dst, "dst"),
            weight: self.weight.clone(),
            ids,
            duplicates: self.duplicates.unwrap_or_default(),
            edges: if self.undirected {
                EdgeDirection::Undirected
            } else {
                EdgeDirection::Directed
            },
        })
    }
}
