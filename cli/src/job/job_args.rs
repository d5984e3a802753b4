//! The raw flags of any job.

use rankmill_common::ByteSize;
use rankmill_common::job::JobSpec;

use super::graph_args::GraphArgs;
use super::{PageRankArgs, PprArgs, PprIndexArgs, SvdArgs};
use crate::exit::Outcome;

/// What a person asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobArgs {
    /// `rankmill svd`.
    Svd(Box<SvdArgs>),
    /// `rankmill pagerank`.
    PageRank(Box<PageRankArgs>),
    /// `rankmill ppr`.
    Ppr(Box<PprArgs>),
    /// `rankmill ppr-index`.
    PprIndex(Box<PprIndexArgs>),
}

impl JobArgs {
    /// What runs.
    pub(crate) fn into_spec(self) -> Outcome<JobSpec> {
        match self {
            Self::Svd(args) => args.into_spec(),
            Self::PageRank(args) => args.into_spec(),
            Self::Ppr(args) => args.into_spec(),
            Self::PprIndex(args) => args.into_spec(),
        }
    }

    /// Where the result goes.
    pub(crate) fn output_mut(&mut self) -> &mut Option<String> {
        match self {
            Self::Svd(args) => &mut args.output,
            Self::PageRank(args) => &mut args.graph.output,
            Self::Ppr(args) => &mut args.graph.output,
            Self::PprIndex(args) => &mut args.graph.output,
        }
    }

    /// Bytes that a task may hold where nothing was said; jobs that are not on graphs have no say.
    pub(crate) fn default_task_memory(&mut self, bytes: ByteSize) {
        match self {
            Self::Svd(_) => {}
            Self::PageRank(args) => fill(&mut args.graph, bytes),
            Self::Ppr(args) => fill(&mut args.graph, bytes),
            Self::PprIndex(args) => fill(&mut args.graph, bytes),
        }
    }

    /// Allows a finished result to be replaced.
    pub(crate) fn allow_overwrite(&mut self) {
        match self {
            Self::Svd(args) => args.overwrite = true,
            Self::PageRank(args) => args.graph.overwrite = true,
            Self::Ppr(args) => args.graph.overwrite = true,
            Self::PprIndex(args) => args.graph.overwrite = true,
        }
    }
}

fn fill(graph: &mut GraphArgs, bytes: ByteSize) {
    graph.task_memory.get_or_insert(bytes);
}
