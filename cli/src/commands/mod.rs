//! The subcommands, one file each.

mod coordinator;
#[cfg(test)]
mod deploy_tests;
mod doctor;
mod estimate;
mod generate;
mod health;
mod import;
mod job;
mod jobs;
mod page_rank;
mod ppr;
mod ppr_index;
mod run;
pub(crate) mod show;
mod svd;
mod worker;

use std::future::Future;

use rankmill_common::Error;

use crate::exit::{Format, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Factorize a matrix: truncated SVD, or PCA with --center
    Svd(Box<svd::Svd>),
    /// Score the vertices of a graph: PageRank, with a proven error
    #[command(name = "pagerank")]
    PageRank(Box<page_rank::PageRank>),
    /// Rank the vertices of a graph for each of many sources: personalized PageRank
    Ppr(Box<ppr::Ppr>),
    /// Walk from every vertex of a graph: an index that makes `ppr` of many sources fast
    PprIndex(Box<ppr_index::PprIndex>),
    /// Run the job that a file describes
    Run(run::Run),
    /// Say what a job would need, before it runs
    Estimate(estimate::Estimate),
    /// Show what is in a result: spectrum or scores, error bounds, files
    Show(show::Show),
    /// Serve jobs: accept them and hand their tasks to workers
    Coordinator(coordinator::CoordinatorArgs),
    /// Work for a coordinator
    Worker(worker::Worker),
    /// Ask whether a coordinator answers, and whether it leads
    Health(health::Health),
    /// List, show, watch or cancel the jobs of a coordinator
    Jobs(jobs::Jobs),
    /// Try whether a store keeps what rankmill relies on
    Doctor(doctor::Doctor),
    /// Make test inputs of any size
    Generate(generate::Generate),
    /// Turn other formats into Parquet
    Import(import::Import),
}

impl Command {
    /// How its answer, or its error, is written.
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Svd(command) => command.run.format(),
            Self::PageRank(command) => command.run.format(),
            Self::Ppr(command) => command.run.format(),
            Self::PprIndex(command) => command.run.format(),
            Self::Run(command) => command.run.format(),
            Self::Estimate(command) => command.format(),
            Self::Show(command) => Format::json_if(command.json),
            Self::Jobs(command) => command.format(),
            Self::Doctor(command) => command.format(),
            Self::Coordinator(_)
            | Self::Worker(_)
            | Self::Health(_)
            | Self::Generate(_)
            | Self::Import(_) => Format::Text,
        }
    }

    pub(crate) fn execute(self) -> Outcome {
        match self {
            Self::Svd(command) => command.execute(),
            Self::PageRank(command) => command.execute(),
            Self::Ppr(command) => command.execute(),
            Self::PprIndex(command) => command.execute(),
            Self::Run(command) => command.execute(),
            Self::Estimate(command) => command.execute(),
            Self::Show(command) => command.execute(),
            Self::Coordinator(command) => command.execute(),
            Self::Worker(command) => command.execute(),
            Self::Health(command) => command.execute(),
            Self::Jobs(command) => command.execute(),
            Self::Doctor(command) => command.execute(),
            Self::Generate(command) => command.execute(),
            Self::Import(command) => command.execute(),
        }
    }
}

/// How long threads for files stay without work: a task may need one when the system refuses more.
const THREADS_STAY: std::time::Duration = std::time::Duration::from_hours(24);

/// Runs `work` on a tokio runtime of this command's own.
fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(THREADS_STAY)
        .build()
        .map_err(|e| Error::internal(format!("cannot start the runtime: {e}")))?;
    let outcome = runtime.block_on(work);
    // A task that does not end (a stuck disk) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome
}
