//! `merge_scores`: the best of the best of every part.

use rankmill_common::operator::merge_scores::{MergeScores, MergedScores, MergedSource, Purpose};
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{Ranked, Top};

use super::personal::{self, Answer, Work};
use super::push_part::BEST;
use crate::context::TaskContext;
use crate::storage::by_source::EntryReader;

pub(crate) fn run(context: &TaskContext, operator: &MergeScores) -> Result<MergedScores> {
    let lists = operator
        .best
        .iter()
        .map(|object| EntryReader::open(context, object, (0, 1), BEST.len()))
        .collect::<Result<Vec<_>>>()?;
    let limit = u64::from(operator.personal.top_k).min(operator.personal.ids.count()) as usize;
    let answers: Vec<Answer> = operator
        .sources
        .iter()
        .map(|source| merge(&lists, source, limit))
        .collect();
    let proven = operator.sources.iter().zip(&answers);
    let proven = proven
        .filter(|(_, answer)| answer.proven)
        .map(|(source, _)| source.source)
        .collect();
    let written = match operator.purpose {
        Purpose::Prove => None,
        Purpose::Write { rounds, edges } => {
            if answers.len() as u64 != operator.personal.range.count {
                return Err(Error::internal("scores of some sources of a task only"));
            }
            let work = Work {
                iterations: rounds,
                edges,
                pushed: answers.len() as u64,
            };
            Some(personal::write(
                context,
                &operator.personal,
                &answers,
                work,
            )?)
        }
    };
    Ok(MergedScores { proven, written })
}

fn merge(lists: &[EntryReader], source: &MergedSource, limit: usize) -> Answer {
    let mut top = Top::new(limit + 1);
    for slices in lists.iter().flat_map(|list| list.of(source.source)) {
        let places = slices.indices(1).iter().zip(slices.scores(2));
        for (&index, (&place, &score)) in slices.indices(0).iter().zip(places) {
            top.offer(Ranked {
                index,
                place,
                score,
            });
        }
    }
    let mut best = top.into_sorted();
    let next = best.get(limit).map_or(0.0, |ranked| ranked.score);
    best.truncate(limit);
    let closed = source
        .closed
        .is_some_and(|positive| positive <= limit as u64);
    let gap = best.len() == limit && best[limit - 1].score - next > source.residual;
    Answer {
        best,
        residual: source.residual,
        proven: closed || gap,
        iterations: 0,
    }
}
