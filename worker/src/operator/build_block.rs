//! `build_block`: the entries of one block, from every piece, as compressed sparse rows.

use arrow::array::RecordBatch;
use rankmill_common::input::Transform;
use rankmill_common::matrix::BlockRef;
use rankmill_common::operator::build_block::{BuildBlock, BuiltBlock, Values};
use rankmill_common::{Error, Result};
use rayon::prelude::*;

use super::partition_entries::entries_of;
use crate::context::TaskContext;
use crate::storage::block::MAX_SEGMENT_WIDTH;
use crate::storage::ipc::IpcFile;
use crate::stripes::Totals;
use crate::stripes::gather::{Entries, Recipe, stripes};
use crate::stripes::rows::RowTransform;
use crate::stripes::write::{Shape, write};

pub(crate) fn run(context: &TaskContext, operator: &BuildBlock) -> Result<BuiltBlock> {
    let shape = shape(operator)?;
    let transforms = local(&operator.transforms)?;
    let batches = operator
        .pieces
        .iter()
        .map(|piece| {
            let file = IpcFile::open_partly(context, &piece.entries)?;
            context.count_read(file.batch_bytes(operator.block as usize));
            file.batch(operator.block as usize)
        })
        .collect::<Result<Vec<_>>>()?;
    let sources = batches
        .par_iter()
        .map(|batch| source(batch, operator))
        .collect::<Result<Vec<_>>>()?;
    let recipe = Recipe {
        first_row: operator.rows.start,
        nrows: shape.nrows,
        duplicates: operator.duplicates,
        transforms: &transforms,
    };
    let stripes = stripes(&sources, &recipe).map_err(|e| Error::invalid_input(e.to_string()))?;
    drop(sources);
    drop(batches);
    context.check_cancelled()?;
    let totals = Totals::of(&stripes);
    let (object, statistics) = write(context, &stripes, &shape, operator.statistics)?;
    Ok(BuiltBlock {
        block: BlockRef {
            start: operator.rows.start,
            nrows: operator.rows.count,
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

/// What a piece has of the block.
fn source<'a>(batch: &'a RecordBatch, operator: &BuildBlock) -> Result<Entries<'a>> {
    let mut entries = entries_of(batch)?;
    let inside = |places: &[u32], limit: u64| {
        let highest = places.iter().max();
        highest.is_none_or(|&highest| u64::from(highest) < limit)
    };
    if !inside(entries.rows, operator.rows.count) || !inside(entries.cols, operator.ncols) {
        return Err(Error::internal("entries outside their block"));
    }
    if operator.values == Values::Ones {
        entries.values = None;
    }
    Ok(entries)
}

fn shape(operator: &BuildBlock) -> Result<Shape> {
    let segment_width = operator.segment_width as usize;
    if !(1..=MAX_SEGMENT_WIDTH).contains(&segment_width) || operator.rows.count >= 1 << 32 {
        return Err(Error::internal(format!(
            "a block of {} rows in segments of {segment_width} columns",
            operator.rows.count
        )));
    }
    Ok(Shape {
        nrows: operator.rows.count as usize,
        ncols: operator.ncols,
        segment_width,
    })
}

/// Transforms that need no other rows.
pub(super) fn local(transforms: &[Transform]) -> Result<Vec<RowTransform<'static>>> {
    if let Some(global) = transforms.iter().find(|transform| !transform.is_local()) {
        let name = global.name();
        return Err(Error::internal(format!("{name} needs column statistics")));
    }
    Ok(transforms
        .iter()
        .map(|&local| RowTransform::Local(local))
        .collect())
}
