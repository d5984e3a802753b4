//! Flags that say where and how a job runs, not what it computes.

use rankmill_common::ByteSize;
use serde::Deserialize;

use crate::exit::{Failure, Format, Outcome};
use crate::machine;

/// Where the job runs and how the answer is shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) keys: RunKeys,
    /// Print the job's id and return; with --coordinator
    #[arg(long, requires = "coordinator")]
    pub(crate) detach: bool,
    /// One JSON object on stdout, no progress
    #[arg(long)]
    pub(crate) json: bool,
    /// Show afterwards what the time went into: time, bytes and flops per stage and, for a run
    /// here, what this machine can do at best
    #[arg(long, conflicts_with = "detach")]
    pub(crate) profile: bool,
}

/// The part of [`RunArgs`] that a job file may hold.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default)]
pub(crate) struct RunKeys {
    /// Threads for computing here [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: Option<u32>,
    /// Memory that the run may use here, e.g. 8GiB [default: half of the machine's]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Directory for blocks and the log of runs here [default: $RANKMILL_STATE, else
    /// ~/.cache/rankmill]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<String>,
    /// Submit to this coordinator instead of running here, e.g. http://host:7070; several
    /// with commas: whichever leads
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: Option<String>,
}

/// What to show of a finished job's stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Nothing.
    Hidden,
    /// A table of them.
    Stages,
    /// And the limits of this machine with so many threads.
    StagesAndLimits {
        /// Threads for computing.
        threads: usize,
    },
}

impl RunKeys {
    /// Threads for computing here.
    pub(crate) fn threads(&self) -> usize {
        self.threads
            .map_or_else(machine::default_threads, |threads| threads as usize)
    }
}

impl RunArgs {
    pub(crate) fn format(&self) -> Format {
        Format::json_if(self.json)
    }

    /// What to show of the job's stages.
    pub(crate) fn profile(&self) -> Profile {
        match (self.profile, &self.keys.coordinator) {
            (false, _) => Profile::Hidden,
            (true, Some(_)) => Profile::Stages,
            (true, None) => Profile::StagesAndLimits {
                threads: self.keys.threads(),
            },
        }
    }

    /// The same flags, with a job file's keys where the command line is silent.
    pub(crate) fn or(self, file: RunKeys) -> Self {
        let keys = RunKeys {
            threads: self.keys.threads.or(file.threads),
            memory: self.keys.memory.or(file.memory),
            state: self.keys.state.or(file.state),
            coordinator: self.keys.coordinator.or(file.coordinator),
        };
        Self { keys, ..self }
    }

    /// Refuses flags that would be ignored.
    pub(crate) fn check(&self) -> Outcome {
        if self.keys.threads == Some(0) {
            return Err(Failure::usage("--threads must be at least 1"));
        }
        let Some(coordinator) = &self.keys.coordinator else {
            return Ok(());
        };
        let ours = [
            ("--threads", self.keys.threads.is_some()),
            ("--memory", self.keys.memory.is_some()),
            ("--state", self.keys.state.is_some()),
        ];
        match ours.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::usage(format!(
                "{flag} is about a run here, but the job goes to the coordinator {coordinator}: \
                 leave one of them out"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_job_file() {
        let flags = RunArgs {
            keys: RunKeys {
                threads: Some(2),
                ..RunKeys::default()
            },
            ..RunArgs::default()
        };
        let file = RunKeys {
            threads: Some(8),
            memory: Some(ByteSize(1 << 30)),
            ..RunKeys::default()
        };
        let merged = flags.or(file).keys;
        assert_eq!(merged.threads, Some(2));
        assert_eq!(merged.memory, Some(ByteSize(1 << 30)));
    }

    #[test]
    fn nothing_is_ignored_on_the_way_to_a_coordinator() {
        let args = RunArgs {
            keys: RunKeys {
                memory: Some(ByteSize(1)),
                coordinator: Some("http://host:7070".to_owned()),
                ..RunKeys::default()
            },
            ..RunArgs::default()
        };
        assert!(matches!(args.check(), Err(Failure::Usage(text)) if text.contains("--memory")));
    }
}
