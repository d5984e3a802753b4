//! Blocks of the input that stay open from task to task.
//!
//! Every read of A goes through all blocks, and one that was closed has to be mapped again page by
//! page, and its offsets checked again. What stays open is memory that the system may take back, but
//! counts as this process's: it is taken from the worker's budget, and goes first where a task needs
//! it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rankmill_common::Digest;

use super::Mapped;
use super::block::OpenBlock;
use super::objects::lock;
use crate::memory::{Admission, MemoryBudget};

/// Part (1/n) of the budget that may be kept open. A matrix that does not fit stays open in part.
const SHARE: u64 = 8;

/// How long a block stays that nobody asks for: the longest pause between two reads of one job.
const PATIENCE: Duration = Duration::from_secs(60);

/// The blocks that stay open. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenBlocks {
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Debug, Default)]
struct Shelf {
    budget: Option<MemoryBudget>,
    memory: Option<Admission>,
    bytes: u64,
    kept: HashMap<Digest, Kept>,
    /// Tasks that wait for memory.
    waiting: usize,
}

#[derive(Debug)]
struct Kept {
    block: Arc<OpenBlock>,
    mapped: Mapped,
    last_used: Instant,
}

impl OpenBlocks {
    /// Takes memory from `budget` from now on; before that, nothing is kept.
    pub(crate) fn share(&self, budget: &MemoryBudget) {
        lock(&self.shelf).budget = Some(budget.clone());
    }

    /// Bytes of the budget that are held, all of which a task may have.
    pub(crate) fn admitted(&self) -> u64 {
        let shelf = lock(&self.shelf);
        shelf.memory.as_ref().map_or(0, Admission::bytes)
    }

    /// The block `digest`, if it is open and `mapped` is the file that it was opened from.
    pub(super) fn get(&self, digest: &Digest, mapped: &Mapped) -> Option<Arc<OpenBlock>> {
        let mut shelf = lock(&self.shelf);
        let kept = shelf.kept.get_mut(digest)?;
        if !kept.mapped.is_same(mapped) {
            return None;
        }
        kept.last_used = Instant::now();
        Some(Arc::clone(&kept.block))
    }

    /// Leaves `block` open, where there is room.
    pub(super) fn keep(&self, digest: Digest, mapped: Mapped, block: &Arc<OpenBlock>) {
        let mut shelf = lock(&self.shelf);
        shelf.remove(&digest);
        let bytes = mapped.len() as u64;
        if !shelf.has_room_for(bytes) {
            shelf.close(|kept| kept.last_used.elapsed() > PATIENCE);
            if !shelf.has_room_for(bytes) {
                return;
            }
        }
        shelf.bytes += bytes;
        let kept = Kept {
            block: Arc::clone(block),
            mapped,
            last_used: Instant::now(),
        };
        shelf.kept.insert(digest, kept);
    }

    /// Closes what nobody has asked for in a while: the file may be deleted by now, and holds its
    /// place on the disk until then.
    pub(crate) fn close_idle(&self) {
        lock(&self.shelf).close(|kept| kept.last_used.elapsed() > PATIENCE);
    }

    /// Closes blocks, the longest unused first, until a task can have `bytes` or none is left; while
    /// the answer lives, no more are kept.
    pub(crate) fn make_room(&self, bytes: u64) -> Waiting {
        let mut shelf = lock(&self.shelf);
        shelf.waiting += 1;
        while shelf.free() < bytes {
            let oldest = shelf.kept.iter().min_by_key(|(_, kept)| kept.last_used);
            let Some(digest) = oldest.map(|(digest, _)| *digest) else {
                break;
            };
            shelf.remove(&digest);
        }
        Waiting { of: self.clone() }
    }
}

/// While it lives, a task waits for memory.
#[derive(Debug)]
pub(crate) struct Waiting {
    of: OpenBlocks,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.of.shelf).waiting -= 1;
    }
}

impl Shelf {
    /// Bytes of the budget that nobody holds.
    fn free(&self) -> u64 {
        self.budget.as_ref().map_or(0, MemoryBudget::free)
    }

    /// Takes `bytes` more from the budget, without waiting.
    fn has_room_for(&mut self, bytes: u64) -> bool {
        let limit = self.budget.as_ref().map_or(0, MemoryBudget::total) / SHARE;
        self.waiting == 0 && self.bytes + bytes <= limit && self.resize(self.bytes + bytes)
    }

    fn resize(&mut self, bytes: u64) -> bool {
        match &self.budget {
            Some(budget) => budget.try_resize(&mut self.memory, bytes),
            None => false,
        }
    }

