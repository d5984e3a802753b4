//! `rankmill ppr-index`: from edges to fingerprints.

use super::job::run_job;
use crate::exit::Outcome;
use crate::job::{JobArgs, PprIndexArgs, RunArgs};

const EXAMPLES: &str = "\
Examples:
  rankmill ppr-index edges.parquet -o index
  rankmill ppr edges.parquet --sources users.parquet --index index -o out

The same flags for edges, --damping and --dangling are needed both times.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PprIndex {
    #[command(flatten)]
    args: PprIndexArgs,
    #[command(flatten, next_help_heading = "Running")]
    pub(crate) run: RunArgs,
}

impl PprIndex {
    pub(crate) fn execute(self) -> Outcome {
        run_job(JobArgs::PprIndex(Box::new(self.args)), &self.run)
    }
}
