//! `power_scores`: personalized PageRank of some sources by power iteration, in blocks of sources.

use rankmill_common::operator::power_scores::{PersonalScores, PowerScores};
use rankmill_common::{Error, Result};

use super::personal::{self, Sources, Work};
use super::power_iteration::{Manner, Power};
use super::tall_matrix;
use crate::context::TaskContext;
use crate::storage::block;
use crate::storage::order::Order;

pub(crate) fn run(context: &TaskContext, operator: &PowerScores) -> Result<PersonalScores> {
    let count = operator.strengths.nrows;
    let order = Order::open(context, operator.personal.order.as_ref(), count)?;
    let sources = Sources::read(context, &operator.personal, &order)?;
    let open = operator
        .blocks
        .iter()
        .map(|reference| block::open(context, operator.format, count, reference))
        .collect::<Result<Vec<_>>>()?;
    let views = open
        .iter()
        .map(|block| block.sparse().map_err(Error::internal))
        .collect::<Result<Vec<_>>>()?;
    if views.iter().map(|view| view.nrows as u64).sum::<u64>() != count {
        return Err(Error::internal("power iteration on a part of a graph"));
    }
    let strengths = tall_matrix::read_column(context, &operator.strengths)?;
    let manner = Manner {
        width: operator.width,
        kept: operator.kept,
        max_iterations: operator.max_iterations,
    };
    let power = Power::new(&operator.personal, &order, &views, &strengths, manner);
    drop(strengths);
    let chosen: Vec<usize> = (0..sources.len()).collect();
    let mut work = Work::default();
    let answers = power.answers(context, &sources, &chosen, &mut work)?;
    personal::write(context, &operator.personal, &answers, work)
}
