//! The cost of jobs on graphs.

use super::iterations::Iterations;
use super::parts::{self, BlockSize, WalkParts};
use super::{Estimate, PROCESS_BYTES, ShapeKnowledge, Sorting, StageEstimate, distinct, ingest};
use crate::input::{EdgeDirection, Ids, InputSpec, Layout};
use crate::job::ppr::{PprMethod, PprSpec, Seeds};
use crate::job::{PageRankSpec, PprIndexSpec, ppr as job};
use crate::matrix::{Precision, RowRange};
use crate::operator::power_scores::{BLOCK_WIDTH, block_widths, kept_for_tolerance, panel_bytes};
use crate::operator::walk::{fingerprint_bytes, vertices_per_file};
use crate::operator::walk_part::start_bytes;
use crate::operator::{Inspection, TASK_OVERHEAD};
use crate::table::IdRange;

/// Rounds of push in parts to loose tolerances.
const TYPICAL_ROUNDS: u64 = 30;
/// Bytes of a stored edge: a 32-bit column.
const EDGE_BYTES: u64 = 4;
/// Bytes of a stored weight.
const WEIGHT_BYTES: u64 = 4;

/// Vertices, edges and bytes of blocks, at most.
struct Size {
    vertices: u64,
    edges: u64,
    bytes: u64,
    shape: ShapeKnowledge,
}

impl Size {
    /// Blocks as they are made of so many edges, all alike.
    fn blocks(&self) -> Vec<BlockSize> {
        let count = self.edges.div_ceil(parts::block_entries(self.edges)).max(1);
        let bytes = self.bytes.div_ceil(count);
        let rows = RowRange::cut(self.vertices, self.vertices.div_ceil(count));
        let block = |rows: RowRange| BlockSize {
            rows: rows.count,
            bytes,
        };
        rows.into_iter().map(block).collect()
    }

    fn of(input: &InputSpec, inspection: &Inspection) -> Self {
        let rows = inspection.rows();
        let ends = inspection.row_id_range.zip(inspection.column_id_range);
        let range = ends.map(|(src, dst)| src.join(dst));
        let (mut vertices, mut edges) = (distinct(2 * rows, range), rows);
        let (mut shape, mut entry) = (ShapeKnowledge::UpperBound, EDGE_BYTES);
        match &input.layout {
            Layout::Graph(layout) => {
                let count = match layout.ids {
                    Ids::Dense {
                        shape: Some((count, _)),
                    } => Some(count),
                    Ids::Dense { shape: None } => range.and_then(IdRange::indices),
                    Ids::Dictionary => None,
                };
                if let Some(count) = count {
                    (vertices, shape) = (count, ShapeKnowledge::Exact);
                }
                edges *= match layout.edges {
                    EdgeDirection::Directed => 1,
                    EdgeDirection::Undirected => 2,
                };
                entry += layout.weight.as_ref().map_or(0, |_| WEIGHT_BYTES);
            }
            // A graph job on anything else is refused before it comes here.
            Layout::Sparse(_) | Layout::Dense(_) => {}
        }
        Self {
            vertices,
            edges,
            bytes: edges * entry + 4 * vertices,
            shape,
        }
    }

    fn estimate(
        &self,
        method: &str,
        reads: u64,
        stages: Vec<StageEstimate>,
        result: u64,
    ) -> Estimate {
        Estimate {
            nrows: self.vertices,
            ncols: self.vertices,
            nnz: self.edges,
            shape: self.shape,
            method: method.to_owned(),
            reads,
            stages,
            result_bytes: result,
        }
    }
}

