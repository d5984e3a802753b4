//! Messages between processes: lost, late, out of order, twice, or cut off.

use std::sync::Arc;
use std::time::Duration;

use rankmill_common::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

use super::coordinator::Coordinator;
use super::process::Place;
use super::world::World;
use crate::engine::Command;

/// How a call is made: the command for an answer, and what to note when it arrives and leaves.
pub(super) trait Call: Clone + Send + Sync + 'static {
    /// What comes back.
    type Answer: Send + 'static;

    /// The command of the engine.
    fn command(&self, reply: oneshot::Sender<Result<Self::Answer>>) -> Command;

    /// It reaches `coordinator`.
    fn arrives(&self, _world: &World, _coordinator: &Coordinator) {}

    /// `coordinator` has answered; the answer is not under way yet.
    fn answered(&self, _world: &World, _coordinator: &Coordinator, _answer: &Result<Self::Answer>) {
    }
}

impl World {
    /// Calls the coordinator at place `to` and waits for an answer, at most `limit`.
    pub(super) async fn call<C: Call>(
        self: &Arc<Self>,
        from: Place,
        to: usize,
        limit: Duration,
        call: C,
    ) -> Result<C::Answer> {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let twice = self.goes_wrong(|faults| faults.duplicates);
        if twice {
            self.count("message duplicated");
        }
        for _ in 0..=usize::from(twice) {
            let delivery = deliver(Arc::clone(self), from, to, call.clone(), answers.clone());
            tokio::task::spawn_local(delivery);
        }
        drop(answers);
        let answer = async {
            match answered.recv().await {
                Some(answer) => answer,
                // Nobody can answer any more, but the caller does not know.
                None => std::future::pending().await,
            }
        };
        tokio::time::timeout(limit, answer)
            .await
            .unwrap_or_else(|_| Err(unreachable_error()))
    }

    /// One way of a message. False where it is lost.
    async fn travel(&self, from: Place, to: Place) -> bool {
        let mut delay = self.chance.millis(1, 20);
        if self.goes_wrong(|faults| faults.delays) {
            self.count("message delayed past others");
            let longest = self.chance.pick(&[500, 4_000, 30_000]);
            delay += self.chance.millis(50, longest);
        }
        tokio::time::sleep(delay).await;
        if self.is_cut(from, to) {
            self.count("message cut by a partition");
            return false;
        }
        if self.goes_wrong(|faults| faults.drops) {
            self.count("message dropped");
            return false;
        }
        true
    }
}

async fn deliver<C: Call>(
    world: Arc<World>,
    from: Place,
    to: usize,
    call: C,
    answers: mpsc::UnboundedSender<Result<C::Answer>>,
) {
    let place = Place::Coordinator(to);
    if !world.travel(from, place).await {
        return;
    }
    let answer = match world.coordinator(to) {
        // Nobody listens there: the connection is refused.
        None => Err(unreachable_error()),
        Some(coordinator) => {
            call.arrives(&world, &coordinator);
            let answer = match coordinator.seat.engine_now() {
                Ok(engine) => engine.ask(|reply| call.command(reply)).await.flatten(),
                Err(standby) => Err(standby),
            };
            call.answered(&world, &coordinator, &answer);
            answer
        }
    };
    if world.travel(place, from).await {
        // The caller may have given up.
        let _ = answers.send(answer);
    }
}

fn unreachable_error() -> Error {
    Error::new(ErrorKind::Unavailable, "the coordinator did not answer")
}
