//! Personalized PageRank of many sources: one task per run of sources, each with the whole graph,
//! mapped, where a task may hold that much; else in parts (see `ppr_parts`). Tasks write straight
//! into the result, so memory does not grow with the sources.

use rankmill_common::estimate::{self, parts};
use rankmill_common::input::Orientation;
use rankmill_common::job::PprSpec;
use rankmill_common::job::ppr::{PprMethod, Seeds};
use rankmill_common::job::ppr_index;
use rankmill_common::manifest::{PersonalSummary, Quality};
use rankmill_common::matrix::{Precision, RowRange, TallMatrix};
use rankmill_common::operator::power_scores::{
    BLOCK_WIDTH, Personal, PersonalScores, SourceList, block_widths, kept_for_tolerance,
};
use rankmill_common::operator::push_scores::{Completing, HandOver};
use rankmill_common::operator::{
    FindIndex, FindSources, Operator, PowerScores, PushScores, ReadIndex,
};
use rankmill_common::{ByteSize, Result};

use super::graph::{Edges, Graph};
use super::{JobResult, ppr_parts, tag};
use crate::stages::Stages;

/// Sources of one task, about.
const SOURCES_PER_TASK: u64 = 256;
/// Sources from which a task pushes first, to see whether power iteration is cheaper.
const PROBES: u32 = 8;
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
    let method = spec.chosen_method();
    let orientation = match method {
        PprMethod::Power => Orientation::Incoming,
        PprMethod::Auto | PprMethod::Push => Orientation::Outgoing,
    };
    let graph = edges.ingest(stages, orientation).await?;
    let sources = find(stages, spec, &graph).await?;
    let index = index(stages, spec, &graph).await?;
    let (parts, method) = match method {
        PprMethod::Power => {
            let parts = power(stages, spec, &graph, &sources).await?;
            (parts, PprMethod::Power.name().to_owned())
        }
        PprMethod::Auto | PprMethod::Push => {
            push(stages, spec, &graph, &sources, (method, index.as_ref())).await?
        }
    };
    Ok(result(graph, &sources, &method, parts))
}

/// The method by which sources were answered in the end.
fn used(parts: &[PersonalScores], index: Option<&Completing>) -> &'static str {
    let pushed: u64 = parts.iter().map(|part| part.pushed).sum();
    let iterated = parts.iter().any(|part| part.iterations > 0);
    match (index, pushed, iterated) {
        (Some(_), _, _) => "push+index",
        (None, 0, _) => PprMethod::Power.name(),
        (None, _, false) => PprMethod::Push.name(),
        (None, _, true) => "push+power",
    }
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
async fn index(stages: &Stages, spec: &PprSpec, graph: &Graph) -> Result<Option<Completing>> {
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
    Ok(Some(Completing {
        shards,
        spread: ppr_index::spread(found.walks),
    }))
}

async fn power(
    stages: &Stages,
    spec: &PprSpec,
    graph: &Graph,
    sources: &Sources,
) -> Result<Vec<PersonalScores>> {
    let kept = kept_for_tolerance(spec.damping, spec.tol);
    let each = sources_per_task(spec, u64::from(BLOCK_WIDTH));
    let personal = tasks(stages, spec, graph, (sources, None), each);
    let unknown = TallMatrix {
        nrows: graph.vertices(),
        ncols: 1,
        precision: Precision::Double,
        shards: Vec::new(),
    };
    let operators = personal.map(|personal| PowerScores {
        format: graph.matrix.format,
        blocks: graph.matrix.blocks.clone(),
        strengths: unknown.clone(),
        width: BLOCK_WIDTH,
        kept,
        max_iterations: spec.max_iterations,
        personal,
    });
    let mut operators: Vec<_> = operators.collect();
    let sizes = graph.block_sizes();
    let mut held = 0;
    for &width in block_widths(sources.count) {
        for operator in &mut operators {
            operator.width = width;
        }
        held = operators.first().map_or(0, |first| {
            Operator::PowerScores(first.clone()).memory() + parts::bytes(&sizes)
        });
        if held <= spec.task_memory.0 {
            break;
        }
    }
    if held > spec.task_memory.0 {
        let what = "ppr by power iteration";
        return Err(parts::refuse(
            what,
            &sizes,
            ByteSize(held),
            spec.task_memory,
        ));
    }
    let strengths = graph.out_strengths(stages).await?;
    for operator in &mut operators {
        operator.strengths = strengths.clone();
    }
    stages.run("iterate sources", operators).await
}