/// Estimates PageRank from its input's footers.
pub fn page_rank(spec: &PageRankSpec, inspection: &Inspection) -> Estimate {
    let size = Size::of(&spec.input, inspection);
    let steps = Iterations::new(spec.damping, spec.tol, spec.max_iterations);
    let mut stages = ingest(inspection, Sorting::Twice, size.bytes);
    let blocks = size.blocks();
    let least = parts::step_memory(&blocks);
    let room = spec.task_memory.0.saturating_sub(least.besides);
    // Whole blocks, and one of them at least: where that is too much, the job is refused.
    let held = room.clamp(least.largest_block, size.bytes.max(least.largest_block));
    let tasks = size.bytes.div_ceil(held.max(1)).max(1);
    stages.push(StageEstimate {
        name: match tasks {
            1 => format!("read edges: one of at most {} steps", steps.most),
            tasks => format!(
                "read edges: one of at most {} steps, in {tasks} parts",
                steps.most
            ),
        },
        times: steps.typical,
        memory: PROCESS_BYTES + least.besides + held,
        bytes_read: size.bytes + 8 * size.vertices,
        scratch: 8 * size.vertices,
    });
    size.estimate("power", steps.typical + 1, stages, 16 * size.vertices)
}

/// Estimates personalized PageRank from its input's footers.
pub fn ppr(spec: &PprSpec, inspection: &Inspection) -> Estimate {
    let size = Size::of(&spec.input, inspection);
    let method = spec.chosen_method();
    let sources = match &spec.seeds {
        Seeds::All => size.vertices,
        Seeds::Ids { ids } => ids.len() as u64,
        // Their files are read when the job runs.
        Seeds::Sources { .. } | Seeds::Table { .. } => 1,
    };
    let mut stages = ingest(inspection, Sorting::Twice, size.bytes);
    let (method, stage) = match method {
        PprMethod::Power => power(spec, &size, sources),
        PprMethod::Auto => auto(spec, &size, sources),
        PprMethod::Push => push(spec, &size, sources),
    };
    let times = stage.times;
    stages.push(stage);
    let targets = u64::from(spec.top_k.min(job::MAX_TOP_K)).min(size.vertices);
    let result = sources * targets * (12 + Precision::Double.bytes());
    size.estimate(&method, times, stages, result)
}

/// Bytes of the graph, of the panels of a block of `width` sources, and of numbers per vertex.
fn iterated(spec: &PprSpec, size: &Size, width: u32) -> u64 {
    let kept = kept_for_tolerance(spec.damping, spec.tol);
    size.bytes + panel_bytes(size.vertices, width, kept) + 32 * size.vertices
}

/// The widest block of sources with which `held` fits into a task, or the narrowest.
fn block_width(spec: &PprSpec, sources: u64, held: impl Fn(u32) -> u64) -> u32 {
    let widths = block_widths(sources).iter().copied();
    let fits = |width: &u32| TASK_OVERHEAD + held(*width) <= spec.task_memory.0;
    widths
        .clone()
        .find(fits)
        .or(widths.last())
        .unwrap_or(BLOCK_WIDTH)
}

/// A stage that holds so many bytes, and whether that is refused.
fn named(what: &str, spec: &PprSpec, held: u64) -> String {
    match TASK_OVERHEAD + held <= spec.task_memory.0 {
        true => what.to_owned(),
        false => format!("{what} (refused: --task-memory is {})", spec.task_memory),
    }
}

/// What a read of edges is for.
fn a_block(steps: &Iterations) -> String {
    format!("one of at most {} steps of a block", steps.most)
}

/// Power iteration on blocks of sources.
fn power(spec: &PprSpec, size: &Size, sources: u64) -> (String, StageEstimate) {
    let width = block_width(spec, sources, |width| iterated(spec, size, width));
    let steps = Iterations::new(spec.damping, spec.tol, spec.max_iterations);
    let what = format!("read edges: {}", a_block(&steps));
    let stage = StageEstimate {
        name: named(&what, spec, iterated(spec, size, width)),
        times: sources.div_ceil(u64::from(width)) * steps.typical,
        memory: PROCESS_BYTES + iterated(spec, size, width),
        bytes_read: size.bytes,
        scratch: 0,
    };
    (PprMethod::Power.name().to_owned(), stage)
}

