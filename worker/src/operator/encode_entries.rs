//! `encode_entries`: triplets with local codes, and the distinct ids behind the codes.
//!
//! A row that is bad in any column goes from all of them before ids are counted.

mod columns;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rankmill_common::input::Ids;
use rankmill_common::operator::encode_entries::{EncodeEntries, EncodedEntries, PieceIds, Sign};
use rankmill_common::{Error, ObjectRef, Result};

use crate::context::TaskContext;
use crate::ids::column::EncodedColumn;
use crate::storage::input::PieceReader;
use crate::storage::ipc::{IpcWriter, write_batch};
use crate::stripes::bucket::{CHUNK, bucket_sizes, chunks, count_buckets, sort_by_bucket};

use columns::{Columns, ReadIds, original_row, read_columns};

/// Entries in one record batch: what `partition_entries` sorts at a time.
const ENTRIES_PER_BATCH: usize = CHUNK;

pub(crate) fn run(context: &TaskContext, operator: &EncodeEntries) -> Result<EncodedEntries> {
    let reader = PieceReader::open(context, &operator.piece)?;
    if reader.rows() > u64::from(u32::MAX) {
        return Err(Error::internal("a piece of more than 2^32 rows"));
    }
    let mut columns = read_columns(&reader, operator)?;
    reader.check_unchanged()?;
    let skipped = columns.drop_bad_rows(&reader, operator)?;
    columns.check_signs(&reader, &operator.layout)?;
    if operator.sign == Sign::Positive {
        columns.check_weights(&reader)?;
    }
    context.check_cancelled()?;
    match operator.layout.ids {
        Ids::Dictionary => dictionary(context, &reader, columns, operator, skipped),
        Ids::Dense { shape } => dense(context, &reader, columns, shape, skipped),
    }
}

/// A column whose ids are replaced by codes.
enum Coded {
    Places(EncodedColumn),
    Distances { codes: Vec<u32>, span: u64 },
}

impl Coded {
    /// Errs with the row of the first id outside its range.
    fn of(ids: ReadIds) -> Result<std::result::Result<Self, usize>> {
        Ok(match ids {
            ReadIds::Whole(ids) => Ok(Self::Places(ids.encode()?)),
            ReadIds::Distances(ids) => {
                let span = ids.span();
                ids.finish().map(|codes| Self::Distances { codes, span })
            }
        })
    }

    /// The codes, how many there can be, and the distinct ids where they are kept.
    fn write(self, context: &TaskContext, name: &str) -> Result<(Vec<u32>, u64, Option<PieceIds>)> {
        match self {
            Self::Distances { codes, span } => Ok((codes, span, None)),
            Self::Places(column) => {
                let ids = write_ids(context, name, &column)?;
                Ok((column.codes, ids.count, Some(ids)))
            }
        }
    }
}

fn dictionary(
    context: &TaskContext,
    reader: &PieceReader,
    columns: Columns,
    operator: &EncodeEntries,
    skipped: u64,
) -> Result<EncodedEntries> {
    let Columns {
        rows,
        cols,
        values,
        names,
        dropped,
        ..
    } = columns;
    let outside = |place: usize, name: &String| {
        let what = "the id lies outside the range that the file's own footer states; the file is \
                    damaged, write it again";
        reader.error_at(original_row(place, &dropped), name, what)
    };
    let (rows, cols) = rayon::join(|| Coded::of(rows), || Coded::of(cols));
    let rows = rows?.map_err(|place| outside(place, &names[0]))?;
    let cols = cols?.map_err(|place| outside(place, &names[1]))?;
    let (rows, row_codes, row_ids) = rows.write(context, "row_ids.arrow")?;
    let (cols, column_codes, column_ids) = cols.write(context, "column_ids.arrow")?;
    let triplets = Triplets { rows, cols, values };
    Ok(EncodedEntries {
        count: triplets.rows.len() as u64,
        row_codes,
        column_codes,
        entries: match operator.bucket_bits {
            Some(bits) => triplets.write_by_bucket(context, bits, row_codes)?,
            None => triplets.write(context)?,
        },
        row_ids,
        column_ids,
        skipped,
    })
}

