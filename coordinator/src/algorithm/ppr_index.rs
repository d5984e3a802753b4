//! The index of personalized PageRank: walks from every vertex, a range of them per task (PowerWalk:
//! Liu et al., CIKM 2016). Tasks write straight into the result. Where a task may not hold the whole
//! graph, walks travel between parts of it (see `ppr_index_parts`).

use rankmill_common::estimate::parts::{self, BlockSize};
use rankmill_common::input::Orientation;
use rankmill_common::job::PprIndexSpec;
use rankmill_common::manifest::{IndexSummary, Quality};
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::walk::vertices_per_file;
use rankmill_common::operator::walk_part::{block_bytes, start_bytes};
use rankmill_common::operator::{GatherWalks, Operator, Walk, Walked};
use rankmill_common::{ByteSize, Result};

use super::graph::{Edges, Graph};
use super::{JobResult, ppr_index_parts, tag};
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
    let parts = made(stages, spec, &graph, operators).await?;
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

/// Walks on the whole graph if a task may hold it, else on parts.
async fn made(
    stages: &Stages,
    spec: &PprIndexSpec,
    graph: &Graph,
    files: Vec<Walk>,
) -> Result<Vec<Walked>> {
    let sizes = graph.block_sizes();
    let Some(first) = files.first() else {
        return Ok(Vec::new());
    };
    let held = Operator::Walk(first.clone()).memory() + parts::bytes(&sizes);
    if held <= spec.task_memory.0 {
        return stages.run("walk", files).await;
    }
    // Fingerprints of a file are made in memory, whatever the parts.
    let gather = Operator::GatherWalks(GatherWalks {
        rows: first.rows,
        visits: Vec::new(),
        damping: spec.damping,
        walks: spec.walks,
        entries: spec.entries,
        output: first.output.clone(),
        path: first.path.clone(),
    });
    if gather.memory() > spec.task_memory.0 {
        let least = ByteSize(gather.memory());
        return Err(parts::refuse("ppr-index", &sizes, least, spec.task_memory));
    }
    let blocks: Vec<BlockSize> = graph
        .matrix
        .blocks
        .iter()
        .map(|block| BlockSize {
            rows: block.nrows,
            bytes: block_bytes(block),
        })
        .collect();
    let start = start_bytes(spec.walks, spec.visits());
    let cut = parts::walk_parts(&blocks, start, spec.task_memory)?;
    ppr_index_parts::walk(stages, spec, (graph, &cut), &files).await
}
