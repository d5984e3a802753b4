//! `push_scores`: personalized PageRank of some sources by forward push.
//!
//! The graph is mapped and shared; each lane has a workspace and takes the next source. An answer
//! depends on its source alone, so which lane takes which does not matter. Sources that are handed
//! over to power iteration follow from the edges that push counts, never from time.

use std::sync::atomic::{AtomicUsize, Ordering};

use rankmill_common::job::graph::Dangling;
use rankmill_common::job::ppr::Stop;
use rankmill_common::operator::power_scores::PersonalScores;
use rankmill_common::operator::push_scores::{HandOver, PushScores};
use rankmill_common::{Error, Result};
use rankmill_kernels::SparseBlock;
use rankmill_kernels::graph::{
    Completion, Fingerprints, OutEdges, Pushed, Pushing, StopAt, Transposed, Workspace,
};
use rayon::prelude::*;

use super::personal::{self, Answer, Sources, Work};
use super::power_iteration::{Manner, Power};
use crate::context::TaskContext;
use crate::storage::block;
use crate::storage::fingerprints::OpenIndex;
use crate::storage::order::Order;

/// A probe follows this part of the edges that are worth following.
const PROBED_SHARE: u64 = 4;

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
    let index = operator
        .index
        .as_ref()
        .map(|index| OpenIndex::open(context, &index.shards, operator.vertices))
        .transpose()?;
    let task = Task {
        context,
        operator,
        pushing: pushing(operator, graph.vertices())?,
        graph: &graph,
        index: index.as_ref().map(OpenIndex::view).transpose()?,
        order: &order,
        sources: &sources,
    };
    let mut work = Work::default();
    let mut answers: Vec<Option<Answer>> = (0..sources.len()).map(|_| None).collect();
    task.push_all(&mut answers, &mut work)?;
    if let Some(hand_over) = &operator.hand_over {
        task.iterate(&views, *hand_over, &mut answers, &mut work)?;
    }
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    if answers.len() != sources.len() {
        return Err(Error::internal("a source without an answer"));
    }
    personal::write(context, personal, &answers, work)
}

fn pushing(operator: &PushScores, vertices: usize) -> Result<Pushing> {
    let personal = &operator.personal;
    let self_loops = match personal.dangling {
        Dangling::Restart => false,
        Dangling::SelfLoop => true,
        Dangling::Uniform => {
            return Err(Error::internal("push cannot spread mass uniformly"));
        }
    };
    Ok(Pushing {
        damping: personal.damping,
        self_loops,
        tol: personal.tol,
        stop: match personal.stop {
            Stop::Bound => StopAt::Bound,
            Stop::BoundOrProven => StopAt::BoundOrProven,
        },
        top_k: (personal.top_k as usize).min(vertices),
        max_edges: operator.max_edges,
        spread: operator
            .index
            .as_ref()
            .map_or(f64::INFINITY, |index| index.spread),
    })
}

struct Task<'a> {
    context: &'a TaskContext,
    operator: &'a PushScores,
    pushing: Pushing,
    graph: &'a OutEdges<'a>,
    index: Option<Fingerprints<'a>>,
    order: &'a Order,
    sources: &'a Sources,
}

