//! Flags that say where and how a job runs, not what it computes.

use rankmill_common::ByteSize;
use rankmill_common::job::graph::defaults;
use serde::Deserialize;

use crate::exit::{Failure, Format, Outcome};
use crate::machine;

/// Where the job runs and how the answer is shown.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) keys: RunKeys,
    /// Print the job's id and return; with --coordinator
    #[arg(long)]
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=machine::MOST_THREADS))]
    pub(crate) threads: Option<u32>,
    /// Memory that the run may use here, e.g. 8GiB [default: half of the machine's]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Directory for blocks and the log of runs here [default: $RANKMILL_STATE, else
    /// ~/.cache/rankmill]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<String>,
    /// Write every matrix before the next task reads it, instead of behind it: a run here that is
    /// killed repeats a second or two less of its work, and every run takes longer
    #[arg(long, conflicts_with = "coordinator")]
    #[serde(alias = "write-through")]
    pub(crate) write_through: bool,
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

    /// Bytes that one task of a run here may hold.
    pub(crate) fn task_memory(&self) -> ByteSize {
        self.memory
            .unwrap_or_else(|| default_task_memory(machine::default_memory()))
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
            write_through: self.keys.write_through || file.write_through,
            coordinator: self.keys.coordinator.or(file.coordinator),
        };
        Self { keys, ..self }
    }

    /// Refuses flags that would be ignored, once a job file's keys are among them.
    pub(crate) fn check(&self) -> Outcome {
        let possible = 1..=machine::MOST_THREADS;
        if let Some(threads) = self.keys.threads
            && !possible.contains(&i64::from(threads))
        {
            return Err(Failure::usage(format!(
                "--threads is {threads}: from 1 to {} are possible",
                possible.end()
            )));
        }
        let Some(coordinator) = &self.keys.coordinator else {
            if self.detach {
                return Err(Failure::usage(
                    "--detach needs a --coordinator: a run here ends with its command",
                ));
            }
            return Ok(());
        };
        let ours = [
            ("--threads", self.keys.threads.is_some()),
            ("--memory", self.keys.memory.is_some()),
            ("--write-through", self.keys.write_through),
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

/// The same on as many machines as possible, since results of parts depend on it: less than the
/// usual only where a machine has less, and then a power of two.
fn default_task_memory(machine: ByteSize) -> ByteSize {
    if machine >= defaults::TASK_MEMORY {
        return defaults::TASK_MEMORY;
    }
    ByteSize(1 << machine.0.max(1).ilog2())
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
    fn who_detaches_leaves_the_job_to_a_coordinator() {
        let detached = RunArgs {
            detach: true,
            ..RunArgs::default()
        };
        let refused = detached.clone().check();
        assert!(matches!(refused, Err(Failure::Usage(text)) if text.contains("--coordinator")));
        let file = RunKeys {
            coordinator: Some("http://host:7070".to_owned()),
            ..RunKeys::default()
        };
        assert!(detached.or(file).check().is_ok());
    }

    #[test]
    fn tasks_may_hold_the_same_on_most_machines() {
        assert_eq!(
            default_task_memory(ByteSize(40 << 30)),
            defaults::TASK_MEMORY
        );
        assert_eq!(
            default_task_memory(ByteSize((4 << 30) + 77)),
            ByteSize(4 << 30)
        );
        let said = RunKeys {
            memory: Some(ByteSize(12_345_678)),
            ..RunKeys::default()
        };
        assert_eq!(said.task_memory(), ByteSize(12_345_678));
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
