//! `rankmill worker`: works for a coordinator until it is told to stop.

use std::path::PathBuf;

use rankmill_common::ByteSize;
use rankmill_worker::WorkerConfig;

use super::block_on;
use crate::exit::Outcome;
use crate::text::{counted, tell};
use crate::{client, interrupt, machine};

/// Leases tasks from a coordinator and runs them. SIGTERM or Ctrl-C: finishes what runs, gives
/// the rest back and ends; a second one ends at once.
#[derive(clap::Args)]
pub(crate) struct Worker {
    /// Where the coordinator listens, e.g. http://host:7070; several with commas: whichever leads
    #[arg(long, value_name = "URL", env = "RANKMILL_COORDINATOR")]
    coordinator: String,
    /// Threads for computing [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=machine::MOST_THREADS))]
    threads: Option<u32>,
    /// Memory that tasks may use, e.g. 8GiB [default: half of the machine's]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Directory for copies of remote blocks [default: none are kept on disk]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Most that the copies may take; the oldest go first
    #[arg(long, value_name = "SIZE", default_value = "64GiB", requires = "cache")]
    cache_size: ByteSize,
}

impl Worker {
    pub(crate) fn execute(self) -> Outcome {
        block_on(async {
            let channel = client::dial(&self.coordinator)?;
            let config = WorkerConfig {
                hand_over: None,
                threads: self
                    .threads
                    .map_or_else(machine::default_threads, |threads| threads as usize),
                memory: self.memory.unwrap_or_else(machine::default_memory),
                cache: self.cache,
                cache_size: self.cache_size,
                host: machine::host(),
            };
            tell(format_args!(
                "worker on {}: {}, {} of memory, for {}",
                config.host,
                counted(config.threads as u64, "thread"),
                config.memory,
                self.coordinator
            ));
            let drained = async {
                interrupt::requested().await;
                tell("finishing what runs (again: stop at once)");
            };
            rankmill_worker::run(channel, config, drained).await?;
            tell("worker ended");
            Ok(())
        })
    }
}