impl Task<'_> {
    /// Pushes from every source, or from the probes alone where they show that it is not worth it.
    /// Sources that are to be handed over have no answer afterwards.
    fn push_all(&self, answers: &mut [Option<Answer>], work: &mut Work) -> Result<()> {
        let most = self.operator.max_edges;
        if let Some(hand_over) = &self.operator.hand_over {
            // Evenly from all sources.
            let every = self
                .sources
                .len()
                .div_ceil(hand_over.probes.max(1) as usize);
            let probes: Vec<usize> = (0..self.sources.len()).step_by(every.max(1)).collect();
            let edges = self.push_from(&probes, most / PROBED_SHARE, answers, work)?;
            if edges > most as f64 * probes.len() as f64 {
                return Ok(());
            }
        }
        let open = |&source: &usize| answers[source].is_none();
        let left: Vec<usize> = (0..answers.len()).filter(open).collect();
        self.push_from(&left, most, answers, work)?;
        Ok(())
    }

    /// Edges that a source needs in all, by how far it has come: residuals fall about as a power of
    /// the edges that are followed, and a scan of the graph about halves them.
    fn needed(&self, pushed: &Pushed) -> f64 {
        let done = libm::log(pushed.residual.max(f64::MIN_POSITIVE));
        let wanted = libm::log(self.pushing.tol);
        let more = pushed.edges as f64 * (wanted / done.min(-1e-3)).max(1.0);
        let scans = ((done - wanted) * std::f64::consts::LOG2_E).max(1.0);
        more.max(pushed.edges as f64 + scans * pushed.lacking as f64)
    }

    /// Pushes from `chosen` sources along `max_edges` edges at most; returns how many they need in
    /// all until they are answered.
    fn push_from(
        &self,
        chosen: &[usize],
        max_edges: u64,
        answers: &mut [Option<Answer>],
        work: &mut Work,
    ) -> Result<f64> {
        let pushing = Pushing {
            max_edges,
            ..self.pushing
        };
        let next = AtomicUsize::new(0);
        let lanes = (self.operator.lanes as usize)
            .clamp(1, rayon::current_num_threads())
            .min(chosen.len());
        let lanes: Vec<Result<Vec<(usize, Pushed)>>> = (0..lanes)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| self.lane(chosen, &next, &pushing))
            .collect();
        let mut needed: Vec<(usize, f64)> = Vec::with_capacity(chosen.len());
        for lane in lanes {
            for (source, pushed) in lane? {
                work.edges += pushed.edges;
                let enough = pushed.residual <= self.pushing.tol
                    || self.pushing.stop == StopAt::BoundOrProven && pushed.proven;
                let all = match enough {
                    true => pushed.edges as f64,
                    false => self.needed(&pushed),
                };
                needed.push((source, all));
                if enough || self.operator.hand_over.is_none() {
                    work.pushed += 1;
                    answers[source] = Some(Answer {
                        best: pushed.best,
                        residual: pushed.residual,
                        proven: pushed.proven,
                        iterations: 0,
                    });
                }
            }
        }
        // In the order of the sources, whichever lane they came from.
        needed.sort_by_key(|&(source, _)| source);
        Ok(needed.iter().map(|(_, edges)| edges).sum())
    }

    /// Takes sources from `chosen` until there are none.
    fn lane(
        &self,
        chosen: &[usize],
        next: &AtomicUsize,
        pushing: &Pushing,
    ) -> Result<Vec<(usize, Pushed)>> {
        let mut workspace = Workspace::new(self.graph.vertices());
        let mut completion = self
            .index
            .as_ref()
            .map(|index| (index, Completion::new(self.graph.vertices())));
        let place = |index| self.order.place(index);
        let mut pushed = Vec::new();
        loop {
            self.context.check_cancelled()?;
            let turn = next.fetch_add(1, Ordering::Relaxed);
            let Some(&source) = chosen.get(turn) else {
                return Ok(pushed);
            };
            let seeds = self.sources.seeds(source);
            let answer = match &mut completion {
                None => workspace.push(self.graph, seeds, pushing, &place),
                Some((index, completion)) => {
                    let asked = (seeds, pushing);
                    completion.push(&mut workspace, self.graph, index, asked, &place)
                }
            };
            pushed.push((source, answer));
        }
    }

    /// Iterates the sources that have no answer yet.
    fn iterate(
        &self,
        views: &[SparseBlock<'_>],
        hand_over: HandOver,
        answers: &mut [Option<Answer>],
        work: &mut Work,
    ) -> Result<()> {
        let chosen: Vec<usize> = (0..answers.len())
            .filter(|&source| answers[source].is_none())
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let before = work.edges;
        let (solved, edges) = self.iterated(views, hand_over, &chosen, work)?;
        let spent = work.edges - before;
        let (mut slow, mut rounded) = (Vec::new(), Vec::new());
        for (source, answer) in chosen.into_iter().zip(solved) {
            let proven = self.pushing.stop == StopAt::BoundOrProven && answer.proven;
            if answer.residual > self.pushing.tol && !proven {
                match answer.iterations < hand_over.max_iterations {
                    true => rounded.push(source),
                    false => slow.push(source),
                }
            }
            answers[source] = Some(answer);
        }
        // Where walks mix so slowly, they may stay near their source.
        let edges =
            (self.operator.vertices + edges).saturating_mul(hand_over.max_iterations.into());
        self.push_from(&slow, edges, answers, work)?;
        // Rounding of other operations may come to less. That is worth twice as much, no more.
        let each = 2 * spent / (rounded.len() as u64).max(1);
        self.push_from(&rounded, each, answers, work)?;
        Ok(())
    }

    /// What power iteration answers, and the edges of the graph. What it holds is let go.
    fn iterated(
        &self,
        views: &[SparseBlock<'_>],
        hand_over: HandOver,
        chosen: &[usize],
        work: &mut Work,
    ) -> Result<(Vec<Answer>, u64)> {
        let transposed = Transposed::new(views);
        let blocks = transposed.blocks();
        let manner = Manner {
            width: hand_over.width,
            kept: hand_over.kept,
            max_iterations: hand_over.max_iterations,
        };
        let (personal, strengths) = (&self.operator.personal, self.graph.strengths());
        let power = Power::new(personal, self.order, &blocks, strengths, manner);
        let answers = power.answers(self.context, self.sources, chosen, work)?;
        Ok((answers, power.entries()))
    }
}
