//! What workers and clients ask of a coordinator, and what a witness notes of it.

use rankmill_common::job::JobSpec;
use rankmill_common::status::JobStatus;
use rankmill_common::{AttemptId, JobId, Result, WorkerId};
use tokio::sync::oneshot;

use super::coordinator::Coordinator;
use super::network::Call;
use super::world::World;
use crate::engine::{Assignment, Command, WorkerHello};
use crate::scheduler::{Lease, Outcome};

#[derive(Clone)]
pub(super) struct Register {
    pub(super) host: String,
    pub(super) instance: String,
}

#[derive(Clone)]
pub(super) struct AskForTask {
    pub(super) worker: WorkerId,
}

#[derive(Clone)]
pub(super) struct Heartbeat {
    pub(super) worker: WorkerId,
    pub(super) attempts: Vec<AttemptId>,
}

#[derive(Clone)]
pub(super) struct ReportTask {
    pub(super) worker: WorkerId,
    pub(super) lease: Lease,
    pub(super) outcome: Outcome,
}

#[derive(Clone)]
pub(super) struct Leave {
    pub(super) worker: WorkerId,
}

#[derive(Clone)]
pub(super) struct Submit {
    pub(super) spec: JobSpec,
    pub(super) submission: String,
}

#[derive(Clone)]
pub(super) struct Query {
    pub(super) job: JobId,
}

#[derive(Clone)]
pub(super) struct Cancel {
    pub(super) job: JobId,
}

impl Call for Register {
    type Answer = WorkerId;

    fn command(&self, reply: oneshot::Sender<Result<WorkerId>>) -> Command {
        let hello = WorkerHello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: "simulated".to_owned(),
            host: self.host.clone(),
            memory: 1 << 30,
            instance: self.instance.clone(),
        };
        Command::Register { hello, reply }
    }
}

impl Call for AskForTask {
    type Answer = Option<Assignment>;

    fn command(&self, reply: oneshot::Sender<Result<Option<Assignment>>>) -> Command {
        Command::Lease {
            worker: self.worker.clone(),
            free_memory: 1 << 30,
            reply,
        }
    }

    fn answered(&self, world: &World, from: &Coordinator, answer: &Result<Option<Assignment>>) {
        if let Ok(Some(assignment)) = answer {
            let epoch = from.process.epoch();
            let lease = &assignment.lease;
            world.count("lease");
            world.trace(|| {
                format!(
                    "epoch {epoch} leases {}/{}/{} as {} to {}",
                    lease.job, lease.stage, lease.task, lease.attempt, self.worker
                )
            });
            world.watch(|witness| witness.granted(epoch, assignment));
        }
    }
}

impl Call for Heartbeat {
    type Answer = Vec<String>;

    fn command(&self, reply: oneshot::Sender<Result<Vec<String>>>) -> Command {
        Command::Heartbeat {
            worker: self.worker.clone(),
            attempts: self.attempts.clone(),
            bytes: vec![0; self.attempts.len()],
            reply,
        }
    }
}

impl Call for ReportTask {
    type Answer = ();

    fn command(&self, reply: oneshot::Sender<Result<()>>) -> Command {
        Command::Report {
            worker: self.worker.clone(),
            job: self.lease.job.clone(),
            stage: self.lease.stage,
            task: self.lease.task,
            attempt: self.lease.attempt.clone(),
            outcome: self.outcome.clone(),
            reply,
        }
    }

    fn arrives(&self, world: &World, to: &Coordinator) {
        world.trace(|| {
            let ended = match &self.outcome {
                Outcome::Done { .. } => "done".to_owned(),
                Outcome::Failed(error) => error.to_string(),
            };
            format!(
                "{:?} hears of {}: {ended}",
                to.process.place, self.lease.attempt
            )
        });
        if let Outcome::Failed(error) = &self.outcome {
            world.count("failed attempt reported");
            if let Some(key) = &error.lost_key {
                world.watch(|witness| witness.reported_lost(to.process.epoch(), key));
            }
        }
    }

    fn answered(&self, world: &World, from: &Coordinator, answer: &Result<()>) {
        if answer.is_ok() && matches!(self.outcome, Outcome::Done { .. }) {
            let epoch = from.process.epoch();
            world.trace(|| format!("epoch {epoch} acknowledges {}", self.lease.attempt));
            world.count("report acknowledged");
            world.watch(|witness| witness.acknowledged(&self.lease));
        }
    }
}

impl Call for Leave {
    type Answer = ();

    fn command(&self, _: oneshot::Sender<Result<()>>) -> Command {
        Command::Leave {
            worker: self.worker.clone(),
        }
    }
}

impl Call for Submit {
    type Answer = JobStatus;

    fn command(&self, reply: oneshot::Sender<Result<JobStatus>>) -> Command {
        Command::Submit {
            spec: Box::new(self.spec.clone()),
            submission: self.submission.clone(),
            reply,
        }
    }

    fn answered(&self, world: &World, _: &Coordinator, answer: &Result<JobStatus>) {
        if let Ok(status) = answer {
            world.count("job accepted");
            world.watch(|witness| witness.accepted(status));
            world.watch(|witness| witness.told(&world.disk, status));
        }
    }
}

impl Call for Query {
    type Answer = JobStatus;

    fn command(&self, reply: oneshot::Sender<Result<JobStatus>>) -> Command {
        Command::Status {
            job: self.job.clone(),
            reply,
        }
    }

    fn answered(&self, world: &World, _: &Coordinator, answer: &Result<JobStatus>) {
        if let Ok(status) = answer {
            world.watch(|witness| witness.told(&world.disk, status));
        }
    }
}

impl Call for Cancel {
    type Answer = JobStatus;

    fn command(&self, reply: oneshot::Sender<Result<JobStatus>>) -> Command {
        Command::Cancel {
            job: self.job.clone(),
            reply,
        }
    }

    fn arrives(&self, world: &World, _: &Coordinator) {
        world.count("cancel");
        world.watch(|witness| {
            witness.cancelled(&self.job);
            Ok(())
        });
    }
}
