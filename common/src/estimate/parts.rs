//! Whether one task holds a whole graph, and if not, how the graph is cut into parts.
//!
//! Pure: a function of the graph's blocks and of the bytes that a task may hold, never of who will
//! do the work. The same function serves the run, which knows the blocks, and the estimate, which
//! makes them up.

use crate::matrix::{BlockRef, RowRange};
use crate::operator::TASK_OVERHEAD;
use crate::operator::page_rank_step::STEP_VERTEX_BYTES;
use crate::operator::push_part::{LANE_ROW_BYTES, LANE_VERTEX_BYTES, ROW_BYTES, VERTEX_BYTES};
use crate::operator::walk_part::WALK_ROW_BYTES;
use crate::{ByteSize, Error, ErrorKind, Result};

/// Fewest and most entries after which a block ends.
const BLOCK_ENTRIES: (u64, u64) = (1 << 20, 1 << 24);
/// Entries of a block of matrices that are neither small nor large.
const USUAL_BLOCK_ENTRIES: u64 = 1 << 22;
/// Blocks below which they shrink instead, so that workers have equal shares of them.
const FEW_BLOCKS: u64 = 16;
/// Blocks above which they grow instead: every block takes entries of every piece.
const MANY_BLOCKS: u64 = 512;

/// Entries after which a block ends, of a matrix of `entries`.
pub fn block_entries(entries: u64) -> u64 {
    let few = (entries / FEW_BLOCKS).min(USUAL_BLOCK_ENTRIES);
    let wanted = few.max(entries / MANY_BLOCKS).next_power_of_two();
    wanted.clamp(BLOCK_ENTRIES.0, BLOCK_ENTRIES.1)
}

/// The size of a block of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Rows, that is, vertices.
    pub rows: u64,
    /// Bytes, mapped.
    pub bytes: u64,
}

impl From<&BlockRef> for BlockSize {
    fn from(block: &BlockRef) -> Self {
        Self {
            rows: block.nrows,
            bytes: block.object.size,
        }
    }
}

/// How a graph is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Every task holds all of it.
    Whole,
    /// Tasks hold parts.
    Parts(Parts),
}

/// Parts of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The vertices of each part, in order.
    pub ranges: Vec<RowRange>,
    /// Sources, or runs of walks, that a task works on at a time.
    pub lanes: u32,
}

/// What a task holds besides its overhead, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Whatever the part.
    pub fixed: u64,
    /// Per vertex of the part.
    pub row: u64,
}

/// Most parts: each sends to each.
pub const MOST_PARTS: usize = 1 << 10;

/// Most sources that a part is pushed from at a time.
const MOST_LANES: u32 = 8;

/// Most sources of a batch that is pushed in parts: their sums travel in every report.
const MOST_SOURCES: u64 = 256;
/// Bytes of scratch that the state and the frontiers of a batch may take, if every source reaches
/// every vertex.
const SCRATCH: u64 = 8 << 30;
/// Bytes of a state's and of a frontier's entry.
const ENTRY_BYTES: u64 = 36;

/// Sources that are pushed in parts together.
pub fn batch_sources(vertices: u64) -> u64 {
    (SCRATCH / (ENTRY_BYTES * vertices.max(1))).clamp(1, MOST_SOURCES)
}

/// Cuts vertices into ranges, such that the blocks of each and what it needs besides stay within
/// `memory`: whole blocks where possible. None where nothing fits, or only too many parts would.
pub fn cut(blocks: &[BlockSize], need: Need, memory: u64) -> Option<Vec<RowRange>> {
    let room = memory.checked_sub(TASK_OVERHEAD)?.checked_sub(need.fixed)?;
    let mut ranges: Vec<RowRange> = Vec::new();
    let (mut start, mut rows, mut bytes) = (0, 0, 0);
    for block in blocks {
        if rows > 0 && bytes + block.bytes + (rows + block.rows) * need.row > room {
            ranges.push(RowRange { start, count: rows });
            (start, rows, bytes) = (start + rows, 0, 0);
        }
        if block.bytes + block.rows * need.row > room {
            // A block by itself is too large: its rows are shared out evenly.
            let most = room.checked_sub(block.bytes)? / need.row.max(1);
            let pieces = block.rows.div_ceil(most.max(1));
            if most == 0 || pieces > MOST_PARTS as u64 {
                return None;
            }
            for piece in RowRange::cut(block.rows, block.rows.div_ceil(pieces)) {
                ranges.push(RowRange {
                    start: start + piece.start,
                    count: piece.count,
                });
            }
            start += block.rows;
            continue;
        }
        rows += block.rows;
        bytes += block.bytes;
    }
    if rows > 0 {
        ranges.push(RowRange { start, count: rows });
    }
    (ranges.len() <= MOST_PARTS).then_some(ranges)
}

/// Cuts a graph for `push_part`.
///
/// # Errors
///
/// `ResourceExhausted` naming the flag and the least that would do.
pub fn push_parts(blocks: &[BlockSize], memory: ByteSize) -> Result<Parts> {
    let vertices = vertices(blocks);
    let need = |lanes: u32| Need {
        fixed: VERTEX_BYTES * vertices + u64::from(lanes) * LANE_VERTEX_BYTES * vertices,
        row: ROW_BYTES + u64::from(lanes) * LANE_ROW_BYTES,
    };
    let mut lanes = MOST_LANES;
    loop {
        // More lanes are not worth more parts: the outboxes take at most half of the memory.
        let modest = 2 * need(lanes).fixed <= memory.0;
        if let Some(ranges) = cut(blocks, need(lanes), memory.0).filter(|_| modest || lanes == 1) {
            return Ok(Parts { ranges, lanes });
        }
        if lanes == 1 {
            return Err(too_large("push", blocks, need(1), memory));
        }
        lanes /= 2;
    }
}

