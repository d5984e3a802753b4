//! `build_block`: the entries of one block, from every piece, as compressed sparse rows.

use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use rankmill_common::input::Transform;
use rankmill_common::matrix::{BlockRef, RowRange};
use rankmill_common::operator::build_block::{BlockEntries, BuildBlock, BuiltBlock, Values};
use rankmill_common::operator::partition_entries::RowBuckets;
use rankmill_common::{Error, ObjectRef, Result};
use rayon::prelude::*;

use super::entry_names::refuse;
use super::index_ids::NO_INDEX;
use super::partition_entries::{entries_of, index_table};
use crate::context::TaskContext;
use crate::storage::block::MAX_SEGMENT_WIDTH;
use crate::storage::ipc::IpcFile;
use crate::stripes::Totals;
use crate::stripes::gather::{Bucket, Codes, Entries, Recipe, stripes};
use crate::stripes::rows::RowTransform;
use crate::stripes::write::{Shape, write};

pub(crate) fn run(context: &TaskContext, operator: &BuildBlock) -> Result<BuiltBlock> {
    let shape = shape(operator)?;
    let transforms = local(&operator.transforms)?;
    let opened = Opened::of(context, operator)?;
    let buckets = opened.buckets(operator)?;
    let recipe = Recipe {
        first_row: operator.rows.start,
        duplicates: operator.duplicates,
        transforms: &transforms,
    };
    let stripes = stripes(buckets, &recipe).map_err(|e| refuse(context, &operator.names, &e))?;
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
    bucket_bits: u32,
    /// The first bucket with rows of the block.
    first_bucket: usize,
}

/// Entries of a block, and what their codes stand for.
struct Opened {
    /// By bucket.
    batches: Vec<Vec<RecordBatch>>,
    /// The row of the block that each bucket begins with, and how many rows there are.
    starts: Vec<usize>,
    /// Absent where entries are placed.
    tables: Option<Tables>,
}

impl Opened {
    fn of(context: &TaskContext, operator: &BuildBlock) -> Result<Self> {
        match &operator.entries {
            BlockEntries::Placed {
                pieces,
                first_bucket,
                bucket_bits,
            } => {
                let rows = RowBuckets {
                    rows: operator.rows,
                    bits: *bucket_bits,
                };
                let buckets = *first_bucket as usize..(first_bucket + rows.count()) as usize;
                let objects = pieces.iter().map(|piece| &piece.entries);
                let nrows = operator.rows.count as usize;
                Ok(Self {
                    batches: by_bucket(context, objects, &buckets)?,
                    starts: (0..nrows)
                        .step_by(1 << bucket_bits)
                        .chain([nrows])
                        .collect(),
                    tables: None,
                })
            }
            BlockEntries::Coded {
                pieces,
                bucket_bits,
                row_indices,
                column_indices,
                ..
            } => {
                let rows = index_table(context, row_indices)?;
                let codes = first_code(rows.values(), operator.rows.start)
                    ..first_code(rows.values(), operator.rows.end());
                let buckets = codes.start >> bucket_bits..codes.end.div_ceil(1 << bucket_bits);
                let cols = index_table(context, column_indices)?;
                let are_columns = (0..).zip(cols.values()).all(|(code, &col)| code == col);
                Ok(Self {
                    batches: by_bucket(context, pieces.iter(), &buckets)?,
                    starts: starts(rows.values(), &buckets, *bucket_bits, operator.rows),
                    tables: Some(Tables {
                        rows,
                        cols: (!are_columns).then_some(cols),
                        bucket_bits: *bucket_bits,
                        first_bucket: buckets.start,
                    }),
                })
            }
        }
    }

    fn buckets(&self, operator: &BuildBlock) -> Result<Vec<Bucket<'_>>> {
        let buckets = self.batches.par_iter().zip(self.starts.par_windows(2));
        let buckets = buckets.enumerate().map(|(place, (batches, rows))| {
            let rows = rows[0]..rows[1];
            let batches = batches.iter().map(|batch| match &self.tables {
                Some(tables) => tables.coded(batch, tables.first_bucket + place, operator),
                None => placed(batch, &rows, operator),
            });
            Ok(Bucket {
                parts: batches.collect::<Result<_>>()?,
                rows,
            })
        });
        buckets.collect()
    }
}

