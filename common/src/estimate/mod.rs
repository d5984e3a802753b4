//! What a job will cost, before it runs: memory, reads, bytes, per stage. Pure.
//!
//! Footers say how many entries there are and between which integers their ids lie, but not how many
//! ids are distinct, so for triplets with a dictionary the shape is bounded from above.

mod graph;
mod iterations;
pub mod parts;
mod svd;

use serde::{Deserialize, Serialize};

pub use graph::{edges_worth_pushing, page_rank, ppr, ppr_index};
pub use svd::svd;

use crate::job::JobSpec;
use crate::operator::{CountIds, Inspection};
use crate::table::IdRange;

/// Memory of a worker besides its tasks.
const PROCESS_BYTES: u64 = 64 << 20;

/// Estimates a job from its input's footers.
pub fn job(spec: &JobSpec, inspection: &Inspection) -> Estimate {
    match spec {
        JobSpec::Svd(spec) => svd(spec, inspection),
        JobSpec::PageRank(spec) => page_rank(spec, inspection),
        JobSpec::Ppr(spec) => ppr(spec, inspection),
        JobSpec::PprIndex(spec) => ppr_index(spec, inspection),
    }
}

/// The cost of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Rows, at most.
    pub nrows: u64,
    /// Columns, at most.
    pub ncols: u64,
    /// Stored entries, at most.
    pub nnz: u64,
    /// Whether the shape is exact or an upper bound.
    pub shape: ShapeKnowledge,
    /// Method that the estimate assumes.
    pub method: String,
    /// Reads of A.
    pub reads: u64,
    /// Stages in order.
    pub stages: Vec<StageEstimate>,
    /// Bytes of the result files.
    pub result_bytes: u64,
}

/// How sure the shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShapeKnowledge {
    /// Known.
    Exact,
    /// Ids are counted only when they are read.
    UpperBound,
}

/// The cost of one stage, or of a run of equal ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageEstimate {
    /// What it does.
    pub name: String,
    /// How often it runs.
    pub times: u64,
    /// Bytes that the worker with the largest task holds at once.
    pub memory: u64,
    /// Bytes read, each time.
    pub bytes_read: u64,
    /// Scratch bytes written, each time.
    pub scratch: u64,
}

impl Estimate {
    /// The largest memory of any stage.
    pub fn peak_memory(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.memory)
            .max()
            .unwrap_or(0)
    }

    /// Scratch bytes of all stages.
    pub fn scratch(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.scratch * stage.times)
            .sum()
    }

    /// Bytes read by all stages.
    pub fn bytes_read(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.bytes_read * stage.times)
            .sum()
    }
}

/// Different ids in a column of `rows` rows, at most.
fn distinct(rows: u64, range: Option<IdRange>) -> u64 {
    range.map_or(rows, |range| range.span.min(rows))
}

/// How often entries are sorted on their way from the input into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sorting {
    /// Integers that lie in narrow ranges: into buckets as they are read, and within blocks.
    Once,
    /// All others: by blocks as well, once their ids are looked up.
    Twice,
}

/// The stages that make blocks of `block_bytes` bytes from the input.
fn ingest(inspection: &Inspection, sorting: Sorting, block_bytes: u64) -> Vec<StageEstimate> {
    let bytes = inspection.bytes();
    let rows = inspection.rows();
    let piece_rows = rows.min(1 << 21);
    let piece_bytes = (bytes * piece_rows).checked_div(rows).unwrap_or(0);
    let stage = |name: &str, memory, bytes_read, scratch| StageEstimate {
        name: name.into(),
        times: 1,
        memory: PROCESS_BYTES + memory,
        bytes_read,
        scratch,
    };
    if inspection.vector_length.is_some() {
        return vec![stage("build blocks", 3 * piece_bytes, bytes, block_bytes)];
    }
    let entries = 12 * rows;
    let read = |dictionaries| {
        let memory = 3 * piece_bytes + 24 * piece_rows;
        stage("read entries", memory, bytes, entries + dictionaries)
    };
    let build = stage("build blocks", 40 * rows.min(1 << 22), entries, block_bytes);
    match sorting {
        Sorting::Once => {
            let ranges = [inspection.row_id_range, inspection.column_id_range];
            let (mut memory, mut tables) = (0, 0);
            for IdRange { span, .. } in ranges.into_iter().flatten() {
                memory += 8 * span;
                // Four bytes an id; tasks end with a piece, so there may be twice as many.
                tables += 8 * span * (1 + rows / CountIds::entries_of_task(span));
            }
            let count = stage("count ids", memory, 2 * entries, tables);
            vec![read(0), count, build]
        }
        Sorting::Twice => {
            let sort = stage("sort entries", 32 * piece_rows, entries, entries);
            vec![read(bytes / 4), sort, build]
        }
    }
}
