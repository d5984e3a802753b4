//! Settings of a coordinator, as its TOML file holds them.

use rankmill_common::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::scheduler::Limits;

/// Settings; every field has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CoordinatorConfig {
    /// Milliseconds between a worker's heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds of silence after which a worker counts as lost.
    pub lease_ms: u64,
    /// Milliseconds between two heartbeats of the leader.
    pub leader_beat_ms: u64,
    /// Milliseconds without a heartbeat of the leader after which a standby takes over.
    pub takeover_ms: u64,
    /// Milliseconds without a written heartbeat after which a leader steps down.
    pub step_down_ms: u64,
    /// Milliseconds for which a worker's request for a task waits.
    pub poll_ms: u64,
    /// Failures of one task after which its job fails.
    pub task_failures: u32,
    /// Times that a store or network may be out of reach for one task before its job fails. The
    /// pauses between them grow to 30 s.
    pub transient_failures: u32,
    /// Workers that may die of one task before it is quarantined.
    pub lost_workers: usize,
    /// Milliseconds that workers of a quarantined task have to come back before its job fails.
    pub quarantine_ms: u64,
    /// Failures of one worker in one stage after which it gets no more tasks of it. After as many
    /// that no success has made up for it rests, for up to 30 s.
    pub worker_failures: u32,
    /// Seconds for which jobs wait for a worker before they fail.
    pub no_workers_seconds: u64,
    /// Milliseconds for which a task may run before it can count as a straggler, which another
    /// worker tries as well: one that takes three times as long as its like.
    pub straggler_ms: u64,
    /// Jobs that may run at once; more are refused.
    pub max_jobs: usize,
    /// Workers that may be registered at once; more are refused.
    pub max_workers: usize,
    /// Tasks that one stage may have; a job that needs more fails.
    pub max_tasks: usize,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 2_000,
            lease_ms: 15_000,
            leader_beat_ms: 2_000,
            takeover_ms: 15_000,
            step_down_ms: 10_000,
            poll_ms: 5_000,
            task_failures: 4,
            transient_failures: 20,
            lost_workers: 2,
            quarantine_ms: 60_000,
            worker_failures: 2,
            no_workers_seconds: 900,
            straggler_ms: 10_000,
            max_jobs: 64,
            max_workers: 4_096,
            max_tasks: 65_536,
        }
    }
}

impl CoordinatorConfig {
    /// Refuses settings under which a cluster would keep losing its members.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming the two settings that do not go together.
    pub fn validate(&self) -> Result<()> {
        let apart = |short: (&str, u64), long: (&str, u64)| {
            if short.1 > 0 && short.1.saturating_mul(3) <= long.1 {
                return Ok(());
            }
            Err(Error::invalid_input(format!(
                "{} = {} must be above 0 and at most a third of {} = {}: one late message would \
                 count as a death",
                short.0, short.1, long.0, long.1
            )))
        };
        apart(
            ("heartbeat-ms", self.heartbeat_ms),
            ("lease-ms", self.lease_ms),
        )?;
        apart(
            ("leader-beat-ms", self.leader_beat_ms),
            ("step-down-ms", self.step_down_ms),
        )?;
        apart(
            ("leader-beat-ms", self.leader_beat_ms),
            ("takeover-ms", self.takeover_ms),
        )?;
        for (name, value) in [
            ("task-failures", u64::from(self.task_failures)),
            ("transient-failures", u64::from(self.transient_failures)),
            ("lost-workers", self.lost_workers as u64),
            ("worker-failures", u64::from(self.worker_failures)),
            ("max-jobs", self.max_jobs as u64),
            ("max-workers", self.max_workers as u64),
            ("max-tasks", self.max_tasks as u64),
        ] {
            if value == 0 {
                return Err(Error::invalid_input(format!("{name} must be above 0")));
            }
        }
        Ok(())
    }

    /// The bounds that the scheduler keeps.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            lease_ms: self.lease_ms,
            poll_ms: self.poll_ms,
            task_failures: self.task_failures,
            transient_failures: self.transient_failures,
            quarantine_ms: self.quarantine_ms,
            lost_workers: self.lost_workers,
            worker_failures: self.worker_failures,
            no_workers_ms: self.no_workers_seconds.saturating_mul(1_000),
            straggler_ms: self.straggler_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(CoordinatorConfig::default().validate(), Ok(()));
    }

    #[test]
    fn a_lease_shorter_than_three_heartbeats_is_refused() {
        let config = CoordinatorConfig {
            lease_ms: 5_000,
            ..CoordinatorConfig::default()
        };
        let error = config.validate().expect_err("too short");
        assert!(error.message.contains("heartbeat-ms"), "{error}");
    }
}
