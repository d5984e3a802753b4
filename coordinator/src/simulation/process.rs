//! A simulated process: it runs, is paused and resumed, and dies once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::task::AbortHandle;

/// A place on the network. Its process changes, the place stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Coordinator(usize),
    Worker(usize),
    Client,
    Store,
}

/// From one start to one end.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) place: Place,
    inner: Mutex<Inner>,
    /// The epoch that it has taken, as the cluster log shows it; 0 before.
    epoch: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    life: Life,
    sleepers: Vec<Waker>,
    /// How far its clock is ahead, in milliseconds.
    ahead: i64,
    /// What it runs.
    tasks: Vec<AbortHandle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Dead,
}

impl Process {
    pub(super) fn start(place: Place) -> Arc<Self> {
        Arc::new(Self {
            place,
            inner: Mutex::new(Inner {
                life: Life::Running,
                sleepers: Vec::new(),
                ahead: 0,
                tasks: Vec::new(),
            }),
            epoch: AtomicU64::new(0),
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.lock().life == Life::Dead
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().life == Life::Paused
    }

    /// Nothing that it has begun goes on; what it has sent is on its way.
    pub(super) fn die(&self) {
        let mut inner = self.lock();
        inner.life = Life::Dead;
        let tasks = std::mem::take(&mut inner.tasks);
        drop(inner);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// `task` ends with the process.
    pub(super) fn own(&self, task: AbortHandle) {
        self.lock().tasks.push(task);
    }

    pub(super) fn pause(&self) {
        let mut inner = self.lock();
        if inner.life == Life::Running {
            inner.life = Life::Paused;
        }
    }

    pub(super) fn resume(&self) {
        let mut inner = self.lock();
        if inner.life == Life::Paused {
            inner.life = Life::Running;
            inner.sleepers.drain(..).for_each(Waker::wake);
        }
    }

    /// Sets its clock forward or back, once.
    pub(super) fn jump(&self, ms: i64) -> bool {
        let mut inner = self.lock();
        let first = inner.ahead == 0;
        if first {
            inner.ahead = ms;
        }
        first
    }

    /// The real time `ms` as its clock shows it.
    pub(super) fn clock(&self, ms: u64) -> u64 {
        ms.saturating_add_signed(self.lock().ahead)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(super) fn took_epoch(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Passes while the process runs; waits while it is paused, for ever once it is dead.
    pub(super) async fn gate(&self) {
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.life == Life::Running {
                return Poll::Ready(());
            }
            inner.sleepers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets `work` go on only while the process runs.
    pub(super) async fn run<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            let mut inner = self.lock();
            if inner.life == Life::Running {
                drop(inner);
                return work.as_mut().poll(context);
            }
            inner.sleepers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
