//! `page_rank_step`: one or several steps of PageRank on the rows of some blocks.

use std::ops::Range;

use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::page_rank_step::{BlockSums, PageRankStep, PageRankStepped};
use rankmill_common::{Error, Result};
use rankmill_kernels::SparseBlock;
use rankmill_kernels::graph;

use super::tall_matrix;
use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::{block, tall};

pub(crate) fn run(context: &TaskContext, operator: &PageRankStep) -> Result<PageRankStepped> {
    let open = operator
        .blocks
        .iter()
        .map(|reference| block::open(context, operator.format, operator.vertices, reference))
        .collect::<Result<Vec<_>>>()?;
    let views = open
        .iter()
        .map(|block| block.sparse().map_err(Error::internal))
        .collect::<Result<Vec<_>>>()?;
    let rows = own_rows(operator)?;
    let inverse =
        graph::inverse_strengths(&tall_matrix::read_column(context, &operator.strengths)?);
    let count = operator.vertices as usize;
    let mut x = match &operator.scores {
        Some(scores) => tall_matrix::read_column(context, scores)?,
        None => vec![1.0 / count as f64; count],
    };
    let mut scaled = vec![0.0; count];
    let mut next_scaled = vec![0.0; count];
    let counted = graph::scale(&x, &inverse, &mut scaled);
    let mut dangling = operator.dangling_mass.unwrap_or(counted);
    let (mut sums, mut spread, mut steps) = (Vec::new(), 0.0, 0);
    while steps < operator.steps.max(1) {
        context.check_cancelled()?;
        spread = match operator.dangling {
            Dangling::Restart | Dangling::Uniform => dangling,
            Dangling::SelfLoop => 0.0,
        };
        let step = Step {
            operator,
            inverse: &inverse,
            scaled: &scaled,
            spread,
        };
        sums = step.take(&views, rows.start, &mut x, &mut next_scaled);
        std::mem::swap(&mut scaled, &mut next_scaled);
        steps += 1;
        let total = BlockSums::total(spread, &sums);
        dangling = total.dangling;
        if total.is_final(operator.damping, operator.tol) {
            break;
        }
    }
    let range = RowRange {
        start: rows.start as u64,
        count: rows.len() as u64,
    };
    Ok(PageRankStepped {
        scores: tall::write(
            context,
            "scores.arrow",
            range,
            1,
            Numbered::Double(x[rows].to_vec()),
        )?,
        sums,
        spread,
        steps,
    })
}

/// The rows of the task's blocks, which must follow one another; all of them for several steps.
fn own_rows(operator: &PageRankStep) -> Result<Range<usize>> {
    let start = operator.blocks.first().map_or(0, |block| block.start);
    let mut end = start;
    for block in &operator.blocks {
        if block.start != end {
            return Err(Error::internal("blocks of a step that leave rows out"));
        }
        end += block.nrows;
    }
    if end > operator.vertices || operator.steps > 1 && end - start != operator.vertices {
        return Err(Error::internal(format!(
            "{} steps on rows {start}..{end} of {}",
            operator.steps, operator.vertices
        )));
    }
    Ok(start as usize..end as usize)
}

/// One step.
struct Step<'a> {
    operator: &'a PageRankStep,
    inverse: &'a [f64],
    scaled: &'a [f64],
    /// Σx over dangling vertices that goes to all vertices.
    spread: f64,
}

impl Step<'_> {
    fn take(
        &self,
        blocks: &[SparseBlock<'_>],
        first: usize,
        x: &mut [f64],
        next_scaled: &mut [f64],
    ) -> Vec<BlockSums> {
        let count = self.operator.vertices as f64;
        let damping = self.operator.damping;
        let share = ((1.0 - damping) + damping * self.spread) / count;
        let mut sums = Vec::with_capacity(blocks.len());
        let mut row = first;
        for block in blocks {
            let rows = row..row + block.nrows;
            let step = graph::PageRankStep {
                damping,
                share,
                self_loops: self.operator.dangling == Dangling::SelfLoop,
                inverse: &self.inverse[rows.clone()],
                scaled: self.scaled,
            };
            let part =
                graph::page_rank_step(block, &step, &mut x[rows.clone()], &mut next_scaled[rows]);
            sums.push(BlockSums {
                change: part.change,
                rounding: part.rounding,
                mass: part.mass,
                dangling: part.dangling,
            });
            row += block.nrows;
        }
        sums
    }
}
