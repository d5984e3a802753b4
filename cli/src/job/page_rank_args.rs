//! The flags of `rankmill pagerank`, raw, and what they mean.

use rankmill_common::job::graph::defaults;
use rankmill_common::job::{JobSpec, PageRankSpec};
use serde::Deserialize;

use super::graph_args::GraphArgs;
use crate::exit::Outcome;

/// Which graph, how walks go along it, and where the scores go.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default)]
pub(crate) struct PageRankArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) graph: GraphArgs,
}

impl PageRankArgs {
    /// What runs. Reads nothing.
    pub(crate) fn into_spec(self) -> Outcome<JobSpec> {
        let (job, _) = self.graph.job(&[])?;
        let spec = JobSpec::PageRank(PageRankSpec {
            input: job.input,
            output: job.output,
            damping: job.damping,
            dangling: job.dangling,
            tol: self.graph.tol.unwrap_or(defaults::TOL),
            max_iterations: job.max_iterations,
            convergence: job.convergence,
            task_memory: job.task_memory,
        });
        spec.validate()?;
        Ok(spec)
    }
}
