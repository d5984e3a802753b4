//! The flags of `rankmill ppr-index`, raw, and what they mean.

use rankmill_common::job::ppr_index::{ENTRIES, WALKS};
use rankmill_common::job::{JobSpec, PprIndexSpec};
use serde::Deserialize;

use super::graph_args::GraphArgs;
use crate::exit::{Failure, Outcome};

/// Which graph, how many walks, and where the fingerprints go.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default)]
pub(crate) struct PprIndexArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) graph: GraphArgs,

    /// Walks from each vertex [default: 100]
    #[arg(long, value_name = "R")]
    pub(crate) walks: Option<u32>,
    /// Most entries of a vertex's fingerprint [default: 256]
    #[arg(long, value_name = "N")]
    pub(crate) entries: Option<u32>,
    /// Seed of the random numbers [default: 0]
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
}

impl PprIndexArgs {
    /// What runs. Reads nothing.
    pub(crate) fn into_spec(self) -> Outcome<JobSpec> {
        let graph = &self.graph;
        if graph.tol.is_some() || graph.max_iterations.is_some() || graph.strict {
            return Err(Failure::usage(
                "--tol, --max-iterations and --strict mean nothing for an index: its walks are \
                 as many as --walks says",
            ));
        }
        let (job, _) = graph.job(&[])?;
        let spec = JobSpec::PprIndex(PprIndexSpec {
            input: job.input,
            output: job.output,
            damping: job.damping,
            dangling: job.dangling,
            walks: self.walks.unwrap_or(WALKS),
            entries: self.entries.unwrap_or(ENTRIES),
            seed: self.seed.unwrap_or(0),
            task_memory: job.task_memory,
        });
        spec.validate()?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut PprIndexArgs)) -> String {
        let mut args = PprIndexArgs {
            graph: GraphArgs {
                input: vec!["/edges.parquet".to_owned()],
                output: Some("/out".to_owned()),
                ..GraphArgs::default()
            },
            ..PprIndexArgs::default()
        };
        assert!(args.clone().into_spec().is_ok());
        change(&mut args);
        match args.into_spec() {
            Err(Failure::Usage(text)) => text,
            Err(Failure::Failed(error)) => error.message,
            Ok(_) | Err(Failure::Interrupted(_)) => panic!("it was not refused"),
        }
    }

    #[test]
    fn what_no_index_can_have_is_named() {
        assert!(refused(|args| args.walks = Some(0)).contains("--walks"));
        assert!(refused(|args| args.entries = Some(0)).contains("--entries"));
        assert!(refused(|args| args.graph.tol = Some(0.1)).contains("--tol"));
        let visits = refused(|args| args.graph.damping = Some(0.999_999_999));
        assert!(visits.contains("--walks"), "{visits}");
        let uniform = rankmill_common::job::graph::Dangling::Uniform;
        assert!(refused(|args| args.graph.dangling = Some(uniform)).contains("--dangling"));
    }
}