async fn push(
    stages: &Stages,
    spec: &PprSpec,
    graph: &Graph,
    sources: &Sources,
    (method, index): (PprMethod, Option<&Completing>),
) -> Result<(Vec<PersonalScores>, String)> {
    let sizes = graph.block_sizes();
    let held = |operators: &[PushScores]| {
        let first = operators.first().cloned();
        first.map_or(0, |first| {
            Operator::PushScores(first).memory() + parts::bytes(&sizes)
        })
    };
    let mut least = u64::MAX;
    for hand_over in hand_overs(spec, method, sources.count) {
        let most = (WORKSPACES / (26 * graph.vertices()).max(1)).clamp(1, MOST_LANES) as u32;
        let lanes = std::iter::successors(Some(most), |&lanes| (lanes > 1).then_some(lanes / 2));
        for lanes in lanes {
            let operators = whole(stages, spec, graph, (sources, index), (hand_over, lanes));
            least = held(&operators);
            if least <= spec.task_memory.0 {
                let written = stages.run("push sources", operators).await?;
                let method = used(&written, index).to_owned();
                return Ok((written, method));
            }
        }
    }
    if index.is_some() {
        let what = "ppr --index, which needs the whole graph,";
        return Err(parts::refuse(
            what,
            &sizes,
            ByteSize(least),
            spec.task_memory,
        ));
    }
    let parts = parts::push_parts(&sizes, spec.task_memory)?;
    let each = parts::batch_sources(graph.vertices()).min(sources_per_task(spec, 1));
    let batches = tasks(stages, spec, graph, (sources, None), each);
    let written = ppr_parts::push(stages, spec, (graph, &parts), batches).await?;
    Ok((written, format!("push in {} parts", parts.ranges.len())))
}

/// Ways to end what push is too dear for, the better first: power iteration needs room for its
/// panels, and for the edges the other way round.
fn hand_overs(spec: &PprSpec, method: PprMethod, sources: u64) -> Vec<Option<HandOver>> {
    let to_power = |&width: &u32| HandOver {
        probes: PROBES,
        width,
        kept: kept_for_tolerance(spec.damping, spec.tol),
        max_iterations: spec.max_iterations,
    };
    match method {
        PprMethod::Auto => {
            let widths = block_widths(sources).iter();
            widths.map(to_power).map(Some).chain([None]).collect()
        }
        PprMethod::Power | PprMethod::Push => vec![None],
    }
}

/// Tasks that hold the whole graph.
fn whole(
    stages: &Stages,
    spec: &PprSpec,
    graph: &Graph,
    (sources, index): (&Sources, Option<&Completing>),
    (hand_over, lanes): (Option<HandOver>, u32),
) -> Vec<PushScores> {
    let vertices = graph.vertices();
    let edges = graph.matrix.nnz + vertices;
    let each = sources_per_task(spec, hand_over.map_or(1, |_| u64::from(BLOCK_WIDTH)));
    let personal = tasks(stages, spec, graph, (sources, index), each);
    let operators = personal.map(|personal| PushScores {
        format: graph.matrix.format,
        blocks: graph.matrix.blocks.clone(),
        vertices,
        lanes,
        max_edges: match hand_over {
            None => edges.saturating_mul(u64::from(spec.max_iterations)),
            Some(_) => estimate::edges_worth_pushing(edges, personal.range.count, spec.tol),
        },
        index: index.cloned(),
        hand_over,
        personal,
    });
    operators.collect()
}

/// Sources of a task, in whole blocks of `block`: no more than have targets for one file.
fn sources_per_task(spec: &PprSpec, block: u64) -> u64 {
    let most = SOURCES_PER_TASK.min(MOST_ROWS / u64::from(spec.top_k));
    (most / block).max(1) * block
}

/// What each task of at most `each` sources has to do.
fn tasks<'a>(
    stages: &Stages,
    spec: &'a PprSpec,
    graph: &'a Graph,
    (sources, index): (&'a Sources, Option<&Completing>),
    each: u64,
) -> impl Iterator<Item = Personal> + 'a {
    let read = (
        &graph.matrix.digest,
        &sources.list,
        index.map(|index| &index.shards),
    );
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
            symmetric: graph.symmetric,
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
        pushed: parts.iter().map(|part| part.pushed).sum(),
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
