//! Walks on a part of a graph: the rows of some vertices.
//!
//! A walk goes on while it stays in the part, and travels when it leaves it. It takes the same words
//! of the same random sequence as [`super::Walker`] does, wherever it stands, so a fingerprint does
//! not show whether the graph was in parts.

use std::ops::Range;

use super::push::OutEdges;
use super::walk::{Cumulative, Stepping, TURN, Walking};
use crate::random::Philox;
use rayon::prelude::*;

/// Walks that one task takes further.
const CHUNK: usize = 1 << 12;

/// A walk on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traveller {
    /// Where it is, a vertex of the part.
    pub at: u32,
    /// The vertex that it started from.
    pub start: u32,
    /// Which of the walks from there it is.
    pub walk: u32,
    /// Steps that it has taken.
    pub step: u32,
}

/// What became of some walks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Travelled {
    /// Where they started, and what they visited since they came: each visit once.
    pub visits: Vec<(u32, u32)>,
    /// Where those started that wanted to leave a vertex without out-edges.
    pub returned: Vec<u32>,
    /// Those that left the part.
    pub left: Vec<Traveller>,
}

/// Takes walks further on the vertices `part`, whose rows `graph` holds.
pub fn travel(
    graph: &OutEdges<'_>,
    cumulative: &Cumulative,
    part: &Range<u32>,
    walking: &Walking,
    travellers: &[Traveller],
) -> Travelled {
    let stepping = Stepping::new(graph, cumulative, walking);
    let philox = Philox::new(walking.seed);
    let chunks: Vec<Travelled> = travellers
        .par_chunks(CHUNK)
        .map(|chunk| {
            let mut travelled = Travelled::default();
            for &traveller in chunk {
                go(&stepping, philox, part, traveller, &mut travelled);
            }
            travelled
        })
        .collect();
    let mut all = Travelled::default();
    for chunk in chunks {
        all.visits.extend(chunk.visits);
        all.returned.extend(chunk.returned);
        all.left.extend(chunk.left);
    }
    all
}

fn go(
    stepping: &Stepping<'_, '_>,
    philox: Philox,
    part: &Range<u32>,
    mut traveller: Traveller,
    travelled: &mut Travelled,
) {
    loop {
        let Traveller {
            start, walk, step, ..
        } = traveller;
        let words = philox.block(Walking::counter(start, walk, step / TURN));
        for word in &words[(step % TURN) as usize..] {
            let Some(share) = stepping.share(*word) else {
                return;
            };
            match stepping.step(traveller.at - part.start, share) {
                Some(next) => traveller.at = next,
                None if stepping.self_loops => {}
                None => {
                    travelled.returned.push(start);
                    return;
                }
            }
            travelled.visits.push((start, traveller.at));
            traveller.step += 1;
            if !part.contains(&traveller.at) {
                travelled.left.push(traveller);
                return;
            }
        }
    }
}
