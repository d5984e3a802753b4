//! `rankmill svd`: from flags to a finished factorization.

use super::job::run_job;
use crate::exit::Outcome;
use crate::job::{JobArgs, RunArgs, SvdArgs};

const EXAMPLES: &str = "\
Examples:
  rankmill svd ratings.parquet --row user --col item --value rating -k 64 -o out
  rankmill svd clicks/ --row user --col item --transform bm25 -k 128 -o s3://bucket/factors
  rankmill svd docs.parquet --id doc --vector embedding --center -k 64 -o pca

A run that was stopped continues with the same command.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Svd {
    #[command(flatten)]
    svd: SvdArgs,
    #[command(flatten, next_help_heading = "Running")]
    pub(crate) run: RunArgs,
}

impl Svd {
    pub(crate) fn execute(self) -> Outcome {
        run_job(JobArgs::Svd(Box::new(self.svd)), &self.run)
    }
}
