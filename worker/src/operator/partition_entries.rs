//! `partition_entries`: local codes become indices; entries are sorted by block and bucket.
//!
//! A piece's ids and the id table are both sorted, so indices come from one pass over both; where
//! the piece has few of the ids the pass leaps. Codes that are distances are looked up in a table
//! over their whole range. Entries get their places batch by batch, in parallel, and are then put
//! where they belong: every batch has slots of its own in every bucket, in file order. A graph's
//! vertices are renumbered on the way, and undirected edges mirrored.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{Float32Type, UInt32Type};
use rankmill_common::operator::encode_entries::PieceIds;
use rankmill_common::operator::partition_entries::{
    Mirror, PartitionEntries, PartitionedEntries, RowBuckets,
};
use rankmill_common::table::IdTable;
use rankmill_common::{Error, ObjectRef, Result};
use rayon::prelude::*;

use super::encode_entries::Triplets;
use crate::context::TaskContext;
use crate::ids::sorted::{SortedIds, Visitor, visit};
use crate::storage::ipc::IpcFile;
use crate::storage::order::Order;
use crate::stripes::bucket::{bucket_sizes, sort_by_bucket};
use crate::stripes::gather::Entries;

pub(crate) fn run(
    context: &TaskContext,
    operator: &PartitionEntries,
) -> Result<PartitionedEntries> {
    let piece = &operator.piece;
    let order = Order::open(context, operator.order.as_ref(), operator.row_ids.count())?;
    let lookup = |ids: &Option<PieceIds>, indices: &Option<ObjectRef>, table: &IdTable| {
        Lookup::new(context, ids.as_ref(), indices.as_ref(), table, &order)
    };
    let (rows, cols) = rayon::join(
        || lookup(&piece.row_ids, &operator.row_indices, &operator.row_ids),
        || {
            let ids = &operator.column_ids;
            lookup(&piece.column_ids, &operator.column_indices, ids)
        },
    );
    let (rows, cols) = (rows?, cols?);
    let places = Places {
        rows: rows.view(&order),
        cols: cols.view(&order),
        finder: BucketFinder::new(&operator.blocks, operator.row_ids.count())?,
        mirror: operator.mirror,
    };
    let entries = IpcFile::open(context, &piece.entries)?;
    let values = entries.schema().column_with_name("value").is_some();
    let buckets = places.finder.buckets;
    let parts = (0..entries.len())
        .into_par_iter()
        .map(|batch| {
            context.check_cancelled()?;
            Part::of(&entries.batch(batch)?, &places, buckets)
        })
        .collect::<Result<Vec<_>>>()?;
    write(context, &parts, buckets, values)
}

/// Index of every code of a piece.
enum Lookup {
    /// Codes are places; there are this many.
    Identity(u64),
    /// By code, of the piece's own ids.
    Own(Vec<u32>),
    /// By code, of all ids of the input.
    Shared(UInt32Array, u64),
}

impl Lookup {
    fn new(
        context: &TaskContext,
        ids: Option<&PieceIds>,
        indices: Option<&ObjectRef>,
        table: &IdTable,
        order: &Order,
    ) -> Result<Self> {
        match (ids, indices, table) {
            (None, None, IdTable::Range { count, .. }) => Ok(Self::Identity(*count)),
            (None, Some(indices), IdTable::Dictionary { .. }) => {
                // The numbering is in it already.
                Ok(Self::Shared(index_table(context, indices)?, table.count()))
            }
            (Some(ids), None, IdTable::Dictionary { .. }) => {
                let mut own = look_up(context, ids, table)?;
                for place in &mut own {
                    *place = order.index(*place);
                }
                Ok(Self::Own(own))
            }
            (_, _, IdTable::Dictionary { .. } | IdTable::Names { .. } | IdTable::Range { .. }) => {
                Err(Error::internal(
                    "ids of a piece and their table do not match",
                ))
            }
        }
    }

    fn view<'a>(&'a self, order: &'a Order) -> View<'a> {
        let (table, count) = match self {
            Self::Identity(count) => (order.indices(), *count),
            Self::Own(own) => (Some(&own[..]), u64::from(u32::MAX)),
            Self::Shared(indices, count) => (Some(&indices.values()[..]), *count),
        };
        View { table, count }
    }
}

/// The index of every code; see `index_ids`.
pub(super) fn index_table(context: &TaskContext, indices: &ObjectRef) -> Result<UInt32Array> {
    let batch = IpcFile::open(context, indices)?.batch(0)?;
    let column = batch.column_by_name("index");
    column
        .and_then(|column| column.as_primitive_opt::<UInt32Type>())
        .cloned()
        .ok_or_else(|| Error::internal("a table of indices without indices"))
}

