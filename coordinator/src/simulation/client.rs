//! A simulated person: submits a job, asks how it stands, and submits it again when no
//! coordinator knows of it or when it is told of an end that is not one.

use std::sync::Arc;
use std::time::Duration;

use rankmill_common::ErrorKind;
use rankmill_common::job::JobSpec;
use rankmill_common::status::JobStatus;

use super::calls::{Cancel, Query, Submit};
use super::process::Place;
use super::world::{COORDINATORS, World};

const LIMIT: Duration = Duration::from_secs(10);

/// Until the job has ended for good.
pub(super) async fn live(world: Arc<World>, spec: JobSpec) {
    loop {
        let to = world.chance.below(COORDINATORS);
        let submit = Submit {
            spec: spec.clone(),
            submission: "tonight".to_owned(),
        };
        match world.call(Place::Client, to, LIMIT, submit).await {
            Ok(_) if world.goes_wrong(|faults| faults.walks) => {
                // In good hands: the person goes home, and the job has to end by itself.
                world.count("client walks away");
                world.client_done();
                return;
            }
            Ok(status) => {
                maybe_cancel(&world, to, &status).await;
                watch(&world, to, status).await;
            }
            Err(error) if error.kind == ErrorKind::InvalidInput => {
                world.report(format!("a job was refused: {error}"));
            }
            Err(error) => world.trace(|| format!("client: {error}")),
        }
        if world.has_ended(&spec) {
            world.client_done();
            return;
        }
        world.pause(500, 4_000).await;
    }
}

/// Asks until the job ends or the coordinator no longer answers.
async fn watch(world: &Arc<World>, to: usize, mut status: JobStatus) {
    while !status.state.is_terminal() {
        world.pause(1_000, 3_000).await;
        let query = Query {
            job: status.id.clone(),
        };
        match world.call(Place::Client, to, LIMIT, query).await {
            Ok(now) => status = now,
            Err(_) => return,
        }
    }
    world.trace(|| format!("client: {} is {:?}", status.id, status.state));
}

async fn maybe_cancel(world: &Arc<World>, to: usize, status: &JobStatus) {
    if !world.goes_wrong(|faults| faults.cancels) {
        return;
    }
    world.pause(1, 20_000).await;
    let cancel = Cancel {
        job: status.id.clone(),
    };
    let _ = world.call(Place::Client, to, LIMIT, cancel).await;
}