impl Tables {
    /// The entries of one batch of a bucket.
    fn coded<'a>(
        &'a self,
        batch: &'a RecordBatch,
        bucket: usize,
        operator: &BuildBlock,
    ) -> Result<Entries<'a>> {
        let mut entries = entries_of(batch)?;
        let of_cols = self.cols.as_ref().map(|cols| &cols.values()[..]);
        let end = ((bucket + 1) << self.bucket_bits).min(self.rows.len());
        let codes = bucket << self.bucket_bits..end;
        let cols = entries.cols.iter().copied();
        let cols_inside = match of_cols {
            None => are_below(operator.ncols, cols),
            Some(of_cols) => {
                are_below(of_cols.len() as u64, cols.clone())
                    && are_below(operator.ncols, cols.map(|code| of_cols[code as usize]))
            }
        };
        if !cols_inside || !are_inside(&codes, entries.rows) {
            return Err(outside());
        }
        entries.codes = Some(Codes {
            rows: self.rows.values(),
            cols: of_cols,
            first_row: narrow(operator.rows.start)?,
            nrows: narrow(operator.rows.count)?,
        });
        Ok(valued(entries, operator))
    }
}

/// The entries of one batch of a bucket of these rows of the block.
fn placed<'a>(
    batch: &'a RecordBatch,
    rows: &Range<usize>,
    operator: &BuildBlock,
) -> Result<Entries<'a>> {
    let entries = entries_of(batch)?;
    let inside =
        are_inside(rows, entries.rows) && are_below(operator.ncols, entries.cols.iter().copied());
    inside
        .then(|| valued(entries, operator))
        .ok_or_else(outside)
}

/// The entries without values that count for nothing.
fn valued<'a>(entries: Entries<'a>, operator: &BuildBlock) -> Entries<'a> {
    Entries {
        values: entries.values.filter(|_| operator.values != Values::Ones),
        ..entries
    }
}

fn are_below(limit: u64, numbers: impl Iterator<Item = u32>) -> bool {
    numbers.max().is_none_or(|most| u64::from(most) < limit)
}

/// To the end in any case: in vectors.
fn are_inside(range: &Range<usize>, numbers: &[u32]) -> bool {
    let inside = |inside, &number: &u32| inside & range.contains(&(number as usize));
    numbers.iter().fold(true, inside)
}

fn outside() -> Error {
    Error::internal("entries outside their block")
}

/// By bucket, the batches of all pieces.
fn by_bucket<'a>(
    context: &TaskContext,
    pieces: impl ExactSizeIterator<Item = &'a ObjectRef>,
    buckets: &Range<usize>,
) -> Result<Vec<Vec<RecordBatch>>> {
    let mut batches = vec![Vec::with_capacity(pieces.len()); buckets.len()];
    for piece in pieces {
        let of_piece = read(context, piece, buckets.clone())?;
        for (bucket, batch) in batches.iter_mut().zip(of_piece) {
            bucket.push(batch);
        }
    }
    Ok(batches)
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

/// The row that each bucket begins with, counted from the first of `rows`, and their number.
fn starts(indices: &[u32], buckets: &Range<usize>, bucket_bits: u32, rows: RowRange) -> Vec<usize> {
    let mut starts = vec![rows.count as usize; buckets.len() + 1];
    for place in (0..buckets.len()).rev() {
        let codes = indices.iter().skip((buckets.start + place) << bucket_bits);
        let mut present = codes
            .take(1 << bucket_bits)
            .filter(|&&index| index != NO_INDEX);
        starts[place] = match present.next() {
            Some(&index) => {
                let row = u64::from(index).clamp(rows.start, rows.end());
                (row - rows.start) as usize
            }
            None => starts[place + 1],
        };
    }
    starts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_with_the_rows_of_their_first_codes() {
        let none = NO_INDEX;
        // Buckets of two codes, one of them without an id; the block begins and ends within one.
        let indices = [0, 1, 2, 3, none, none, none, 4, 5, 6];
        let rows = RowRange { start: 1, count: 5 };
        assert_eq!(first_code(&indices, rows.start), 1);
        assert_eq!(first_code(&indices, rows.end()), 9);
        assert_eq!(starts(&indices, &(0..5), 1, rows), [0, 1, 3, 3, 4, 5]);
    }
}
