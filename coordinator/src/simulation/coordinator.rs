//! A simulated coordinator: the real engine in a process that may be paused, killed or replaced.

use std::sync::Arc;

use rankmill_common::ErrorKind;
use tokio::sync::Notify;

use super::job;
use super::process::{Place, Process};
use super::store::Client;
use super::world::World;
use crate::config::CoordinatorConfig;
use crate::engine::{Engine, EngineHandle, Surroundings};

/// A coordinator that serves.
pub(super) struct Coordinator {
    pub(super) process: Arc<Process>,
    pub(super) handle: EngineHandle,
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
    /// Starts a coordinator at place `index`: it takes over, whoever else may be there.
    pub(super) fn start_coordinator(self: &Arc<Self>, index: usize) {
        let process = Process::start(Place::Coordinator(index));
        self.place_process(index, &process);
        self.trace(|| format!("coordinator {index} starts"));
        let world = Arc::clone(self);
        let running = serve(Arc::clone(self), Arc::clone(&process), index);
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
            output: Arc::new(move |url| Client::open(&world, &owner, url)),
            // Well above zero, so that a clock can be set back.
            clock: Arc::new(move || clock_owner.clock(3_600_000 + clock_world.now())),
        }
    }
}

async fn serve(world: Arc<World>, process: Arc<Process>, index: usize) {
    let store = Client::state(&world, &process);
    let surroundings = world.surroundings(&process);
    match Engine::open(store, config(), surroundings).await {
        Ok(engine) => {
            let shutdown = Arc::new(Notify::new());
            let coordinator = Coordinator {
                process: Arc::clone(&process),
                handle: engine.handle(),
                shutdown: Arc::clone(&shutdown),
            };
            world.publish_coordinator(index, coordinator);
            let ended = engine.run(async move { shutdown.notified().await }).await;
            match ended {
                Err(error) if error.kind == ErrorKind::Fenced => world.count("coordinator fenced"),
                Err(_) => {
                    world.count("coordinator stepped down");
                    world.restart_later(index, 5_000);
                }
                Ok(()) => world.count("coordinator shut down"),
            }
        }
        Err(error) => {
            world.count("takeover failed");
            world.trace(|| format!("coordinator {index} cannot take over: {error}"));
            if error.kind == ErrorKind::Internal {
                world.report(format!("coordinator {index} cannot take over: {error}"));
            }
            world.restart_later(index, 5_000);
        }
    }
    world.trace(|| format!("coordinator {index} (epoch {}) ends", process.epoch()));
    process.die();
    world.remove_coordinator(index, &process);
}
