//! Runs one task: waits for memory, lets the operator work on a compute thread, and turns
//! whatever happens, a panic included, into an outcome.
//!
//! Invariants: the task's memory stays taken until its operator has really returned, even where
//! nobody waits for the outcome any more; and no task occupies one of the runtime's blocking
//! threads. Reads and writes of local files need those: where the system grants no more of them,
//! tasks on them would wait for each other's files for ever.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rankmill_common::operator::{Operator, Report};
use rankmill_common::{Error, ErrorKind, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::WorkerConfig;
use crate::cancellation::Cancellation;
use crate::context::{Counters, TaskContext};
use crate::memory::{Admission, MemoryBudget};
use crate::operator;
use crate::storage::{HandOver, Objects};

/// Where tasks run. One per worker.
#[derive(Debug)]
pub(crate) struct Executor {
    pool: ThreadPool,
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
            pool: compute_pool(config.threads)?,
            memory: MemoryBudget::new(config.memory),
            turn: Arc::default(),
        })
    }

    /// Bytes that no running task has declared.
    pub(crate) fn free_memory(&self, objects: &Objects) -> u64 {
        let held = objects.hand_over().map_or(0, HandOver::bytes);
        (self.memory.free() + held).min(self.memory.total())
    }

    /// Lets `objects` hold what no task needs.
    pub(crate) fn lend_memory(&self, objects: &Objects) {
        if let Some(hand_over) = objects.hand_over() {
            hand_over.share(&self.memory);
        }
    }

    /// Runs `task` once its memory is free.
    pub(crate) async fn execute(&self, task: Task) -> Outcome {
        let name = task.operator.name();
        let admitted = tokio::select! {
            admitted = self.admit(&task) => admitted,
            () = task.cancellation.cancelled() => Err(cancelled()),
        };
        let place = match admitted {
            Ok(place) => place,
            Err(error) => return Outcome::failed(error),
        };
        let runtime = Handle::current();
        let (ended, outcome) = oneshot::channel();
        self.pool.spawn(move || {
            let outcome = run(task, runtime);
            drop(place);
            // Nobody waits any more where the session has ended.
            let _ = ended.send(outcome);
        });
        outcome.await.unwrap_or_else(|_| {
            let message = format!("the thread of {name} was lost");
            Outcome::failed(Error::internal(message))
        })
    }

    /// Waits for what `task` has to hold while it runs.
    async fn admit(&self, task: &Task) -> Result<Place> {
        let bytes = task.operator.memory();
        // What tasks hand each other makes room for what they compute.
        let pressure = task.objects.hand_over().map(|held| held.make_room(bytes));
        let memory = self.memory.admit(task.operator.name(), bytes).await?;
        drop(pressure);
        let turn = if fills_the_pool(&task.operator) && task.objects.are_local() {
            Some(Arc::clone(&self.turn).lock_owned().await)
        } else {
            None
        };
        Ok(Place {
            _memory: memory,
            _turn: turn,
        })
    }
}

/// What a task holds until its operator has returned.
struct Place {
    _memory: Admission,
    _turn: Option<OwnedMutexGuard<()>>,
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

fn run(task: Task, runtime: Handle) -> Outcome {
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
    let result = guarded(name, || operator::run(&context, &task.operator));
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
    use rankmill_common::operator::{FindMatrix, SmallFactorization};
    use rankmill_common::{ByteSize, Digest};
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
        let diagonal = SmallFactorization::Diagonal {
            values: vec![1.0, 2.0],
        };
        task_of(directory, Operator::SmallFactorization(diagonal))
    }

    fn task_of(directory: &std::path::Path, operator: Operator) -> Task {
        let store = Store::open(directory.to_str().expect("a path in UTF-8")).expect("it opens");
        Task {
            operator,
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

    #[test]
    fn tasks_leave_the_blocking_threads_to_their_files() {
        // As where the system grants no more threads.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .expect("it starts");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let (ended, outcome) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let digest = Digest::of(b"");
            let task = task_of(&path, Operator::FindMatrix(FindMatrix { digest }));
            let _ = ended.send(executor(1 << 30).execute(task).await);
        });
        let outcome = outcome.recv_timeout(Duration::from_secs(20));
        // A task that hangs would be waited for.
        runtime.shutdown_background();
        let outcome = outcome.expect("the task ends");
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
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
        let result: Result<()> = pool.install(|| {
            guarded("gram", || {
                rayon::join(|| (), || panic!("entry {} is out of range", 7));
                Ok(())
            })
        });
        let error = result.expect_err("it panicked");
        assert_eq!(error.kind, ErrorKind::Internal);
        assert_eq!(error.message, "gram panicked: entry 7 is out of range");
    }
}
