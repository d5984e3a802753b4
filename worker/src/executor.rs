//! Runs one task: waits for memory, lets the operator work on a blocking thread, and turns
//! whatever happens, a panic included, into an outcome.
//!
//! Invariant: the task's memory stays taken until its operator has really returned, even where
//! nobody waits for the outcome any more.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rankmill_common::operator::{Operator, Report};
use rankmill_common::{Error, ErrorKind, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;

use crate::WorkerConfig;
use crate::cancellation::Cancellation;
use crate::context::{Counters, TaskContext};
use crate::memory::MemoryBudget;
use crate::operator;
use crate::storage::{HandOver, Objects};

/// Where tasks run. One per worker.
#[derive(Debug)]
pub(crate) struct Executor {
    pool: Arc<ThreadPool>,
    memory: MemoryBudget,
    /// Held by a task that computes with every thread and has nothing to wait for: two at once
    /// would only push each other's matrices out of the cache.
    turn: Arc<Mutex<()>>,
}

/// One attempt at a task.
#[derive(Debug)]
pub(crate) struct Task {
    /// What to do.
    pub(crate) operator: Operator,
    /// Where it may write.
    pub(crate) output_prefix: String,
    /// The state store.
    pub(crate) objects: Objects,
    /// Whether it should stop.
    pub(crate) cancellation: Cancellation,
    /// Where it counts what it moves.
    pub(crate) counters: Arc<Counters>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the operator reports.
    pub(crate) result: Result<Report>,
    /// Running time, without the wait for memory.
    pub(crate) busy_ms: u64,
    /// Bytes read from stores.
    pub(crate) bytes_read: u64,
    /// Bytes written to stores.
    pub(crate) bytes_written: u64,
}

impl Outcome {
    /// An attempt that did not come to run.
    pub(crate) fn failed(error: Error) -> Self {
        Self {
            result: Err(error),
            busy_ms: 0,
            bytes_read: 0,
            bytes_written: 0,
        }
    }
}

impl Executor {
    /// Starts the compute threads.
    ///
    /// # Errors
    ///
    /// `Internal` if the system refuses threads.
    pub(crate) fn new(config: &WorkerConfig) -> Result<Self> {
        Ok(Self {
            pool: Arc::new(compute_pool(config.threads)?),
            memory: MemoryBudget::new(config.memory),
            turn: Arc::default(),
        })
    }

    /// Bytes that no running task has declared.
    pub(crate) fn free_memory(&self, objects: &Objects) -> u64 {
        let handed_over = objects.hand_over().map_or(0, HandOver::admitted);
        self.memory
            .free_with(handed_over + objects.open_blocks().admitted())
    }

    /// Lets `objects` hold what no task needs.
    pub(crate) fn lend_memory(&self, objects: &Objects) {
        objects.open_blocks().share(&self.memory);
        if let Some(hand_over) = objects.hand_over() {
            hand_over.share(&self.memory);
        }
    }

    /// Runs `task` once its memory is free.
    pub(crate) async fn execute(&self, task: Task) -> Outcome {
        let name = task.operator.name();
        let bytes = task.operator.memory();
        // What tasks leave open and hand each other makes room for what they compute.
        let room = (
            task.objects.open_blocks().make_room(bytes),
            task.objects.hand_over().map(|held| held.make_room(bytes)),
        );
        let admitted = tokio::select! {
            admitted = self.memory.admit(name, bytes) => admitted,
            () = task.cancellation.cancelled() => Err(cancelled()),
        };
        drop(room);
        let admission = match admitted {
            Ok(admission) => admission,
            Err(error) => return Outcome::failed(error),
        };
        let pool = Arc::clone(&self.pool);
        let runtime = Handle::current();
        let turn = Arc::clone(&self.turn);
        let alone = fills_the_pool(&task.operator) && task.objects.are_local();
        let running = tokio::task::spawn_blocking(move || {
            // Taken outside the pool, whose threads must never wait for one another.
            let _turn = alone.then(|| turn.lock().unwrap_or_else(PoisonError::into_inner));
            let outcome = run(task, runtime, &pool);
            drop(admission);
            outcome
        });
        running.await.unwrap_or_else(|e| {
            let message = format!("the thread of {name} was lost: {e}");
            Outcome::failed(Error::internal(message))
        })
    }
}

/// Whether a task keeps every thread busy by itself.
fn fills_the_pool(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::NormalMultiply(_)
            | Operator::Combine(_)
            | Operator::Gram(_)
            | Operator::ColumnResiduals(_)
    )
}

