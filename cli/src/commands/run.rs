//! `rankmill run`: the job that a file describes.

use std::path::PathBuf;

use super::job::run_job;
use crate::exit::Outcome;
use crate::job::{JobFile, RunArgs};

const EXAMPLE: &str = "\
A job file holds the flags of the subcommand as keys:
  job = \"svd\"
  input = [\"ratings/\"]        # a string or a list; paths count from the current directory
  row = \"user\"
  col = \"item\"
  value = \"rating\"
  k = 64
  output = \"s3://bucket/factors\"
or, with job = \"pagerank\", \"ppr\" or \"ppr-index\":
  job = \"ppr\"
  input = \"edges/\"
  sources = \"all\"
  top_k = 50
  output = \"out\"";

#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Run {
    /// The job file (TOML)
    #[arg(value_name = "JOB.toml")]
    file: PathBuf,
    /// Replace a finished result
    #[arg(long)]
    overwrite: bool,
    #[command(flatten, next_help_heading = "Running")]
    pub(crate) run: RunArgs,
}

impl Run {
    pub(crate) fn execute(self) -> Outcome {
        let JobFile { mut job, run } = JobFile::read(&self.file)?;
        if self.overwrite {
            job.allow_overwrite();
        }
        run_job(job, &self.run.or(run))
    }
}
