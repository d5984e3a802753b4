//! Walks from every vertex of a graph of which a task holds a part.
//!
//! Walks from a run of vertices go on in rounds, a stage each: every part takes those that have come
//! to it as far as they stay, and sends on the others, sorted by where they are. What they visited
//! is added up per start and round, and in the end gathered into the same files as on the whole
//! graph, bit by bit.

use rankmill_common::estimate::parts::WalkParts;
use rankmill_common::job::PprIndexSpec;
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::{GatherWalks, Walk, WalkPart, Walked, WalkedPart};
use rankmill_common::{ObjectRef, Result};

use super::graph::Graph;
use crate::stages::Stages;

/// Makes the files of `wanted` in parts.
pub(super) async fn walk(
    stages: &Stages,
    spec: &PprIndexSpec,
    (graph, parts): (&Graph, &WalkParts),
    wanted: &[Walk],
) -> Result<Vec<Walked>> {
    let mut made = Vec::with_capacity(wanted.len());
    let mut rest = wanted;
    while let Some(first) = rest.first() {
        let start = first.rows.start;
        let fits = |walk: &&Walk| walk.rows.end() - start <= parts.starts;
        let (files, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        rest = later;
        let end = files.last().map_or(start, |walk| walk.rows.end());
        let mut visits = Vec::new();
        for cut in RowRange::cut(end - start, parts.starts) {
            let starts = RowRange {
                start: start + cut.start,
                count: cut.count,
            };
            visits.extend(rounds(stages, spec, (graph, parts), starts).await?);
        }
        let operators = files.iter().map(|walk| GatherWalks {
            rows: walk.rows,
            visits: visits.clone(),
            damping: spec.damping,
            walks: spec.walks,
            entries: spec.entries,
            output: walk.output.clone(),
            path: walk.path.clone(),
        });
        let name = format!("gather walks from {start}");
        made.extend(stages.run(&name, operators.collect()).await?);
        stages.release(&visits);
    }
    Ok(made)
}

/// Walks from some vertices to their end; returns what they visited.
async fn rounds(
    stages: &Stages,
    spec: &PprIndexSpec,
    (graph, parts): (&Graph, &WalkParts),
    starts: RowRange,
) -> Result<Vec<ObjectRef>> {
    let (mut visits, mut round) = (Vec::new(), 1);
    let mut frontiers: Option<Vec<(ObjectRef, Vec<u64>)>> = None;
    loop {
        let part = |(part, rows): (usize, &RowRange)| {
            let arrived = frontiers.as_ref().map(|frontiers| {
                let sent = frontiers.iter().filter(|(_, sent)| sent[part] > 0);
                sent.map(|(object, _)| object.clone()).collect::<Vec<_>>()
            });
            let idle = match &arrived {
                None => rows.end() <= starts.start || starts.end() <= rows.start,
                Some(arrived) => arrived.is_empty(),
            };
            (!idle).then(|| WalkPart {
                format: graph.matrix.format,
                blocks: graph.blocks_of(*rows),
                vertices: graph.vertices(),
                parts: parts.ranges.clone(),
                part: part as u32,
                starts,
                arrived,
                damping: spec.damping,
                dangling: spec.dangling,
                walks: spec.walks,
                visits: spec.visits(),
                seed: spec.seed,
            })
        };
        let ranges = parts.ranges.iter().enumerate();
        let operators: Vec<_> = ranges.filter_map(part).collect();
        if operators.is_empty() {
            return Ok(visits);
        }
        let name = format!("walk from {} in parts: round {round}", starts.start);
        let walked = stages.run(&name, operators).await?;
        let read = frontiers.iter().flatten().map(|(object, _)| object);
        stages.release(read);
        let left = |walked: WalkedPart| {
            visits.extend(walked.visits);
            let sent = walked.sent;
            walked.frontier.map(|object| (object, sent))
        };
        frontiers = Some(walked.into_iter().filter_map(left).collect());
        round += 1;
    }
}
