//! `rankmill ppr`: from edges and sources to each source's best targets.

use super::job::run_job;
use crate::exit::Outcome;
use crate::job::{JobArgs, PprArgs, RunArgs};

const EXAMPLES: &str = "\
Examples:
  rankmill ppr edges.parquet --sources 17,42 --top-k 10 -o out
  rankmill ppr edges/ --src from --dst to --sources users.parquet --method push -o out
  rankmill ppr edges.parquet --sources all --top-k 50 -o s3://bucket/ppr
  rankmill ppr edges.parquet --sources all --index index -o out   # see ppr-index
  rankmill ppr edges.parquet --seeds seeds.parquet -o out   # source, vertex, weight

A run that was stopped continues with the same command.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ppr {
    #[command(flatten)]
    args: PprArgs,
    #[command(flatten, next_help_heading = "Running")]
    pub(crate) run: RunArgs,
}

impl Ppr {
    pub(crate) fn execute(self) -> Outcome {
        run_job(JobArgs::Ppr(Box::new(self.args)), &self.run)
    }
}
