//! Personalized PageRank of many sources: one task per run of sources, each with the whole graph,
//! mapped, where a task may hold that much; else in parts (see `ppr_parts`). Tasks write straight
//! into the result, so memory does not grow with the sources.

use rankmill_common::estimate::parts;
use rankmill_common::input::Orientation;
use rankmill_common::job::PprSpec;
use rankmill_common::job::graph::Dangling;
use rankmill_common::job::ppr::{PprMethod, Seeds};
use rankmill_common::manifest::{PersonalSummary, Quality};
use rankmill_common::matrix::{Precision, RowRange, TallMatrix};
use rankmill_common::operator::power_scores::{
    NARROWEST, Personal, PersonalScores, SourceList, block_width, iteration_precision,
};
use rankmill_common::operator::{
    FindIndex, FindSources, IndexShard, Operator, PowerScores, PushScores, ReadIndex,
};
use rankmill_common::{ByteSize, ErrorKind, Result};

use super::graph::{Edges, Graph};
use super::{JobResult, ppr_parts, tag};
use crate::stages::Stages;

/// Blocks of sources of one task by power iteration.
const BLOCKS_PER_TASK: u64 = 4;
/// Sources of one task by push.
const PUSHED_PER_TASK: u64 = 256;
/// Rows of one file of scores, at most.
const MOST_ROWS: u64 = 1 << 24;
/// Bytes of all workspaces of a task by push, about.
const WORKSPACES: u64 = 2 << 30;
/// Most sources that a task pushes from at a time.
const MOST_LANES: u64 = 64;

/// Where the sources of the job come from.
struct Sources {
    list: SourceList,
    count: u64,
    skipped: u64,
}

pub(super) async fn ppr(stages: &Stages, spec: &PprSpec) -> Result<JobResult> {
    let edges = Edges::inspect(stages, &spec.input).await?;
    let method = spec.chosen_method(edges.count());
    let orientation = match method {
        PprMethod::Auto | PprMethod::Power => Orientation::Incoming,
        PprMethod::Push => Orientation::Outgoing,
    };
    let mut graph = edges.ingest(stages, orientation).await?;
    let sources = find(stages, spec, &graph).await?;
    let index = index(stages, spec, &graph).await?;
    if method != PprMethod::Push {
        match power(stages, spec, &graph, &sources).await {
            // It fits into no task. Push can do with parts of the graph.
            Err(error) if error.kind == ErrorKind::ResourceExhausted && may_push(spec) => {
                graph = edges.ingest(stages, Orientation::Outgoing).await?;
            }
            parts => return Ok(result(graph, &sources, PprMethod::Power.name(), parts?)),
        }
    }
    let (parts, method) = push(stages, spec, &graph, &sources, index.as_ref()).await?;
    Ok(result(graph, &sources, &method, parts))
}

/// Whether push can do what was asked for.
fn may_push(spec: &PprSpec) -> bool {
    spec.method == PprMethod::Auto && spec.dangling != Dangling::Uniform
}

async fn find(stages: &Stages, spec: &PprSpec, graph: &Graph) -> Result<Sources> {
    if spec.seeds == Seeds::All {
        return Ok(Sources {
            list: SourceList::All,
            count: graph.vertices(),
            skipped: 0,
        });
    }
    let find = FindSources {
        seeds: spec.seeds.clone(),
        ids: graph.matrix.row_ids.clone(),
        order: graph.matrix.order.clone(),
        on_missing: spec.on_missing_source,
    };
    let found = stages.run_one("find sources", find).await?;
    Ok(Sources {
        list: SourceList::Found {
            object: found.object,
            names: found.names,
        },
        count: found.count,
        skipped: found.skipped,
    })
}

/// The index that completes what push leaves: checked, and where every worker can map it.
async fn index(stages: &Stages, spec: &PprSpec, graph: &Graph) -> Result<Option<Vec<IndexShard>>> {
    let Some(index) = &spec.index else {
        return Ok(None);
    };
    let find = FindIndex {
        index: index.clone(),
        graph: graph.matrix.digest,
        vertices: graph.vertices(),
        damping: spec.damping,
        dangling: spec.dangling,
    };
    let found = stages.run_one("find index", find).await?;
    let operators = found.files.into_iter().map(|file| ReadIndex {
        index: index.clone(),
        file,
        vertices: graph.vertices(),
        entries: found.entries,
    });
    let shards = stages.run("read index", operators.collect()).await?;
    Ok(Some(shards))
}

async fn power(
    stages: &Stages,
    spec: &PprSpec,
    graph: &Graph,
    sources: &Sources,
) -> Result<Vec<PersonalScores>> {
    let precision = iteration_precision(spec.damping, spec.tol);
    let mut width = block_width(graph.vertices(), precision);
    let sizes = graph.block_sizes();
    loop {
        let each = (BLOCKS_PER_TASK * u64::from(width)).min(most_sources(spec, u64::from(width)));
        let personal = tasks(stages, spec, graph, (sources, None), each);
        let operators = personal.map(|personal| PowerScores {
            format: graph.matrix.format,
            blocks: graph.matrix.blocks.clone(),
            strengths: TallMatrix {
                nrows: graph.vertices(),
                ncols: 1,
                precision: Precision::Double,
                shards: Vec::new(),
            },
            width,
            precision,
            max_iterations: spec.max_iterations,
            personal,
        });
        let mut operators: Vec<_> = operators.collect();
        let held = operators.first().map_or(0, |first| {
            Operator::PowerScores(first.clone()).memory() + parts::bytes(&sizes)
        });
        if held <= spec.task_memory.0 {
            let strengths = graph.out_strengths(stages).await?;
            for operator in &mut operators {
                operator.strengths = strengths.clone();
            }
            return stages.run("iterate sources", operators).await;
        }
        if width <= NARROWEST {
            let what = "ppr by power iteration";
            return Err(parts::refuse(
                what,
                &sizes,
                ByteSize(held),
                spec.task_memory,
            ));
        }
        // Fewer sources side by side cost more per source but hold less.
        width = (width / 2).next_multiple_of(NARROWEST);
    }
}

