//! The index of personalized PageRank: walks from every vertex, a range of them per task (PowerWalk:
//! Liu et al., CIKM 2016). Tasks write straight into the result.

use rankmill_common::estimate::parts;
use rankmill_common::input::Orientation;
use rankmill_common::job::PprIndexSpec;
use rankmill_common::manifest::{IndexSummary, Quality};
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::walk::vertices_per_file;
use rankmill_common::operator::{Operator, Walk};
use rankmill_common::{ByteSize, Result};

use super::graph::{Edges, Graph};
use super::{JobResult, tag};
use crate::stages::Stages;

pub(super) async fn ppr_index(stages: &Stages, spec: &PprIndexSpec) -> Result<JobResult> {
    let edges = Edges::inspect(stages, &spec.input).await?;
    let graph = edges.ingest(stages, Orientation::Outgoing).await?;
    let tag = tag(stages, &graph.matrix.digest);
    let ranges = RowRange::cut(graph.vertices(), vertices_per_file(spec.entries));
    let operators = (0..).zip(ranges).map(|(index, rows): (u32, _)| Walk {
        format: graph.matrix.format,
        blocks: graph.matrix.blocks.clone(),
        vertices: graph.vertices(),
        rows,
        damping: spec.damping,
        dangling: spec.dangling,
        walks: spec.walks,
        visits: spec.visits(),
        entries: spec.entries,
        seed: spec.seed,
        output: spec.output.url.clone(),
        path: format!("fingerprints/part-{index:05}-{tag}.parquet"),
    });
    let operators: Vec<Walk> = operators.collect();
    check_fits(&graph, &operators, spec.task_memory)?;
    let parts = stages.run("walk", operators).await?;
    let summary = IndexSummary {
        graph: graph.matrix.digest,
        entries: parts.iter().map(|part| part.entries).sum(),
        missing: parts.iter().map(|part| part.missing).sum::<f64>() / graph.vertices() as f64,
    };
    Ok(JobResult {
        matrix: graph.summary(),
        inputs: graph.inputs,
        files: parts.into_iter().map(|part| part.file).collect(),
        convergence: Quality::Index(summary),
    })
}

/// Walks jump all over the graph: a task holds it whole, or the job is refused.
fn check_fits(graph: &Graph, operators: &[Walk], memory: ByteSize) -> Result<()> {
    let sizes = graph.block_sizes();
    let held = operators.first().map_or(0, |first| {
        Operator::Walk(first.clone()).memory() + parts::bytes(&sizes)
    });
    if held <= memory.0 {
        return Ok(());
    }
    Err(parts::refuse("ppr-index", &sizes, ByteSize(held), memory))
}
