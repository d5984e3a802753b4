//! A simulated coordinator: the real one, with its leadership and its engine, in a process that may
//! be paused, killed or replaced. Only its transport is missing.

use std::sync::Arc;

use rankmill_common::ErrorKind;
use tokio::sync::Notify;

use super::job;
use super::process::{Place, Process};
use super::store::Client;
use super::world::World;
use crate::config::CoordinatorConfig;
use crate::engine::Surroundings;
use crate::seat::Seat;
use crate::server::{self, Role};

/// How a coordinator comes to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once, whoever else leads.
    Hasty,
    /// When nobody else does.
    Patient,
}

/// A coordinator that serves.
pub(super) struct Coordinator {
    pub(super) process: Arc<Process>,
    pub(super) manner: Manner,
    pub(super) seat: Seat,
    /// Asks it to shut down in good order.
    pub(super) shutdown: Arc<Notify>,
}

/// Settings of every simulated coordinator.
pub(super) fn config() -> CoordinatorConfig {
    CoordinatorConfig {
        no_workers_seconds: 120,
        ..CoordinatorConfig::default()
    }
}

impl World {
    /// Starts a coordinator at place `index`.
    pub(super) fn start_coordinator(self: &Arc<Self>, index: usize, manner: Manner) {
        let process = Process::start(Place::Coordinator(index));
        self.place_process(index, &process);
        self.trace(|| format!("coordinator {index} starts, {manner:?}"));
        let world = Arc::clone(self);
        let running = serve(Arc::clone(self), Arc::clone(&process), index, manner);
        let owner = Arc::clone(&process);
        let task = tokio::task::spawn_local(async move { owner.run(running).await });
        process.own(task.abort_handle());
        tokio::task::spawn_local(async move {
            let ended = task.await;
            if let Err(error) = ended
                && error.is_panic()
            {
                world.report(format!("coordinator {index} panicked: {error}"));
            }
        });
    }

    fn surroundings(self: &Arc<Self>, process: &Arc<Process>) -> Surroundings {
        let (world, owner) = (Arc::clone(self), Arc::clone(process));
        let (clock_world, clock_owner) = (Arc::clone(self), Arc::clone(process));
        Surroundings {
            algorithm: job::algorithm,
            outputs: None,
            output: Arc::new(move |url| Client::open(&world, &owner, url)),
            // Well above zero, so that a clock can be set back.
            clock: Arc::new(move || clock_owner.clock(3_600_000 + clock_world.now())),
        }
    }
}

async fn serve(world: Arc<World>, process: Arc<Process>, index: usize, manner: Manner) {
    let store = Client::state(&world, &process);
    let coordinator = match manner {
        Manner::Hasty => server::Coordinator::alone(store, config()),
        Manner::Patient => {
            server::Coordinator::one_of_several(store, config(), format!("place-{index}"))
        }
    };
    let coordinator = coordinator.within(world.surroundings(&process));
    let seat = Seat::new();
    let shutdown = Arc::new(Notify::new());
    world.publish_coordinator(
        index,
        Coordinator {
            process: Arc::clone(&process),
            manner,
            seat: seat.clone(),
            shutdown: Arc::clone(&shutdown),
        },
    );
    let mut tell = |role: Role| note(&world, &process, role);
    let ended = coordinator
        .preside(&seat, async move { shutdown.notified().await }, &mut tell)
        .await;
    match ended {
        Ok(()) => world.count("coordinator shut down"),
        Err(error) => {
            note(&world, &process, Role::SteppedDown(error));
            world.restart_later(index, 5_000);
        }
    }
    world.trace(|| format!("coordinator {index} (epoch {}) ends", process.epoch()));
    world.remove_coordinator(index, &process);
    process.die();
}

fn note(world: &World, process: &Process, role: Role) {
    let (place, epoch) = (process.place, process.epoch());
    match role {
        Role::Standby(leader) => world.trace(|| format!("{place:?} stands by: {leader:?} leads")),
        Role::Leader => {
            world.trace(|| format!("{place:?} leads as epoch {epoch}"));
            world.count("takeover");
            if world.leaders() > 1 {
                world.count("several leaders at once");
            }
        }
        Role::SteppedDown(error) => {
            world.trace(|| format!("{place:?} steps down: {error}"));
            match error.kind {
                ErrorKind::Fenced => world.count("leader fenced"),
                ErrorKind::Internal => world.report(format!("{place:?} steps down: {error}")),
                ErrorKind::InvalidInput
                | ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::ResourceExhausted
                | ErrorKind::Unavailable
                | ErrorKind::InputLost
                | ErrorKind::Cancelled
                | ErrorKind::NotConverged => {
                    world.count("leader steps down, or cannot take over");
                }
            }
        }
    }
}
