//! `push_scores`: personalized PageRank of some sources by forward push.
//!
//! The graph is mapped and shared; each lane has a workspace and takes the next source. An answer
//! depends on its source alone, so which lane takes which does not matter.

use std::sync::atomic::{AtomicUsize, Ordering};

use rankmill_common::job::graph::Dangling;
use rankmill_common::job::ppr::Stop;
use rankmill_common::operator::power_scores::PersonalScores;
use rankmill_common::operator::push_scores::PushScores;
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{Completion, OutEdges, Pushed, Pushing, StopAt, Workspace};
use rayon::prelude::*;

use super::personal::{self, Answer, Sources, Work};
use crate::context::TaskContext;
use crate::storage::block;
use crate::storage::fingerprints::OpenIndex;
use crate::storage::order::Order;

pub(crate) fn run(context: &TaskContext, operator: &PushScores) -> Result<PersonalScores> {
    let personal = &operator.personal;
    let order = Order::open(context, personal.order.as_ref(), operator.vertices)?;
    let sources = Sources::read(context, personal, &order)?;
    let open = operator
        .blocks
        .iter()
        .map(|reference| block::open(context, operator.format, operator.vertices, reference))
        .collect::<Result<Vec<_>>>()?;
    let views = open
        .iter()
        .map(|block| block.sparse().map_err(Error::internal))
        .collect::<Result<Vec<_>>>()?;
    let graph = OutEdges::new(&views);
    if graph.vertices() as u64 != operator.vertices {
        return Err(Error::internal("push on a part of a graph"));
    }
    let self_loops = match personal.dangling {
        Dangling::Restart => false,
        Dangling::SelfLoop => true,
        Dangling::Uniform => {
            return Err(Error::internal("push cannot spread mass uniformly"));
        }
    };
    let pushing = Pushing {
        damping: personal.damping,
        self_loops,
        tol: personal.tol,
        stop: match personal.stop {
            Stop::Bound => StopAt::Bound,
            Stop::BoundOrProven => StopAt::BoundOrProven,
        },
        top_k: (personal.top_k as usize).min(graph.vertices()),
        max_edges: operator.max_edges,
    };
    let index = operator
        .index
        .as_ref()
        .map(|shards| OpenIndex::open(context, shards, operator.vertices))
        .transpose()?;
    let index = index.as_ref().map(OpenIndex::view).transpose()?;
    let next = AtomicUsize::new(0);
    let lanes = (operator.lanes as usize).clamp(1, rayon::current_num_threads());
    let lanes: Vec<Result<Vec<(usize, Pushed)>>> = (0..lanes)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| {
            let mut workspace = Workspace::new(graph.vertices());
            let mut completion = index
                .as_ref()
                .map(|index| (index, Completion::new(graph.vertices())));
            let mut answers = Vec::new();
            loop {
                context.check_cancelled()?;
                let source = next.fetch_add(1, Ordering::Relaxed);
                if source >= sources.len() {
                    return Ok(answers);
                }
                let place = |index| order.place(index);
                let seeds = sources.seeds(source);
                let pushed = match &mut completion {
                    None => workspace.push(&graph, seeds, &pushing, &place),
                    Some((index, completion)) => {
                        let asked = (seeds, &pushing);
                        completion.push(&mut workspace, &graph, index, asked, &place)
                    }
                };
                answers.push((source, pushed));
            }
        })
        .collect();
    let mut answered = Vec::with_capacity(sources.len());
    for lane in lanes {
        answered.extend(lane?);
    }
    answered.sort_by_key(|(source, _)| *source);
    let mut work = Work::default();
    let answers: Vec<Answer> = answered
        .into_iter()
        .map(|(_, pushed)| {
            work.edges += pushed.edges;
            Answer {
                best: pushed.best,
                residual: pushed.residual,
                proven: pushed.proven,
            }
        })
        .collect();
    personal::write(context, personal, &answers, work)
}