/// Index of every code.
#[derive(Clone, Copy)]
struct View<'a> {
    /// By code; absent where codes are indices.
    table: Option<&'a [u32]>,
    /// Indices are below.
    count: u64,
}

impl View<'_> {
    fn indices(&self, codes: &[u32]) -> Result<Vec<u32>> {
        let below = |limit: u64, indices: &[u32], what: &str| match indices
            .iter()
            .max()
            .filter(|&&most| u64::from(most) >= limit)
        {
            Some(most) => Err(Error::internal(format!("{what} {most} has no id"))),
            None => Ok(()),
        };
        let Some(table) = self.table else {
            below(self.count, codes, "index")?;
            return Ok(codes.to_vec());
        };
        below(table.len() as u64, codes, "code")?;
        let indices: Vec<u32> = codes.iter().map(|&code| table[code as usize]).collect();
        below(self.count, &indices, "index")?;
        Ok(indices)
    }
}

/// The place of every id of a piece among all ids.
fn look_up(context: &TaskContext, ids: &PieceIds, table: &IdTable) -> Result<Vec<u32>> {
    let IdTable::Dictionary { shards, .. } = table else {
        return Err(Error::internal("ids without an id table"));
    };
    let wanted = id_array(&IpcFile::open(context, &ids.object)?.batch(0)?)?;
    let mut places = Vec::with_capacity(wanted.len());
    for shard in shards {
        let file = IpcFile::open(context, &shard.object)?;
        let mut start = shard.start;
        for batch in file.batches() {
            let known = id_array(&batch?)?;
            let count = known.len() as u64;
            let find = Find {
                start,
                places: &mut places,
            };
            visit(&[Arc::clone(&wanted), known], find)?;
            start += count;
        }
    }
    if places.len() < wanted.len() {
        let missing = wanted.len() - places.len();
        return Err(Error::internal(format!(
            "{missing} ids are not in the id table"
        )));
    }
    let narrow: Option<Vec<u32>> = places
        .into_iter()
        .map(|place| u32::try_from(place).ok())
        .collect();
    narrow.ok_or_else(|| Error::invalid_input("there are more than 2^32 ids"))
}

fn id_array(batch: &RecordBatch) -> Result<ArrayRef> {
    let ids = batch.column_by_name("id");
    ids.cloned()
        .ok_or_else(|| Error::internal("an id table without ids"))
}

/// Finds the wanted ids (first array) that follow those already found among some known ones
/// (second array), whose first index is `start`.
struct Find<'a> {
    start: u64,
    places: &'a mut Vec<u64>,
}

impl Visitor for Find<'_> {
    type Output = ();

    fn visit<S: SortedIds>(self, arrays: &[S]) -> Result<()> {
        let &[wanted, known] = arrays else {
            return Err(Error::internal("two arrays of ids are needed"));
        };
        let mut place = 0;
        for next in self.places.len()..wanted.len() {
            let key = wanted.key(next);
            place = known.seek(place, key);
            if place == known.len() {
                break;
            }
            if known.key(place) != key {
                return Err(Error::internal("an id of a piece is not in the id table"));
            }
            self.places.push(self.start + place as u64);
        }
        Ok(())
    }
}

/// Finds the bucket of a row: its block by the row's leading bits, then the place within.
struct BucketFinder {
    blocks: Vec<Block>,
    buckets: usize,
    shift: u32,
    /// First block that ends behind the first row with these leading bits.
    first: Vec<u32>,
}

/// A block of rows.
struct Block {
    start: u32,
    end: u32,
    first_bucket: u32,
    /// Binary logarithm of the rows in a bucket.
    bits: u32,
}

impl BucketFinder {
    const SLOTS: u64 = 1 << 16;

    /// Blocks must follow one another and hold `rows` rows in all.
    fn new(ranges: &[RowBuckets], rows: u64) -> Result<Self> {
        let (mut blocks, mut end, mut buckets) = (Vec::with_capacity(ranges.len()), 0, 0);
        for range in ranges {
            if range.rows.start != end {
                return Err(Error::internal("blocks that leave rows out"));
            }
            end = range.rows.end();
            blocks.push(Block {
                start: narrow(range.rows.start)?,
                end: narrow(end)?,
                first_bucket: narrow(buckets)?,
                bits: range.bits,
            });
            buckets += range.count();
        }
        if end != rows {
            return Err(Error::internal(format!("blocks of {end} rows of {rows}")));
        }
        let mut shift = 0;
        while (rows >> shift) >= Self::SLOTS {
            shift += 1;
        }
        let slots = 0..rows.div_ceil(1 << shift);
        let first =
            |slot: u64| blocks.partition_point(|block| u64::from(block.end) <= slot << shift);
        Ok(Self {
            first: slots.map(|slot| first(slot) as u32).collect(),
            blocks,
            buckets: buckets as usize,
            shift,
        })
    }