async fn push(
    stages: &Stages,
    spec: &PprSpec,
    graph: &Graph,
    sources: &Sources,
    index: Option<&Vec<IndexShard>>,
) -> Result<(Vec<PersonalScores>, String)> {
    let vertices = graph.vertices();
    let mut lanes = (WORKSPACES / (26 * vertices).max(1)).clamp(1, MOST_LANES) as u32;
    let personal = tasks(
        stages,
        spec,
        graph,
        (sources, index),
        PUSHED_PER_TASK.min(most_sources(spec, 1)),
    );
    let operators = personal.map(|personal| PushScores {
        format: graph.matrix.format,
        blocks: graph.matrix.blocks.clone(),
        vertices,
        lanes,
        max_edges: (graph.matrix.nnz + vertices).saturating_mul(u64::from(spec.max_iterations)),
        index: index.cloned(),
        personal,
    });
    let mut operators: Vec<_> = operators.collect();
    let sizes = graph.block_sizes();
    let held = |first: &PushScores, lanes| {
        let first = PushScores {
            lanes,
            ..first.clone()
        };
        Operator::PushScores(first).memory() + parts::bytes(&sizes)
    };
    let fits = loop {
        let first = operators.first();
        if first.is_none_or(|first| held(first, lanes) <= spec.task_memory.0) {
            break true;
        }
        if lanes == 1 {
            break false;
        }
        lanes /= 2;
    };
    if fits {
        for operator in &mut operators {
            operator.lanes = lanes;
        }
        let method = match index {
            None => PprMethod::Push.name(),
            Some(_) => "push+index",
        };
        let written = stages.run("push sources", operators).await?;
        return Ok((written, method.to_owned()));
    }
    if let (Some(_), Some(first)) = (index, operators.first()) {
        let what = "ppr --index, which needs the whole graph,";
        let least = ByteSize(held(first, 1));
        return Err(parts::refuse(what, &sizes, least, spec.task_memory));
    }
    let parts = parts::push_parts(&sizes, spec.task_memory)?;
    let each = parts::batch_sources(vertices).min(most_sources(spec, 1));
    let batches = tasks(stages, spec, graph, (sources, None), each);
    let written = ppr_parts::push(stages, spec, (graph, &parts), batches).await?;
    Ok((written, format!("push in {} parts", parts.ranges.len())))
}

/// Sources whose targets fill a file, in whole blocks of `block`.
fn most_sources(spec: &PprSpec, block: u64) -> u64 {
    (MOST_ROWS / u64::from(spec.top_k) / block).max(1) * block
}

/// What each task of at most `each` sources has to do.
fn tasks<'a>(
    stages: &Stages,
    spec: &'a PprSpec,
    graph: &'a Graph,
    (sources, index): (&'a Sources, Option<&Vec<IndexShard>>),
    each: u64,
) -> impl Iterator<Item = Personal> + 'a {
    let read = (&graph.matrix.digest, &sources.list, index);
    let tag = tag(stages, &read);
    let ranges = RowRange::cut(sources.count, each);
    (0..)
        .zip(ranges)
        .map(move |(index, range): (u32, _)| Personal {
            ids: graph.matrix.row_ids.clone(),
            order: graph.matrix.order.clone(),
            sources: sources.list.clone(),
            range,
            damping: spec.damping,
            dangling: spec.dangling,
            tol: spec.tol,
            stop: spec.stop,
            top_k: spec.top_k,
            output: spec.output.url.clone(),
            scores_path: format!("scores/part-{index:05}-{tag}.parquet"),
            sources_path: format!("sources/part-{index:05}-{tag}.parquet"),
        })
}

fn result(graph: Graph, sources: &Sources, method: &str, parts: Vec<PersonalScores>) -> JobResult {
    let unconverged = parts.iter().map(|part| part.unconverged).sum();
    let summary = PersonalSummary {
        converged: unconverged == 0,
        method: method.to_owned(),
        sources: sources.count,
        skipped_sources: sources.skipped,
        proven: parts.iter().map(|part| part.proven).sum(),
        unconverged,
        max_residual: parts
            .iter()
            .fold(0.0, |most, part| part.max_residual.max(most)),
        iterations: parts.iter().map(|part| part.iterations).max().unwrap_or(0),
        edges: parts.iter().map(|part| part.edges).sum(),
    };
    let (scores, listed): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .map(|part| (part.scores, part.sources))
        .unzip();
    JobResult {
        matrix: graph.summary(),
        inputs: graph.inputs,
        files: scores.into_iter().chain(listed).collect(),
        convergence: Quality::Personal(summary),
    }
}