    fn close(&mut self, is_idle: impl Fn(&Kept) -> bool) {
        let idle = self.kept.iter().filter(|(_, kept)| is_idle(kept));
        let idle: Vec<Digest> = idle.map(|(digest, _)| *digest).collect();
        for digest in idle {
            self.remove(&digest);
        }
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(kept) = self.kept.remove(digest) {
            self.bytes -= kept.mapped.len() as u64;
            let bytes = self.bytes;
            self.resize(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rankmill_common::ByteSize;
    use rankmill_common::matrix::{BlockFormat, BlockRef};
    use rankmill_store::Store;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::context::TaskContext;
    use crate::storage::Objects;
    use crate::storage::block::{SparseBlockWriter, StoredValues, open};

    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

    /// A block of 2¹⁸ entries takes this many bytes and a little more.
    const BLOCK: u64 = 6 << 18;

    struct Bench {
        directory: tempfile::TempDir,
        context: TaskContext,
        budget: MemoryBudget,
    }

    impl Bench {
        /// A worker with `blocks` times [`SHARE`] blocks of memory.
        fn new(blocks: u64) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(directory.path().to_str().expect("UTF-8")).expect("opened");
            let objects = Objects::open(store, None).expect("opened");
            let budget = MemoryBudget::new(ByteSize(blocks * SHARE * (BLOCK + (1 << 20))));
            objects.open_blocks().share(&budget);
            let runtime = RUNTIME.handle().clone();
            let context = TaskContext::new(objects, runtime, "a", 0, Arc::default());
            Self {
                directory,
                context,
                budget,
            }
        }

        fn kept(&self) -> &OpenBlocks {
            self.context.objects().open_blocks()
        }

        fn block(&self, name: &str, value: f32) -> BlockRef {
            let (nrows, entries) = (1, 1 << 18);
            let mut writer =
                SparseBlockWriter::create(&self.context, name, nrows, 4, 4, StoredValues::Floats)
                    .expect("a block");
            let columns = vec![1_u16; entries];
            let values = Some(vec![value; entries]);
            let offsets = vec![0, entries as i32];
            writer.segment(offsets, columns, values).expect("a segment");
            BlockRef {
                object: writer.finish().expect("written"),
                start: 0,
                nrows: nrows as u64,
                nnz: entries as u64,
            }
        }

        fn open(&self, block: &BlockRef) -> Arc<OpenBlock> {
            open(&self.context, BlockFormat::Sparse, 4, block).expect("opened")
        }
    }

    #[test]
    fn a_block_stays_open_while_there_is_room() {
        let bench = Bench::new(1);
        let (first, second) = (bench.block("first", 1.0), bench.block("second", 2.0));
        let held = bench.open(&first);
        assert!(Arc::ptr_eq(&held, &bench.open(&first)));
        assert!(bench.kept().admitted() >= BLOCK);
        let other = bench.open(&second);
        assert!(!Arc::ptr_eq(&other, &bench.open(&second)), "no room");
        assert!(Arc::ptr_eq(&held, &bench.open(&first)), "still there");
    }

    #[test]
    fn a_task_gets_the_memory_of_open_blocks() {
        let bench = Bench::new(2);
        let block = bench.block("block", 1.0);
        let held = bench.open(&block);
        assert!(bench.budget.free() < bench.budget.total());
        let waiting = bench.kept().make_room(bench.budget.total());
        assert!(!Arc::ptr_eq(&held, &bench.open(&block)));
        assert_eq!(bench.kept().admitted(), 0, "nothing is kept meanwhile");
        assert_eq!(bench.budget.free(), bench.budget.total());
        drop(waiting);
        bench.open(&block);
        assert!(bench.kept().admitted() > 0);
    }

    #[test]
    fn a_file_that_was_replaced_or_lost_is_noticed() {
        let bench = Bench::new(2);
        let block = bench.block("block", 1.0);
        let held = bench.open(&block);
        let path = bench.directory.path().join(&block.object.key);
        let draft = path.with_extension("draft");
        std::fs::copy(&path, &draft).expect("copied");
        std::fs::rename(&draft, &path).expect("replaced");
        let again = bench.open(&block);
        assert!(!Arc::ptr_eq(&held, &again));
        assert!(Arc::ptr_eq(&again, &bench.open(&block)));
        std::fs::remove_file(&path).expect("removed");
        let lost = open(&bench.context, BlockFormat::Sparse, 4, &block);
        assert_eq!(
            lost.expect_err("it is gone").kind,
            rankmill_common::ErrorKind::InputLost
        );
    }
}
