use std::sync::LazyLock;

use rankmill_common::ByteSize;
use rankmill_common::matrix::{Precision, RowRange, Shard, TallMatrix};
use rankmill_store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::tall::{self, TallRows};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

const PREFIX: &str = "jobs/1/a/1/0/0/0";

struct Bench {
    directory: TempDir,
    hand_over: HandOver,
    budget: MemoryBudget,
    context: TaskContext,
}

impl Bench {
    fn new(mebibytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hand_over = HandOver::default();
        let budget = MemoryBudget::new(ByteSize(mebibytes << 20));
        hand_over.share(&budget);
        let store = Store::open(directory.path().to_str().unwrap()).unwrap();
        let objects = Objects::open(store, None).unwrap();
        let objects = objects.handed_over(Some(hand_over.clone()));
        let runtime = RUNTIME.handle().clone();
        let context = TaskContext::new(objects, runtime, PREFIX, 1 << 30, Arc::default());
        Self {
            directory,
            hand_over,
            budget,
            context,
        }
    }

    /// A shard of `nrows` × 4 numbers.
    fn write(&self, name: &str, nrows: u64) -> Shard {
        let rows = RowRange {
            start: 0,
            count: nrows,
        };
        let numbers = (0..nrows * 4).map(|i| i as f64 / 7.0).collect();
        tall::write(&self.context, name, rows, 4, Numbered::Double(numbers)).unwrap()
    }

    fn check(&self, shard: &Shard) {
        let matrix = TallMatrix {
            nrows: shard.rows.count,
            ncols: 4,
            precision: Precision::Double,
            shards: vec![shard.clone()],
        };
        let rows = RowRange {
            start: 1,
            count: shard.rows.count - 1,
        };
        let numbers = tall::read_f64(&self.context, &matrix, rows).unwrap();
        assert_eq!(numbers.len() as u64, 4 * rows.count);
        assert!(
            (0..)
                .zip(&numbers)
                .all(|(i, x)| *x == f64::from(i + 4) / 7.0)
        );
        let view = TallRows::open(&self.context, &matrix, rows).unwrap();
        assert_eq!(view.view().nrows() as u64, rows.count);
    }

    fn has_file(&self, shard: &Shard) -> bool {
        self.directory.path().join(&shard.object.key).exists()
    }

    fn settle(&self) {
        RUNTIME.block_on(self.hand_over.settled("jobs/1")).unwrap();
    }
}

/// More than [`SMALL`].
const LARGE: u64 = 40_000;

#[test]
fn a_matrix_is_read_before_its_file_is_there() {
    let bench = Bench::new(64);
    let shard = bench.write("z", LARGE);
    bench.check(&shard);
    assert!(!bench.has_file(&shard), "large objects wait");
    assert_eq!(bench.hand_over.bytes(), LARGE * 4 * 8);
}

#[test]
fn shards_of_one_matrix_lie_in_its_memory_until_the_last_of_them_goes() {
    let bench = Bench::new(64);
    let (nrows, ncols) = (300_000, 4);
    let numbers = (0..nrows * ncols).map(|i| i as f64 / 7.0).collect();
    let shape = (nrows as u64, ncols);
    let written = tall::write_shards(&bench.context, "z", shape, Numbered::Double(numbers));
    let matrix = written.unwrap();
    assert!(matrix.shards.len() > 1, "{matrix:?}");
    let rows = RowRange {
        start: 1,
        count: nrows as u64 - 1,
    };
    let read = tall::read_f64(&bench.context, &matrix, rows).unwrap();
    assert!((0..).zip(&read).all(|(i, x)| *x == f64::from(i + 4) / 7.0));
    for shard in &matrix.shards {
        assert_eq!(bench.hand_over.bytes(), (nrows * ncols * 8) as u64);
        bench
            .hand_over
            .release(std::slice::from_ref(&shard.object.key));
    }
    assert_eq!(bench.hand_over.bytes(), 0);
    assert_eq!(bench.budget.free(), 64 << 20);
}

