//! PageRank by power iteration, until the error is proven to be small (Page, Brin, Motwani &
//! Winograd 1999; the bound is that of a contraction, see `error_bound`), or until rounding keeps it
//! from being.

use rankmill_common::estimate::parts;
use rankmill_common::input::Orientation;
use rankmill_common::job::PageRankSpec;
use rankmill_common::manifest::{Quality, ScoresSummary};
use rankmill_common::matrix::{BlockRef, Precision, TallMatrix};
use rankmill_common::operator::page_rank_step::BlockSums;
use rankmill_common::operator::{PageRankStep, PageRankStepped, WriteScores};
use rankmill_common::{ByteSize, Error, Result};

use super::graph::{Edges, Graph};
use super::{JobResult, tag};
use crate::stages::Stages;

/// Steps of one task that holds the whole graph: few enough that little is lost with a worker.
const STEPS: u32 = 16;

/// Scores and how good they are.
struct Iterate {
    scores: TallMatrix,
    dangling: f64,
    /// Whether no further step is of use.
    last: bool,
    summary: ScoresSummary,
}

pub(super) async fn page_rank(stages: &Stages, spec: &PageRankSpec) -> Result<JobResult> {
    let edges = Edges::inspect(stages, &spec.input).await?;
    let graph = edges.ingest(stages, Orientation::Incoming).await?;
    let groups = groups(spec, &graph)?;
    let strengths = graph.out_strengths(stages).await?;
    let mut x: Option<Iterate> = None;
    let x = loop {
        let next = step(stages, spec, (&graph, &groups), &strengths, x.as_ref()).await?;
        if let Some(x) = &x {
            stages.release(x.scores.objects());
        }
        stages.note(format!("error at most {:.1e}", next.summary.residual));
        if next.last || next.summary.iterations >= spec.max_iterations {
            break next;
        }
        x = Some(next);
    };
    write(stages, spec, graph, x).await
}

/// Blocks by task, such that a task holds no more than it may.
fn groups(spec: &PageRankSpec, graph: &Graph) -> Result<Vec<Vec<BlockRef>>> {
    let least = parts::step_memory(&graph.block_sizes());
    let room = spec.task_memory.0.checked_sub(least.besides);
    match room {
        Some(room) if room >= least.largest_block => Ok(graph.groups(room)),
        Some(_) | None => {
            let needed = ByteSize(least.besides + least.largest_block);
            let sizes = graph.block_sizes();
            Err(parts::refuse("pagerank", &sizes, needed, spec.task_memory))
        }
    }
}

/// The next x, one or several steps further.
async fn step(
    stages: &Stages,
    spec: &PageRankSpec,
    (graph, groups): (&Graph, &[Vec<BlockRef>]),
    strengths: &TallMatrix,
    x: Option<&Iterate>,
) -> Result<Iterate> {
    let taken = x.map_or(0, |x| x.summary.iterations);
    let steps = match groups {
        [_] => STEPS.min(spec.max_iterations - taken),
        _ => 1,
    };
    let operators = groups.iter().map(|blocks| PageRankStep {
        format: graph.matrix.format,
        blocks: blocks.clone(),
        vertices: graph.vertices(),
        strengths: strengths.clone(),
        scores: x.map(|x| x.scores.clone()),
        dangling_mass: x.map(|x| x.dangling),
        damping: spec.damping,
        dangling: spec.dangling,
        steps,
        tol: spec.tol,
    });
    let name = format!("iterate from {taken}");
    let parts = stages.run(&name, operators.collect()).await?;
    assemble(spec, graph.vertices(), taken, parts)
}

fn assemble(
    spec: &PageRankSpec,
    vertices: u64,
    taken: u32,
    parts: Vec<PageRankStepped>,
) -> Result<Iterate> {
    let spread = parts.first().map_or(0.0, |part| part.spread);
    if parts
        .iter()
        .any(|part| part.spread.to_bits() != spread.to_bits())
    {
        return Err(Error::internal(
            "tasks of one step that spread other masses",
        ));
    }
    let total = BlockSums::total(spread, parts.iter().flat_map(|part| &part.sums));
    let residual = total.bound(spec.damping);
    let summary = ScoresSummary {
        converged: residual <= spec.tol,
        iterations: taken + parts.iter().map(|part| part.steps).max().unwrap_or(0),
        residual,
        change: total.change,
        sum: total.mass,
    };
    Ok(Iterate {
        dangling: total.dangling,
        last: total.is_final(spec.damping, spec.tol),
        scores: TallMatrix {
            nrows: vertices,
            ncols: 1,
            precision: Precision::Double,
            shards: parts.into_iter().map(|part| part.scores).collect(),
        },
        summary,
    })
}

async fn write(
    stages: &Stages,
    spec: &PageRankSpec,
    graph: Graph,
    x: Iterate,
) -> Result<JobResult> {
    let tag = tag(stages, &graph.matrix.digest);
    let operators = (0..)
        .zip(graph.file_places())
        .map(|(index, places): (u32, _)| WriteScores {
            places,
            ids: graph.matrix.row_ids.clone(),
            order: graph.matrix.order.clone(),
            scores: x.scores.clone(),
            output: spec.output.url.clone(),
            path: format!("scores/part-{index:05}-{tag}.parquet"),
        });
    let files = stages.run("write scores", operators.collect()).await?;
    Ok(JobResult {
        matrix: graph.summary(),
        inputs: graph.inputs,
        files,
        convergence: Quality::Scores(x.summary),
    })
}
