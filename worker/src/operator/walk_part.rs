//! `walk_part`: a round of walks on a part of the graph; `gather_walks`: fingerprints of what they
//! have visited.

use rankmill_common::matrix::RowRange;
use rankmill_common::operator::Walked;
use rankmill_common::operator::walk_part::{GatherWalks, RETURNED, WalkPart, WalkedPart};
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{Cumulative, Fingerprint, OutEdges, Traveller, Walking, travel};
use rayon::prelude::*;

use super::{part_rows, walk};
use crate::context::TaskContext;
use crate::storage::by_source::{EntryReader, EntryWriter, Number};

/// Columns of visits behind the start.
const VISITS: [(&str, Number); 2] = [("vertex", Number::Index), ("count", Number::Index)];
/// Columns of a frontier behind the vertex where a walk is.
const FRONTIER: [(&str, Number); 3] = [
    ("start", Number::Index),
    ("walk", Number::Index),
    ("step", Number::Index),
];
/// Vertices after which a thread looks for another's work, and whether to stop.
const TURN: u64 = 64;

pub(crate) fn run(context: &TaskContext, operator: &WalkPart) -> Result<WalkedPart> {
    let rows = operator
        .rows()
        .ok_or_else(|| Error::internal("walks on no part of the graph"))?;
    let open = part_rows::open(
        context,
        operator.format,
        operator.vertices,
        &operator.blocks,
    )?;
    let views = part_rows::views(&operator.blocks, &open, rows)?;
    let graph = OutEdges::new(&views);
    let walking = Walking {
        damping: operator.damping,
        self_loops: walk::self_loops(operator.dangling)?,
        walks: operator.walks,
        entries: 0,
        seed: operator.seed,
    };
    let travellers = travellers(context, operator, rows)?;
    let part = rows.start as u32..rows.end() as u32;
    let cumulative = Cumulative::new(&graph);
    let travelled = travel(&graph, &cumulative, &part, &walking, &travellers);
    let mut visits: Vec<u64> = travelled.visits.par_iter().map(|&v| key(v)).collect();
    visits.extend(
        travelled
            .returned
            .iter()
            .map(|&start| key((start, RETURNED))),
    );
    if operator.arrived.is_none() {
        // Every walk has visited the vertex from which it starts.
        visits.extend(travellers.iter().map(|walk| key((walk.start, walk.start))));
    }
    drop(travellers);
    context.check_cancelled()?;
    let visits = write_visits(context, visits)?;
    let mut left = travelled.left;
    left.par_sort_unstable();
    let mut frontier = EntryWriter::new(context, "frontier.arrow", &FRONTIER, operator.parts.len());
    let (mut sent, mut to) = (vec![0; operator.parts.len()], 0);
    for walk in left {
        while u64::from(walk.at) >= operator.parts[to].end() {
            to += 1;
        }
        sent[to] += 1;
        frontier.push(to, walk.at, [walk.start, walk.walk, walk.step], [])?;
    }
    Ok(WalkedPart {
        visits,
        frontier: frontier.finish()?,
        sent,
    })
}

fn key((start, vertex): (u32, u32)) -> u64 {
    u64::from(start) << 32 | u64::from(vertex)
}

/// The walks that the part takes further, in an order that does not depend on who sent them.
fn travellers(
    context: &TaskContext,
    operator: &WalkPart,
    rows: RowRange,
) -> Result<Vec<Traveller>> {
    let mut travellers = Vec::new();
    let Some(arrived) = &operator.arrived else {
        let first = rows.start.max(operator.starts.start);
        for start in first..rows.end().min(operator.starts.end()) {
            travellers.extend((0..operator.walks).map(|walk| Traveller {
                at: start as u32,
                start: start as u32,
                walk,
                step: 0,
            }));
        }
        return Ok(travellers);
    };
    let lists = (operator.part as usize, operator.parts.len());
    for object in arrived {
        let reader = EntryReader::open(context, object, lists, FRONTIER.len())?;
        for slices in reader.all() {
            let rest = slices.indices(0).iter().zip(slices.indices(1));
            let rest = rest.zip(slices.indices(2));
            for (&at, ((&start, &walk), &step)) in slices.sources().iter().zip(rest) {
                if !(rows.start..rows.end()).contains(&u64::from(at)) {
                    return Err(Error::internal(format!("a walk at {at}, of another part")));
                }
                travellers.push(Traveller {
                    at,
                    start,
                    walk,
                    step,
                });
            }
        }
    }
    travellers.par_sort_unstable();
    Ok(travellers)
}

fn write_visits(
    context: &TaskContext,
    mut visits: Vec<u64>,
) -> Result<Option<rankmill_common::ObjectRef>> {
    visits.par_sort_unstable();
    let mut writer = EntryWriter::new(context, "visits.arrow", &VISITS, 1);
    for run in visits.chunk_by(|a, b| a == b) {
        let (start, vertex) = ((run[0] >> 32) as u32, run[0] as u32);
        writer.push(0, start, [vertex, run.len() as u32], [])?;
    }
    writer.finish()
}

pub(crate) fn gather(context: &TaskContext, operator: &GatherWalks) -> Result<Walked> {
    let visits = operator
        .visits
        .iter()
        .map(|object| EntryReader::open(context, object, (0, 1), VISITS.len()))
        .collect::<Result<Vec<_>>>()?;
    let walking = Walking {
        damping: operator.damping,
        // The walks are over.
        self_loops: false,
        walks: operator.walks,
        entries: operator.entries as usize,
        seed: 0,
    };
    let turns = RowRange::cut(operator.rows.count, TURN);
    let made = turns
        .into_par_iter()
        .map(|turn| {
            context.check_cancelled()?;
            let first = operator.rows.start + turn.start;
            let vertices = first..first + turn.count;
            Ok(vertices
                .map(|vertex| fingerprint(&visits, vertex as u32, &walking))
                .collect())
        })
        .collect::<Result<Vec<Vec<Fingerprint>>>>()?;
    let made: Vec<Fingerprint> = made.into_iter().flatten().collect();
    let place = (operator.output.as_str(), operator.path.as_str());
    walk::written(context, operator.entries, place, &made)
}

/// The fingerprint of a vertex, from what all rounds have counted.
fn fingerprint(visits: &[EntryReader], vertex: u32, walking: &Walking) -> Fingerprint {
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for slices in visits.iter().flat_map(|visits| visits.of(vertex)) {
        let pairs = slices.indices(0).iter().zip(slices.indices(1));
        counts.extend(pairs.map(|(&vertex, &count)| (vertex, count)));
    }
    counts.sort_unstable_by_key(|&(vertex, _)| vertex);
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(counts.len());
    let mut returned = 0;
    for (vertex, count) in counts {
        match merged.last_mut() {
            _ if vertex == RETURNED => returned += u64::from(count),
            Some(last) if last.0 == vertex => last.1 += count,
            Some(_) | None => merged.push((vertex, count)),
        }
    }
    Fingerprint::of_visits(&mut merged, returned, walking)
}
