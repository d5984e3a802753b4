//! PageRank by power iteration, until the error is proven to be small (Page, Brin, Motwani &
//! Winograd 1999; the bound is that of a contraction, see `error_bound`).

use rankmill_common::Result;
use rankmill_common::input::Orientation;
use rankmill_common::job::PageRankSpec;
use rankmill_common::job::graph::error_bound;
use rankmill_common::manifest::{Quality, ScoresSummary};
use rankmill_common::matrix::{Precision, TallMatrix};
use rankmill_common::operator::{PageRankStep, PageRankStepped, WriteScores};

use super::graph::{Edges, Graph};
use super::{JobResult, tag};
use crate::stages::Stages;

/// Steps of one task that holds the whole graph: few enough that little is lost with a worker.
const STEPS: u32 = 16;

/// Scores and how good they are.
struct Iterate {
    scores: TallMatrix,
    summary: ScoresSummary,
}

pub(super) async fn page_rank(stages: &Stages, spec: &PageRankSpec) -> Result<JobResult> {
    let edges = Edges::inspect(stages, &spec.input).await?;
    let graph = edges.ingest(stages, Orientation::Incoming).await?;
    let strengths = graph.out_strengths(stages).await?;
    let mut x: Option<Iterate> = None;
    let x = loop {
        let next = step(stages, spec, &graph, &strengths, x.as_ref()).await?;
        if let Some(x) = &x {
            stages.release(x.scores.objects());
        }
        stages.note(format!("error at most {:.1e}", next.summary.residual));
        if next.summary.converged || next.summary.iterations >= spec.max_iterations {
            break next;
        }
        x = Some(next);
    };
    write(stages, spec, graph, x).await
}

/// The next x, one or several steps further.
async fn step(
    stages: &Stages,
    spec: &PageRankSpec,
    graph: &Graph,
    strengths: &TallMatrix,
    x: Option<&Iterate>,
) -> Result<Iterate> {
    let taken = x.map_or(0, |x| x.summary.iterations);
    let groups = graph.groups();
    let steps = match groups.as_slice() {
        [_] => STEPS.min(spec.max_iterations - taken),
        _ => 1,
    };
    let operators = groups.into_iter().map(|blocks| PageRankStep {
        format: graph.matrix.format,
        blocks,
        vertices: graph.vertices(),
        strengths: strengths.clone(),
        scores: x.map(|x| x.scores.clone()),
        damping: spec.damping,
        dangling: spec.dangling,
        steps,
        tol: spec.tol,
    });
    let name = format!("iterate from {taken}");
    let parts = stages.run(&name, operators.collect()).await?;
    Ok(assemble(spec, graph.vertices(), taken, parts))
}

fn assemble(
    spec: &PageRankSpec,
    vertices: u64,
    taken: u32,
    parts: Vec<PageRankStepped>,
) -> Iterate {
    let sum = |part: fn(&PageRankStepped) -> f64| -> f64 { parts.iter().map(part).sum() };
    let change = sum(|part| part.change);
    let residual = error_bound(spec.damping, change, sum(|part| part.rounding));
    let summary = ScoresSummary {
        converged: residual <= spec.tol,
        iterations: taken + parts.iter().map(|part| part.steps).max().unwrap_or(0),
        residual,
        change,
        sum: sum(|part| part.mass),
    };
    Iterate {
        scores: TallMatrix {
            nrows: vertices,
            ncols: 1,
            precision: Precision::Double,
            shards: parts.into_iter().map(|part| part.scores).collect(),
        },
        summary,
    }
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