#[test]
fn what_is_settled_has_its_file_and_can_be_read_from_it() {
    let bench = Bench::new(64);
    let shards = [bench.write("small", 10), bench.write("large", LARGE)];
    bench.settle();
    drop(bench.hand_over.make_room(64 << 20));
    assert_eq!(bench.hand_over.bytes(), 0, "durable objects make room");
    assert_eq!(bench.budget.free(), 64 << 20);
    for shard in &shards {
        assert!(bench.has_file(shard));
        bench.check(shard);
    }
}

#[test]
fn what_is_let_go_is_never_written() {
    let bench = Bench::new(64);
    let shard = bench.write("z", LARGE);
    bench
        .hand_over
        .release(std::slice::from_ref(&shard.object.key));
    bench.settle();
    assert!(!bench.has_file(&shard));
    assert_eq!(bench.budget.free(), 64 << 20);
}

#[test]
fn a_job_that_is_over_leaves_nothing_to_write() {
    let bench = Bench::new(64);
    let shard = bench.write("z", LARGE);
    RUNTIME.block_on(bench.hand_over.forget("jobs/1/"));
    assert!(!bench.has_file(&shard));
    assert_eq!(bench.hand_over.bytes(), 0);
}

#[test]
fn a_task_gets_memory_that_holds_what_is_not_durable_yet() {
    let bench = Bench::new(8);
    let shard = bench.write("z", LARGE);
    let pressure = bench.hand_over.make_room(8 << 20);
    RUNTIME
        .block_on(bench.budget.admit("all", 8 << 20))
        .unwrap();
    assert!(bench.has_file(&shard));
    let direct = bench.write("w", LARGE);
    assert!(bench.has_file(&direct), "nothing is kept meanwhile");
    drop(pressure);
    bench.check(&shard);
    bench.check(&direct);
}

#[test]
fn a_task_that_has_its_memory_at_once_hurries_nothing() {
    let bench = Bench::new(64);
    let before = Instant::now();
    let _shard = bench.write("z", LARGE);
    let room = bench.hand_over.make_room(1 << 20);
    let due = |at| bench.hand_over.inner.lock().next_due(at);
    let (_, wait) = due(before).expect("it waits to be written");
    assert!(wait >= LATER, "{wait:?}");
    let more = bench.hand_over.make_room(64 << 20);
    let written = due(Instant::now()).is_none_or(|(_, wait)| wait.is_zero());
    assert!(written, "now it is in the way");
    drop((room, more));
}

#[test]
fn what_does_not_fit_is_written_at_once() {
    let bench = Bench::new(1);
    let shard = bench.write("z", LARGE);
    assert!(bench.has_file(&shard));
    bench.check(&shard);
}

#[test]
fn a_reader_of_files_finds_what_is_only_in_memory() {
    let bench = Bench::new(64);
    let shard = bench.write("z", LARGE);
    let file = bench.context.map(&shard.object).unwrap();
    assert_eq!(file.len() as u64, shard.object.size);
}

#[test]
fn what_cannot_be_written_is_an_error_that_names_the_file() {
    let bench = Bench::new(64);
    std::fs::write(bench.directory.path().join("jobs"), "in the way").unwrap();
    bench.write("z", 10);
    let error = RUNTIME.block_on(bench.hand_over.settled("jobs/1"));
    assert!(error.unwrap_err().message.contains("jobs"));
}

#[test]
fn a_file_has_the_same_bytes_whichever_way_it_is_written() {
    // Several batches, the last one short.
    const NROWS: u64 = 300_000;
    let kept = Bench::new(64);
    let shard = kept.write("z", NROWS);
    kept.settle();
    let direct = Bench::new(1);
    let other = direct.write("z", NROWS);
    assert_eq!(shard, other);
    let read = |bench: &Bench| std::fs::read(bench.directory.path().join(&shard.object.key));
    assert!(read(&kept).unwrap() == read(&direct).unwrap());
}