/// Push, and power iteration where answers are not local: for that the graph is turned round. Only
/// push where that does not fit.
fn auto(spec: &PprSpec, size: &Size, sources: u64) -> (String, StageEstimate) {
    let held = |width| size.bytes + iterated(spec, size, width) + 40 * size.vertices;
    let held = held(block_width(spec, sources, held));
    if TASK_OVERHEAD + held > spec.task_memory.0 {
        return push(spec, size, sources);
    }
    let steps = Iterations::new(spec.damping, spec.tol, spec.max_iterations);
    let stage = StageEstimate {
        name: format!("push from a source, or read edges: {}", a_block(&steps)),
        memory: PROCESS_BYTES + held,
        ..power(spec, size, sources).1
    };
    (PprMethod::Auto.name().to_owned(), stage)
}

/// Push on the whole graph, or in parts where a task may not hold it.
fn push(spec: &PprSpec, size: &Size, sources: u64) -> (String, StageEstimate) {
    let whole = size.bytes + 58 * size.vertices;
    let cut = match TASK_OVERHEAD + whole <= spec.task_memory.0 {
        true => None,
        false => parts::push_parts(&size.blocks(), spec.task_memory).ok(),
    };
    let name = PprMethod::Push.name();
    let Some(cut) = cut else {
        let stage = StageEstimate {
            name: named("push from a source", spec, whole),
            times: sources,
            memory: PROCESS_BYTES + whole,
            bytes_read: size.bytes,
            scratch: 0,
        };
        return (name.to_owned(), stage);
    };
    let count = cut.ranges.len();
    let stage = StageEstimate {
        name: format!("push a batch of sources in {count} parts: one round"),
        times: sources.div_ceil(parts::batch_sources(size.vertices)) * TYPICAL_ROUNDS,
        memory: PROCESS_BYTES + spec.task_memory.0,
        bytes_read: size.bytes,
        scratch: 0,
    };
    (format!("{name} in {count} parts"), stage)
}

/// Edges that are worth following from one of `sources` sources: as many as power iteration of all
/// of them on a graph of `edges` edges costs.
///
/// Both are bound by what they gather: following an edge costs as much as it costs to gather a
/// cache line along it, which serves a block of sources.
pub fn edges_worth_pushing(edges: u64, sources: u64, tol: f64) -> u64 {
    // Turning the edges round.
    const TURN: u64 = 3;
    let sources = sources.max(1);
    let reads = u64::from(iterations(tol)) * sources.div_ceil(u64::from(BLOCK_WIDTH)) + TURN;
    edges.saturating_mul(reads) / sources
}

/// Iterations to a tolerance: directed graphs contract about by half.
fn iterations(tol: f64) -> u32 {
    let (mut left, mut count) = (1.0, 1);
    while left > tol && count < 100 {
        left *= 0.5;
        count += 1;
    }
    count
}

/// Estimates an index from its input's footers.
pub fn ppr_index(spec: &PprIndexSpec, inspection: &Inspection) -> Estimate {
    let size = Size::of(&spec.input, inspection);
    let mut stages = ingest(inspection, Sorting::Twice, size.bytes);
    let sums = match &spec.input.layout {
        Layout::Graph(layout) if layout.weight.is_some() => 8 * size.edges,
        Layout::Graph(_) | Layout::Sparse(_) | Layout::Dense(_) => 0,
    };
    let held = vertices_per_file(spec.entries).min(size.vertices);
    let whole = 16 * size.vertices
        + sums
        + 3 * held * (fingerprint_bytes(spec.entries) + 64)
        + 512 * spec.visits();
    let start = start_bytes(spec.walks, spec.visits());
    let cut = match TASK_OVERHEAD + size.bytes + whole <= spec.task_memory.0 {
        true => None,
        false => parts::walk_parts(&size.blocks(), start, spec.task_memory).ok(),
    };
    let (method, reads, stage) = match cut {
        None => ("walks".to_owned(), 1, walks(&size, spec, whole)),
        Some(cut) => {
            let stage = walks_in_parts(&size, spec, &cut);
            let method = format!("walks in {} parts", cut.ranges.len());
            (method, stage.times, stage)
        }
    };
    stages.push(stage);
    // Walks meet no more vertices than they make visits.
    let entries = u64::from(spec.entries)
        .min(spec.visits())
        .min(size.vertices);
    let result = size.vertices * fingerprint_bytes(entries as u32);
    size.estimate(&method, reads, stages, result)
}