    /// The bucket of a row, one of all blocks', and its place within the block.
    fn of(&self, row: u32) -> (u32, u32) {
        let mut block = self.first[(row >> self.shift) as usize] as usize;
        while self.blocks[block].end <= row {
            block += 1;
        }
        let block = &self.blocks[block];
        let within = row - block.start;
        (block.first_bucket + (within >> block.bits), within)
    }
}

fn narrow(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::internal(format!("{number} rows")))
}

/// Where entries go.
struct Places<'a> {
    rows: View<'a>,
    cols: View<'a>,
    finder: BucketFinder,
    mirror: Mirror,
}

/// A batch of entries with their places, in file order.
struct Part {
    /// Bucket of every entry.
    buckets: Vec<u32>,
    /// Row within the block.
    rows: Vec<u32>,
    cols: Vec<u32>,
    values: Option<Vec<f32>>,
    /// Entries per bucket.
    counts: Vec<usize>,
}

impl Part {
    fn of(batch: &RecordBatch, places: &Places<'_>, buckets: usize) -> Result<Self> {
        let entries = entries_of(batch)?;
        let mut part = Self {
            buckets: Vec::new(),
            rows: places.rows.indices(entries.rows)?,
            cols: places.cols.indices(entries.cols)?,
            values: entries.values.map(<[f32]>::to_vec),
            counts: vec![0; buckets],
        };
        if places.mirror == Mirror::On {
            part.mirror();
        }
        let Self { rows, counts, .. } = &mut part;
        let bucket = |row: &mut u32| {
            let (bucket, within) = places.finder.of(*row);
            *row = within;
            counts[bucket as usize] += 1;
            bucket
        };
        part.buckets = rows.iter_mut().map(bucket).collect();
        Ok(part)
    }

    /// Every entry also stands at its mirrored place, right behind itself, unless that is the same.
    fn mirror(&mut self) {
        let twice = 2 * self.rows.len();
        let (mut rows, mut cols) = (Vec::with_capacity(twice), Vec::with_capacity(twice));
        let mut values = self.values.as_ref().map(|_| Vec::with_capacity(twice));
        for (entry, (&row, &col)) in self.rows.iter().zip(&self.cols).enumerate() {
            let both = [(row, col), (col, row)];
            for &(row, col) in &both[..1 + usize::from(row != col)] {
                rows.push(row);
                cols.push(col);
                if let (Some(kept), Some(values)) = (&mut values, &self.values) {
                    kept.push(values[entry]);
                }
            }
        }
        (self.rows, self.cols, self.values) = (rows, cols, values);
    }
}

/// Writes all parts as one object, bucket by bucket.
fn write(
    context: &TaskContext,
    parts: &[Part],
    buckets: usize,
    values: bool,
) -> Result<PartitionedEntries> {
    let counts: Vec<&[usize]> = parts.iter().map(|part| &part.counts[..]).collect();
    let sorted = Triplets {
        rows: by_bucket(parts, &counts, |part| &part.rows),
        cols: by_bucket(parts, &counts, |part| &part.cols),
        values: values.then(|| {
            by_bucket(parts, &counts, |part| {
                part.values.as_deref().unwrap_or_default()
            })
        }),
    };
    let sizes = bucket_sizes(&counts, buckets);
    Ok(PartitionedEntries {
        counts: sizes.iter().map(|&size| size as u64).collect(),
        entries: sorted.write_batches(context, sizes.into_iter())?,
    })
}

/// One column of all parts.
fn by_bucket<T: Copy + Default + Send + Sync>(
    parts: &[Part],
    counts: &[&[usize]],
    column: fn(&Part) -> &[T],
) -> Vec<T> {
    let chunks = parts.iter().map(|part| (column(part), &part.buckets[..]));
    let chunks: Vec<_> = chunks.collect();
    sort_by_bucket(&chunks, counts, |&bucket| bucket as usize)
}

/// The columns of a batch of entries.
pub(super) fn entries_of(batch: &RecordBatch) -> Result<Entries<'_>> {
    let codes = |name| {
        let column = batch.column_by_name(name)?;
        let codes = column.as_primitive_opt::<UInt32Type>()?;
        Some(&codes.values()[..])
    };
    let places = codes("row").zip(codes("col"));
    let (rows, cols) = places.ok_or_else(|| Error::internal("entries without row or col"))?;
    let values = batch
        .column_by_name("value")
        .and_then(|column| column.as_primitive_opt::<Float32Type>())
        .map(|values| &values.values()[..]);
    Ok(Entries {
        rows,
        cols,
        values,
        codes: None,
    })
}
