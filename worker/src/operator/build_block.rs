//! `build_block`: the entries of one block, from every piece, as compressed sparse rows.

use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use rankmill_common::input::Transform;
use rankmill_common::matrix::BlockRef;
use rankmill_common::operator::build_block::{
    BlockEntries, BuildBlock, BuiltBlock, PieceEntries, Values,
};
use rankmill_common::{Error, ObjectRef, Result};
use rayon::prelude::*;

use super::index_ids::NO_INDEX;
use super::partition_entries::{entries_of, index_table};
use crate::context::TaskContext;
use crate::storage::block::MAX_SEGMENT_WIDTH;
use crate::storage::ipc::IpcFile;
use crate::stripes::Totals;
use crate::stripes::gather::{Codes, Entries, Recipe, stripes};
use crate::stripes::rows::RowTransform;
use crate::stripes::write::{Shape, write};

pub(crate) fn run(context: &TaskContext, operator: &BuildBlock) -> Result<BuiltBlock> {
    let shape = shape(operator)?;
    let transforms = local(&operator.transforms)?;
    let opened = Opened::of(context, operator)?;
    let sources = opened
        .batches
        .par_iter()
        .map(|batch| opened.source(batch, operator))
        .collect::<Result<Vec<_>>>()?;
    let recipe = Recipe {
        first_row: operator.rows.start,
        nrows: shape.nrows,
        entries: opened.count,
        duplicates: operator.duplicates,
        transforms: &transforms,
    };
    let stripes = stripes(&sources, &recipe).map_err(|e| Error::invalid_input(e.to_string()))?;
    drop(sources);
    drop(opened);
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

/// What codes stand for.
struct Tables {
    rows: UInt32Array,
    /// Absent where column codes are columns.
    cols: Option<UInt32Array>,
}

/// Entries of a block, and what their codes stand for.
struct Opened {
    batches: Vec<RecordBatch>,
    tables: Option<Tables>,
    /// Entries of the block, at most.
    count: u64,
}

impl Opened {
    fn of(context: &TaskContext, operator: &BuildBlock) -> Result<Self> {
        match &operator.entries {
            BlockEntries::Placed { pieces } => {
                let block = operator.block as usize;
                let batch = |piece: &PieceEntries| read(context, &piece.entries, block..block + 1);
                let batches = pieces.iter().map(batch).collect::<Result<Vec<_>>>()?;
                Ok(Self {
                    batches: batches.into_iter().flatten().collect(),
                    tables: None,
                    count: pieces.iter().map(|piece| piece.count).sum(),
                })
            }
            BlockEntries::Coded {
                pieces,
                bucket_bits,
                row_indices,
                column_indices,
                count,
            } => {
                let rows = index_table(context, row_indices)?;
                let codes = first_code(rows.values(), operator.rows.start)
                    ..first_code(rows.values(), operator.rows.end());
                let buckets = codes.start >> bucket_bits..codes.end.div_ceil(1 << bucket_bits);
                let batches = pieces
                    .iter()
                    .map(|piece| read(context, piece, buckets.clone()))
                    .collect::<Result<Vec<_>>>()?;
                let cols = index_table(context, column_indices)?;
                let are_columns = (0..).zip(cols.values()).all(|(code, &col)| code == col);
                Ok(Self {
                    batches: batches.into_iter().flatten().collect(),
                    tables: Some(Tables {
                        rows,
                        cols: (!are_columns).then_some(cols),
                    }),
                    count: *count,
                })
            }
        }
    }

    /// The entries of one batch.
    fn source<'a>(&'a self, batch: &'a RecordBatch, operator: &BuildBlock) -> Result<Entries<'a>> {
        let mut entries = entries_of(batch)?;
        let below = |limit: u64, numbers: &mut dyn Iterator<Item = u32>| {
            numbers.max().is_none_or(|most| u64::from(most) < limit)
        };
        let mut rows = entries.rows.iter().copied();
        let mut cols = entries.cols.iter().copied();
        let inside = match &self.tables {
            None => below(operator.rows.count, &mut rows) && below(operator.ncols, &mut cols),
            Some(tables) => {
                let of_cols = tables.cols.as_ref().map(|cols| &cols.values()[..]);
                entries.codes = Some(Codes {
                    rows: tables.rows.values(),
                    cols: of_cols,
                    first_row: narrow(operator.rows.start)?,
                    nrows: narrow(operator.rows.count)?,
                });
                let cols_inside = match of_cols {
                    None => below(operator.ncols, &mut cols),
                    Some(of_cols) => {
                        let codes = entries.cols.iter();
                        below(of_cols.len() as u64, &mut cols)
                            && below(
                                operator.ncols,
                                &mut codes.map(|&code| of_cols[code as usize]),
                            )
                    }
                };
                cols_inside && below(tables.rows.len() as u64, &mut rows)
            }
        };
        if !inside {
            return Err(Error::internal("entries outside their block"));
        }
        if operator.values == Values::Ones {
            entries.values = None;
        }
        Ok(entries)
    }
}

/// Some batches of a piece.
fn read(
    context: &TaskContext,
    entries: &ObjectRef,
    batches: Range<usize>,
) -> Result<Vec<RecordBatch>> {
    let file = IpcFile::open_partly(context, entries)?;
    let batches = batches.map(|batch| {
        context.count_read(file.batch_bytes(batch));
        file.batch(batch)
    });
    batches.collect()
}

/// The first code whose index is `index` or above. Indices ascend but for codes that no entry has.
fn first_code(indices: &[u32], index: u64) -> usize {
    let (mut low, mut high) = (0, indices.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let present = (middle..high).find(|&code| indices[code] != NO_INDEX);
        match present {
            Some(code) if u64::from(indices[code]) < index => low = code + 1,
            Some(_) | None => high = middle,
        }
    }
    low
}

fn narrow(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::internal(format!("{number} rows")))
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