/// Walks on the whole graph, a file of fingerprints at a time.
fn walks(size: &Size, spec: &PprIndexSpec, held: u64) -> StageEstimate {
    let files = size.vertices.div_ceil(vertices_per_file(spec.entries));
    StageEstimate {
        name: "walk from vertices".into(),
        times: files.max(1),
        memory: PROCESS_BYTES + held,
        bytes_read: size.bytes,
        scratch: 0,
    }
}

/// Walks that go from part to part in rounds, some starts after the others.
fn walks_in_parts(size: &Size, spec: &PprIndexSpec, cut: &WalkParts) -> StageEstimate {
    let count = cut.ranges.len();
    StageEstimate {
        name: format!("walk from vertices in {count} parts: one round"),
        times: size.vertices.div_ceil(cut.starts.max(1)) * TYPICAL_ROUNDS,
        memory: PROCESS_BYTES + spec.task_memory.0,
        bytes_read: size.bytes,
        scratch: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByteSize;
    use crate::input::{Duplicates, GraphLayout, OnBadRow};
    use crate::job::graph::{Dangling, defaults};
    use crate::job::ppr::{OnMissingSource, Stop};
    use crate::job::svd::Convergence;
    use crate::job::{OutputSpec, Overwrite};
    use crate::operator::inspect::{PinnedFile, RowGroup};
    use crate::table::IdType;

    fn edges(rows: u64) -> Inspection {
        Inspection {
            files: vec![PinnedFile {
                url: "file:///edges".into(),
                size: 1,
                version: String::new(),
                row_groups: vec![RowGroup {
                    rows,
                    bytes: 16 * rows,
                }],
            }],
            row_id_type: IdType::Int64,
            column_id_type: IdType::Int64,
            row_id_range: None,
            column_id_range: None,
            vector_length: None,
        }
    }

    fn spec(vertices: u64, tol: f64, dangling: Dangling) -> PprSpec {
        PprSpec {
            input: InputSpec {
                paths: vec!["file:///edges".into()],
                layout: Layout::Graph(GraphLayout {
                    src: "src".into(),
                    dst: "dst".into(),
                    weight: None,
                    ids: Ids::Dense {
                        shape: Some((vertices, vertices)),
                    },
                    duplicates: Duplicates::Sum,
                    edges: EdgeDirection::Directed,
                }),
                on_bad_row: OnBadRow::Error,
            },
            output: OutputSpec {
                url: "file:///out".into(),
                overwrite: Overwrite::Refuse,
            },
            seeds: Seeds::All,
            on_missing_source: OnMissingSource::Error,
            damping: defaults::DAMPING,
            dangling,
            tol,
            top_k: 100,
            method: PprMethod::Auto,
            index: None,
            stop: Stop::Bound,
            max_iterations: defaults::MAX_ITERATIONS,
            convergence: Convergence::Report,
            task_memory: defaults::TASK_MEMORY,
        }
    }

    #[test]
    fn only_what_push_cannot_do_is_decided_before_it_runs() {
        let method =
            |rows, tol, dangling| ppr(&spec(rows / 16, tol, dangling), &edges(rows)).method;
        assert_eq!(method(1 << 20, 1e-4, Dangling::Restart), "auto");
        assert_eq!(method(1 << 30, 1e-1, Dangling::Uniform), "power");
    }

    #[test]
    fn damping_and_tolerance_bound_the_reads() {
        let reads = |damping, tol, max_iterations| {
            let spec = PprSpec {
                damping,
                max_iterations,
                method: PprMethod::Power,
                seeds: Seeds::Ids {
                    ids: vec!["7".into()],
                },
                ..spec(1 << 20, tol, Dangling::Restart)
            };
            let last = ppr(&spec, &edges(1 << 24)).stages.pop().expect("a stage");
            (last.times, last.name)
        };
        // 2·0.5ᵏ/0.5 ≤ 0.01 from k = 9 on.
        let (times, name) = reads(0.5, 1e-2, 1000);
        assert_eq!(times, 9, "{name}");
        assert!(name.contains("at most 9 steps"), "{name}");
        let (times, name) = reads(0.99, 1e-6, 5000);
        assert_eq!(times, 20, "{name}");
        // ln(0.5e-8)/ln 0.99 = 1901.8…
        assert!(name.contains("at most 1902 steps"), "{name}");
        assert_eq!(reads(0.99, 1e-6, 7).0, 7);
    }

    #[test]
    fn a_source_is_worth_fewer_edges_the_more_share_a_read() {
        let worth = |sources, tol| edges_worth_pushing(1000, sources, tol);
        assert_eq!(worth(1, 0.25), 6000);
        assert_eq!(worth(16, 0.25), 375);
        assert!(worth(64, 1e-8) > worth(64, 1e-4));
        assert!(worth(1, 1e-4) > 10 * worth(64, 1e-4));
    }

    #[test]
    fn what_a_task_may_hold_decides_whether_there_are_parts() {
        let method = |memory: u64, dangling| {
            let spec = PprSpec {
                task_memory: ByteSize(memory),
                ..spec(1 << 22, 1e-4, dangling)
            };
            ppr(&spec, &edges(1 << 26)).method
        };
        assert_eq!(method(4 << 30, Dangling::Restart), "auto");
        let parts = method(256 << 20, Dangling::Restart);
        assert!(parts.starts_with("push in "), "{parts}");
        assert_eq!(method(256 << 20, Dangling::Uniform), "power");
        let refused = |memory: u64| {
            let spec = PprSpec {
                task_memory: ByteSize(memory),
                ..spec(1 << 22, 1e-4, Dangling::Uniform)
            };
            let last = ppr(&spec, &edges(1 << 26)).stages.pop();
            last.is_some_and(|stage| stage.name.contains("refused"))
        };
        assert!(refused(256 << 20) && !refused(4 << 30));
    }

    #[test]
    fn an_index_is_made_in_parts_where_a_task_may_not_hold_the_graph() {
        let method = |memory: u64| {
            let ppr = spec(1 << 22, 1e-4, Dangling::Restart);
            let spec = PprIndexSpec {
                input: ppr.input,
                output: ppr.output,
                damping: ppr.damping,
                dangling: ppr.dangling,
                walks: 100,
                entries: 64,
                seed: 0,
                task_memory: ByteSize(memory),
            };
            ppr_index(&spec, &edges(1 << 26)).method
        };
        assert_eq!(method(4 << 30), "walks");
        let parts = method(256 << 20);
        assert!(parts.starts_with("walks in "), "{parts}");
    }

    #[test]
    fn memory_does_not_grow_with_the_sources() {
        let all = ppr(&spec(1 << 20, 1e-4, Dangling::Restart), &edges(1 << 24));
        let listed = PprSpec {
            seeds: Seeds::Ids {
                ids: vec!["7".into(); 200],
            },
            ..spec(1 << 20, 1e-4, Dangling::Restart)
        };
        let listed = ppr(&listed, &edges(1 << 24));
        assert_eq!(all.peak_memory(), listed.peak_memory());
        assert!(all.result_bytes > listed.result_bytes);
    }
}
