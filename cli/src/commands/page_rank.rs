//! `rankmill pagerank`: from edges to scores.

use super::job::run_job;
use crate::exit::Outcome;
use crate::job::{JobArgs, PageRankArgs, RunArgs};

const EXAMPLES: &str = "\
Examples:
  rankmill pagerank edges.parquet --src src --dst dst -o out
  rankmill pagerank s3://bucket/edges/ --src from --dst to --weight w --tol 1e-8 -o s3://bucket/pr
  rankmill pagerank friends.parquet --src a --dst b --undirected --restart-prob 0.2 -o out

A run that was stopped continues with the same command.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PageRank {
    #[command(flatten)]
    args: PageRankArgs,
    #[command(flatten, next_help_heading = "Running")]
    pub(crate) run: RunArgs,
}

impl PageRank {
    pub(crate) fn execute(self) -> Outcome {
        run_job(JobArgs::PageRank(Box::new(self.args)), &self.run)
    }
}