/// The threads that compute, shared by all tasks. While one of them waits for a part of its own
/// task it may run the other task, on top of the first one's stack.
pub(crate) fn compute_pool(threads: usize) -> Result<ThreadPool> {
    const STACK_BYTES: usize = 8 << 20;
    ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .stack_size(STACK_BYTES)
        .thread_name(|index| format!("compute-{index}"))
        .build()
        .map_err(|e| Error::internal(format!("cannot start {threads} compute threads: {e}")))
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the task was cancelled")
}

fn run(task: Task, runtime: Handle, pool: &ThreadPool) -> Outcome {
    let started = Instant::now();
    let name = task.operator.name();
    let memory = task.operator.memory();
    let context = TaskContext::new(
        task.objects,
        runtime,
        task.output_prefix,
        memory,
        task.cancellation.flag(),
    )
    .counting(task.counters);
    let result = guarded(name, || {
        pool.install(|| operator::run(&context, &task.operator))
    });
    Outcome {
        result,
        busy_ms: milliseconds(started.elapsed()),
        bytes_read: context.counters().read(),
        bytes_written: context.counters().written(),
    }
}

/// Runs `work`; a panic is a defect of rankmill and becomes an error that says so.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = panic_message(payload.as_ref());
        Err(Error::internal(format!("{name} panicked: {message}")))
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&'static str>().copied())
        .unwrap_or("no message")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rankmill_common::ByteSize;
    use rankmill_common::operator::SmallFactorization;
    use rankmill_store::Store;

    fn executor(memory: u64) -> Executor {
        Executor::new(&WorkerConfig {
            threads: 2,
            memory: ByteSize(memory),
            cache: None,
            cache_size: ByteSize(1 << 30),
            hand_over: None,
            host: "test".to_owned(),
        })
        .expect("threads start")
    }

    fn task(directory: &std::path::Path) -> Task {
        let store = Store::open(directory.to_str().expect("a path in UTF-8")).expect("it opens");
        Task {
            operator: Operator::SmallFactorization(SmallFactorization::Diagonal {
                values: vec![1.0, 2.0],
            }),
            output_prefix: "a/0".to_owned(),
            objects: Objects::open(store, None).expect("it opens"),
            cancellation: Cancellation::default(),
            counters: Arc::default(),
        }
    }

    #[tokio::test]
    async fn a_task_reports_what_it_made_and_what_it_cost() {
        let directory = tempfile::tempdir().expect("a directory");
        let outcome = executor(1 << 30).execute(task(directory.path())).await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert!(outcome.bytes_written > 0);
    }

    #[tokio::test]
    async fn a_task_that_cannot_fit_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let outcome = executor(1 << 20).execute(task(directory.path())).await;
        let error = outcome.result.expect_err("it does not fit");
        assert_eq!(error.kind, ErrorKind::ResourceExhausted);
        assert!(error.message.contains("--memory"), "{error}");
    }

    #[tokio::test]
    async fn a_cancelled_task_does_not_wait_for_memory() {
        let directory = tempfile::tempdir().expect("a directory");
        let executor = executor(32 << 20);
        let _all = executor
            .memory
            .admit("all", 32 << 20)
            .await
            .expect("it fits");
        let waiting = task(directory.path());
        let cancellation = waiting.cancellation.clone();
        let (outcome, ()) = tokio::join!(executor.execute(waiting), async {
            tokio::task::yield_now().await;
            cancellation.cancel();
        });
        let error = outcome.result.expect_err("it was cancelled");
        assert_eq!(error.kind, ErrorKind::Cancelled);
    }

    #[test]
    fn a_panic_in_the_pool_becomes_an_error_with_its_message() {
        let pool = compute_pool(2).expect("threads start");
        let result: Result<()> = guarded("gram", || {
            pool.install(|| panic!("entry {} is out of range", 7))
        });
        let error = result.expect_err("it panicked");
        assert_eq!(error.kind, ErrorKind::Internal);
        assert_eq!(error.message, "gram panicked: entry 7 is out of range");
    }
}
