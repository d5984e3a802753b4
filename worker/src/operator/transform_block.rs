//! `transform_block`: a transform that needs column statistics, then the local ones behind it.

use rankmill_common::input::{Duplicates, Transform};
use rankmill_common::matrix::{BlockFormat, BlockRef, Precision, RowRange, Shard, TallMatrix};
use rankmill_common::operator::build_block::BuiltBlock;
use rankmill_common::operator::transform_block::TransformBlock;
use rankmill_common::{Error, Result};
use rankmill_kernels::{Columns, SparseBlock};
use rayon::prelude::*;

use super::build_block::local;
use super::entry_names::refuse;
use crate::context::TaskContext;
use crate::storage::block::{self, BlockView};
use crate::storage::tall;
use crate::stripes::rows::{RowError, RowSink, RowTransform};
use crate::stripes::write::{STATISTICS, Shape, write};
use crate::stripes::{Stripe, Totals, rows_shift};

pub(crate) fn run(context: &TaskContext, operator: &TransformBlock) -> Result<BuiltBlock> {
    let statistics = statistics(context, operator)?;
    let factors = factors(operator, &statistics);
    drop(statistics);
    let mut transforms = vec![transform(operator, &factors)];
    transforms.extend(local(&operator.then)?);
    let open = block::open_once(
        context,
        BlockFormat::Sparse,
        operator.ncols,
        &operator.block,
    )?;
    let view = match open.block()? {
        BlockView::Sparse(view) => view,
        BlockView::Dense(_) => return Err(Error::internal("a dense block has no transforms")),
    };
    let stripes =
        stripes(&view, operator, &transforms).map_err(|e| refuse(context, &operator.names, &e))?;
    context.check_cancelled()?;
    let totals = Totals::of(&stripes);
    let shape = Shape {
        nrows: view.nrows,
        ncols: operator.ncols,
        segment_width: open.segment_width(),
    };
    let (object, statistics) = write(context, &stripes, &shape, operator.statistics)?;
    Ok(BuiltBlock {
        block: BlockRef {
            start: operator.block.start,
            nrows: operator.block.nrows,
            nnz: totals.nnz,
            object,
        },
        ids: None,
        frobenius2: totals.frobenius2,
        row_nnz2: totals.row_nnz2,
        sum: totals.sum,
        statistics,
        skipped: 0,
    })
}

/// Column statistics of the whole matrix: those of its blocks, added in order.
fn statistics(context: &TaskContext, operator: &TransformBlock) -> Result<Vec<f64>> {
    let rows = RowRange {
        start: 0,
        count: operator.ncols,
    };
    let mut total = vec![0f64; STATISTICS * operator.ncols as usize];
    for object in &operator.column_statistics {
        context.check_cancelled()?;
        let part = TallMatrix {
            nrows: operator.ncols,
            ncols: STATISTICS as u32,
            precision: Precision::Double,
            shards: vec![Shard {
                rows,
                object: object.clone(),
            }],
        };
        let part = tall::read_f64(context, &part, rows)?;
        total
            .par_iter_mut()
            .zip(part)
            .for_each(|(total, part)| *total += part);
    }
    Ok(total)
}

/// One number per column; see `Transform` for the formulas.
fn factors(operator: &TransformBlock, statistics: &[f64]) -> Vec<f64> {
    let rows = operator.nrows as f64;
    let inverse = |norm: f64| if norm > 0.0 { 1.0 / norm } else { 0.0 };
    let factor = |column: &[f64]| {
        let &[count, sum, absolute, squares] = column else {
            return 0.0;
        };
        match operator.transform {
            Transform::Tfidf => libm::log((1.0 + rows) / (1.0 + count)) + 1.0,
            Transform::Bm25 { .. } => libm::log(rows) - libm::log1p(count),
            Transform::L1Cols => inverse(absolute),
            Transform::L2Cols => inverse(squares.sqrt()),
            Transform::Degree => inverse(sum.sqrt()),
            Transform::Binary | Transform::Log1p | Transform::L1Rows | Transform::L2Rows => 1.0,
        }
    };
    statistics
        .par_chunks_exact(STATISTICS)
        .map(factor)
        .collect()
}

fn transform<'a>(operator: &TransformBlock, factors: &'a [f64]) -> RowTransform<'a> {
    match operator.transform {
        Transform::Tfidf | Transform::L1Cols | Transform::L2Cols => RowTransform::ScaleColumns {
            factors,
            name: operator.transform.name(),
        },
        Transform::Degree => RowTransform::Degree { factors },
        Transform::Bm25 { k1, b } => RowTransform::Bm25 {
            k1,
            b,
            mean_length: operator.sum / operator.nrows as f64,
            weights: factors,
        },
        Transform::Binary | Transform::Log1p | Transform::L1Rows | Transform::L2Rows => {
            RowTransform::Local(operator.transform)
        }
    }
}

fn stripes(
    view: &SparseBlock<'_>,
    operator: &TransformBlock,
    transforms: &[RowTransform<'_>],
) -> Result<Vec<Stripe>, RowError> {
    let shift = rows_shift(view.nrows as u64, operator.block.nnz);
    let stripes: Vec<Result<Stripe, RowError>> = (0..view.nrows.div_ceil(1 << shift))
        .into_par_iter()
        .map(|stripe| {
            let first = stripe << shift;
            let nrows = (view.nrows - first).min(1 << shift);
            let first_row = operator.block.start + first as u64;
            let mut sink = RowSink::new(first_row, nrows, 0, transforms);
            for row in first..first + nrows {
                // Columns are distinct already.
                sink.push(row_entries(view, row), Duplicates::Last)?;
            }
            Ok(sink.finish())
        })
        .collect();
    stripes.into_iter().collect()
}

/// A row across all segments, in ascending order of columns.
fn row_entries<'a>(view: &'a SparseBlock<'_>, row: usize) -> impl Iterator<Item = (u32, f32)> + 'a {
    view.segments.iter().flat_map(move |segment| {
        let span = segment.offsets[row] as usize..segment.offsets[row + 1] as usize;
        span.map(move |place| {
            let local = match segment.columns {
                Columns::U16(columns) => u32::from(columns[place]),
                Columns::U32(columns) => columns[place],
            };
            let value = segment.values.map_or(1.0, |values| values[place]);
            (segment.first_column as u32 + local, value)
        })
    })
}