/// Parts of a graph for walks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkParts {
    /// The vertices of each part, in order.
    pub ranges: Vec<RowRange>,
    /// Vertices whose walks are under way together.
    pub starts: u64,
}

/// Cuts a graph for `walk_part`, where the walks from one vertex take `start` bytes: half of the
/// memory is for walks, since all of them may meet in one part.
///
/// # Errors
///
/// `ResourceExhausted` naming the flag and the least that would do.
pub fn walk_parts(blocks: &[BlockSize], start: u64, memory: ByteSize) -> Result<WalkParts> {
    let walks = memory.0.saturating_sub(TASK_OVERHEAD) / 2;
    let need = Need {
        fixed: walks,
        row: WALK_ROW_BYTES,
    };
    let starts = walks / start.max(1);
    match cut(blocks, need, memory.0) {
        Some(ranges) if starts > 0 => Ok(WalkParts { ranges, starts }),
        Some(_) | None => {
            let largest = blocks.iter().map(|block| block.bytes + block.rows);
            let least = TASK_OVERHEAD + 2 * largest.max().unwrap_or(0).max(start);
            Err(refuse("ppr-index", blocks, ByteSize(least), memory))
        }
    }
}

/// What a task of a step of PageRank holds: any of the blocks, and vectors of all vertices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMemory {
    /// Bytes besides blocks.
    pub besides: u64,
    /// Bytes of the largest block.
    pub largest_block: u64,
}

/// What a task of a step of PageRank holds at least.
pub fn step_memory(blocks: &[BlockSize]) -> StepMemory {
    StepMemory {
        besides: TASK_OVERHEAD + STEP_VERTEX_BYTES * vertices(blocks),
        largest_block: blocks.iter().map(|block| block.bytes).max().unwrap_or(0),
    }
}

/// Bytes of all blocks.
pub fn bytes(blocks: &[BlockSize]) -> u64 {
    blocks.iter().map(|block| block.bytes).sum()
}

/// Rows of all blocks.
pub fn vertices(blocks: &[BlockSize]) -> u64 {
    blocks.iter().map(|block| block.rows).sum()
}

/// That not even parts fit.
fn too_large(what: &str, blocks: &[BlockSize], need: Need, memory: ByteSize) -> Error {
    let piece = |block: &BlockSize| block.bytes + need.row * block.rows.div_ceil(MOST_PARTS as u64);
    let least = TASK_OVERHEAD + need.fixed + blocks.iter().map(piece).max().unwrap_or(0);
    refuse(what, blocks, ByteSize(least), memory)
}

/// That a task does not fit, with the flag that would make it fit.
pub fn refuse(what: &str, blocks: &[BlockSize], least: ByteSize, memory: ByteSize) -> Error {
    Error::new(
        ErrorKind::ResourceExhausted,
        format!(
            "{what} on a graph of {} vertices and {} of edges needs tasks of {least} ({} bytes) \
             at least, but they may hold {memory} ({} bytes): give --task-memory {}MiB or more \
             (for a run here, --memory)",
            vertices(blocks),
            ByteSize(bytes(blocks)),
            least.0,
            memory.0,
            least.0.div_ceil(1 << 20),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks() -> impl Strategy<Value = Vec<BlockSize>> {
        let block = (1u64..50_000, 1u64..400_000);
        let block = block.prop_map(|(rows, bytes)| BlockSize { rows, bytes });
        prop::collection::vec(block, 1..12)
    }

    proptest! {
        #[test]
        fn parts_hold_every_vertex_once_and_fit(
            blocks in blocks(),
            row in 1u64..100,
            fixed in 0u64..100_000,
            room in 1u64..2_000_000,
        ) {
            let memory = TASK_OVERHEAD + room;
            let Some(ranges) = cut(&blocks, Need { fixed, row }, memory) else {
                // Nothing fits only where a block and its share of rows do not.
                let least = blocks.iter().map(|b| b.bytes + row * b.rows.div_ceil(MOST_PARTS as u64));
                let least = least.max().unwrap_or(0);
                prop_assert!(fixed + least + row > room || blocks.len() > 1);
                return Ok(());
            };
            let mut next = 0;
            for range in &ranges {
                prop_assert_eq!(range.start, next);
                prop_assert!(range.count > 0);
                next = range.end();
                let (mut start, mut held) = (0, 0);
                for block in &blocks {
                    if start < range.end() && range.start < start + block.rows {
                        held += block.bytes;
                    }
                    start += block.rows;
                }
                prop_assert!(held + fixed + row * range.count <= room);
            }
            prop_assert_eq!(next, vertices(&blocks));
        }
    }

    #[test]
    fn lanes_give_way_before_a_job_is_refused() {
        let blocks = [BlockSize {
            rows: 1 << 20,
            bytes: 16 << 20,
        }; 4];
        let plenty = push_parts(&blocks, ByteSize(4 << 30)).expect("it fits");
        assert_eq!((plenty.ranges.len(), plenty.lanes), (1, MOST_LANES));
        let scarce = push_parts(&blocks, ByteSize(150 << 20)).expect("it fits in parts");
        assert!(scarce.ranges.len() > 1 && scarce.lanes == 1, "{scarce:?}");
        let error = push_parts(&blocks, ByteSize(80 << 20)).expect_err("too little");
        assert_eq!(error.kind, ErrorKind::ResourceExhausted);
        assert!(error.message.contains("--task-memory"), "{error}");
    }
}