fn dense(
    context: &TaskContext,
    reader: &PieceReader,
    columns: Columns,
    shape: Option<(u64, u64)>,
    skipped: u64,
) -> Result<EncodedEntries> {
    let Columns {
        rows,
        cols,
        values,
        names,
        dropped,
        ..
    } = columns;
    let limits = shape.unwrap_or((1 << 32, 1 << 32));
    let indices = |ids: ReadIds, limit: u64, name: &str, what: &str| {
        let mut wrong = None;
        let codes = ids.whole()?.indices(limit, &mut |place, id| {
            wrong.get_or_insert((place, id));
        })?;
        let Some((place, id)) = wrong else {
            return Ok(codes);
        };
        let reason = if shape.is_some() {
            format!(
                "index {id} is out of the declared shape of {limit} {what}; raise --shape, or \
                 --vertices of a graph"
            )
        } else {
            format!(
                "index {id} is not between 0 and {}; leave --ids dense out",
                u32::MAX
            )
        };
        Err(reader.error_at(original_row(place, &dropped), name, &reason))
    };
    let rows = indices(rows, limits.0, &names[0], "rows")?;
    let cols = indices(cols, limits.1, &names[1], "columns")?;
    let codes = |indices: &[u32]| indices.iter().max().map_or(0, |&max| u64::from(max) + 1);
    Ok(EncodedEntries {
        count: rows.len() as u64,
        row_codes: codes(&rows),
        column_codes: codes(&cols),
        entries: Triplets { rows, cols, values }.write(context)?,
        row_ids: None,
        column_ids: None,
        skipped,
    })
}

fn write_ids(context: &TaskContext, name: &str, column: &EncodedColumn) -> Result<PieceIds> {
    let schema = Schema::new(vec![
        Field::new("id", column.ids.data_type().clone(), false),
        Field::new("count", DataType::UInt32, false),
    ]);
    let counts = UInt32Array::from(column.counts.clone());
    let arrays: Vec<ArrayRef> = vec![Arc::clone(&column.ids), Arc::new(counts)];
    let batch = RecordBatch::try_new(Arc::new(schema), arrays)
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(PieceIds {
        object: write_batch(context, name, &batch)?,
        count: column.ids.len() as u64,
    })
}

/// The schema of entries.
fn entries_schema(values: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("row", DataType::UInt32, false),
        Field::new("col", DataType::UInt32, false),
    ];
    if values {
        fields.push(Field::new("value", DataType::Float32, false));
    }
    Arc::new(Schema::new(fields))
}

/// One batch of entries.
fn entries_batch(
    schema: &SchemaRef,
    rows: ScalarBuffer<u32>,
    cols: ScalarBuffer<u32>,
    values: Option<ScalarBuffer<f32>>,
) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::new(rows, None)),
        Arc::new(UInt32Array::new(cols, None)),
    ];
    if let Some(values) = values {
        arrays.push(Arc::new(Float32Array::new(values, None)));
    }
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|e| Error::internal(e.to_string()))
}

/// Entries, by codes or by places.
pub(super) struct Triplets {
    pub(super) rows: Vec<u32>,
    pub(super) cols: Vec<u32>,
    pub(super) values: Option<Vec<f32>>,
}

impl Triplets {
    /// In the order that they have.
    fn write(self, context: &TaskContext) -> Result<ObjectRef> {
        let count = self.rows.len();
        let starts = (0..count).step_by(ENTRIES_PER_BATCH);
        let lengths = starts.map(|start| ENTRIES_PER_BATCH.min(count - start));
        self.write_batches(context, lengths)
    }

    /// Sorted by bucket, 2 to the power of `bits` of the row codes below `codes` each.
    fn write_by_bucket(self, context: &TaskContext, bits: u32, codes: u64) -> Result<ObjectRef> {
        let bucket = |row: &u32| (row >> bits) as usize;
        let buckets = codes.div_ceil(1 << bits) as usize;
        let counts = count_buckets(&self.rows, buckets, bucket);
        let sorted = Self {
            rows: sort_by_bucket(&chunks(&self.rows, &self.rows), &counts, bucket),
            cols: sort_by_bucket(&chunks(&self.cols, &self.rows), &counts, bucket),
            values: self
                .values
                .map(|values| sort_by_bucket(&chunks(&values, &self.rows), &counts, bucket)),
        };
        sorted.write_batches(context, bucket_sizes(&counts, buckets).into_iter())
    }

    /// In batches of these lengths, one after the other.
    pub(super) fn write_batches(
        self,
        context: &TaskContext,
        lengths: impl Iterator<Item = usize>,
    ) -> Result<ObjectRef> {
        let schema = entries_schema(self.values.is_some());
        let mut writer = IpcWriter::create(context, "entries.arrow", &schema)?;
        let (rows, cols) = (ScalarBuffer::from(self.rows), ScalarBuffer::from(self.cols));
        let values = self.values.map(ScalarBuffer::from);
        let mut first = 0;
        for length in lengths {
            let values = values.as_ref().map(|values| values.slice(first, length));
            let (rows, cols) = (rows.slice(first, length), cols.slice(first, length));
            writer.write(&entries_batch(&schema, rows, cols, values)?)?;
            first += length;
        }
        writer.finish()
    }
}
