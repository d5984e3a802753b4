//! `partition_entries`: local codes become indices; entries are sorted by block.
//!
//! A piece's ids and the id table are both sorted, so indices come from one pass over both; where
//! the piece has few of the ids the pass leaps. Entries are sorted batch by batch, in parallel,
//! and the batches' parts of a block are joined in file order. A graph's vertices are renumbered
//! on the way, and undirected edges mirrored.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{Float32Type, UInt32Type};
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::encode_entries::PieceIds;
use rankmill_common::operator::partition_entries::{Mirror, PartitionEntries, PartitionedEntries};
use rankmill_common::table::IdTable;
use rankmill_common::{Error, Result};
use rayon::prelude::*;

use super::encode_entries::{entries_batch, entries_schema};
use crate::context::TaskContext;
use crate::ids::sorted::{SortedIds, Visitor, visit};
use crate::storage::ipc::{IpcFile, IpcWriter};
use crate::storage::order::Order;
use crate::stripes::gather::Entries;

pub(crate) fn run(
    context: &TaskContext,
    operator: &PartitionEntries,
) -> Result<PartitionedEntries> {
    let piece = &operator.piece;
    let (rows, cols) = rayon::join(
        || Lookup::new(context, piece.row_ids.as_ref(), &operator.row_ids),
        || Lookup::new(context, piece.column_ids.as_ref(), &operator.column_ids),
    );
    let (rows, cols) = (rows?, cols?);
    let entries = IpcFile::open(context, &piece.entries)?;
    let values = entries.schema().column_with_name("value").is_some();
    let blocks = operator.blocks.len();
    let parts = match (&operator.order, operator.mirror) {
        (None, Mirror::Off) => {
            let rows = RowPlaces::new(&rows, &operator.blocks)?;
            let cols = cols.narrow()?;
            sort(context, &entries, |batch| {
                Part::of(batch, &rows, cols.as_deref(), blocks)
            })?
        }
        (order, mirror) => {
            let count = operator.row_ids.count();
            let order = Order::open(context, order.as_ref(), count)?;
            let edges = Edges {
                sources: rows.reorder(&order)?,
                targets: cols.reorder(&order)?,
                order,
                count,
                finder: BlockFinder::new(&operator.blocks, count)?,
                mirror,
            };
            sort(context, &entries, |batch| edges.sort(batch, blocks))?
        }
    };
    write(context, &parts, blocks, values)
}

/// Sorts every batch, side by side.
fn sort(
    context: &TaskContext,
    entries: &IpcFile,
    part: impl Fn(&RecordBatch) -> Result<Part> + Sync,
) -> Result<Vec<Part>> {
    (0..entries.len())
        .into_par_iter()
        .map(|batch| {
            context.check_cancelled()?;
            part(&entries.batch(batch)?)
        })
        .collect()
}

/// Index of every code of a piece.
enum Lookup {
    /// Codes are indices; there are this many.
    Identity(u64),
    Table(Vec<u64>),
}

impl Lookup {
    fn new(context: &TaskContext, ids: Option<&PieceIds>, table: &IdTable) -> Result<Self> {
        let (ids, shards) = match (ids, table) {
            (None, IdTable::Range { count, .. }) => return Ok(Self::Identity(*count)),
            (Some(ids), IdTable::Dictionary { shards, .. }) => (ids, shards),
            (None, IdTable::Dictionary { .. } | IdTable::Names { .. })
            | (Some(_), IdTable::Range { .. } | IdTable::Names { .. }) => {
                return Err(Error::internal(
                    "ids of a piece and their table do not match",
                ));
            }
        };
        let wanted = id_array(&IpcFile::open(context, &ids.object)?.batch(0)?)?;
        let mut indices = Vec::with_capacity(wanted.len());
        for shard in shards {
            let file = IpcFile::open(context, &shard.object)?;
            let mut start = shard.start;
            for batch in file.batches() {
                let known = id_array(&batch?)?;
                let count = known.len() as u64;
                let find = Find {
                    start,
                    indices: &mut indices,
                };
                visit(&[Arc::clone(&wanted), known], find)?;
                start += count;
            }
        }
        if indices.len() < wanted.len() {
            let missing = wanted.len() - indices.len();
            return Err(Error::internal(format!(
                "{missing} ids are not in the id table"
            )));
        }
        Ok(Self::Table(indices))
    }

    /// As indices under a numbering; `None` where codes are places.
    fn reorder(self, order: &Order) -> Result<Option<Vec<u32>>> {
        let mut places = self.narrow()?;
        for place in places.iter_mut().flatten() {
            *place = order.index(*place);
        }
        Ok(places)
    }

    /// As 32-bit indices; `None` where codes are indices already.
    fn narrow(self) -> Result<Option<Vec<u32>>> {
        match self {
            Self::Identity(_) => Ok(None),
            Self::Table(indices) => {
                let narrow: Option<Vec<u32>> = indices
                    .into_iter()
                    .map(|index| u32::try_from(index).ok())
                    .collect();
                narrow
                    .map(Some)
                    .ok_or_else(|| Error::invalid_input("the matrix has more than 2^32 columns"))
            }
        }
    }
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
    indices: &'a mut Vec<u64>,
}

impl Visitor for Find<'_> {
    type Output = ();

    fn visit<S: SortedIds>(self, arrays: &[S]) -> Result<()> {
        let &[wanted, known] = arrays else {
            return Err(Error::internal("two arrays of ids are needed"));
        };
        let mut place = 0;
        for next in self.indices.len()..wanted.len() {
            let key = wanted.key(next);
            place = known.seek(place, key);
            if place == known.len() {
                break;
            }
            if known.key(place) != key {
                return Err(Error::internal("an id of a piece is not in the id table"));
            }
            self.indices.push(self.start + place as u64);
        }
        Ok(())
    }
}

/// Block, and row within it, of every row code.
enum RowPlaces {
    /// By code.
    Table(Vec<(u32, u32)>),
    /// Codes are indices.
    Finder(BlockFinder),
}

impl RowPlaces {
    fn new(lookup: &Lookup, blocks: &[RowRange]) -> Result<Self> {
        let indices = match lookup {
            Lookup::Identity(count) => return Ok(Self::Finder(BlockFinder::new(blocks, *count)?)),
            Lookup::Table(indices) => indices,
        };
        let mut block = 0;
        let mut places = Vec::with_capacity(indices.len());
        // Indices ascend with codes, so blocks do too.
        for &index in indices {
            while blocks
                .get(block)
                .is_some_and(|range: &RowRange| range.end() <= index)
            {
                block += 1;
            }
            let range = blocks.get(block).filter(|range| range.start <= index);
            places.push((block as u32, row_within(range, index)?));
        }
        Ok(Self::Table(places))
    }

    fn of(&self, code: u32) -> Result<(u32, u32)> {
        match self {
            Self::Table(places) => places
                .get(code as usize)
                .copied()
                .ok_or_else(|| Error::internal(format!("row code {code} has no id"))),
            Self::Finder(finder) => finder.of(u64::from(code)),
        }
    }
}

fn row_within(range: Option<&RowRange>, index: u64) -> Result<u32> {
    range
        .and_then(|range| u32::try_from(index - range.start).ok())
        .ok_or_else(|| Error::internal(format!("row {index} is in no block")))
}

/// Finds the block of a row by its leading bits.
struct BlockFinder {
    blocks: Vec<RowRange>,
    shift: u32,
    /// First block that ends behind the first row with these leading bits.
    first: Vec<u32>,
}

impl BlockFinder {
    const SLOTS: u64 = 1 << 16;

    fn new(blocks: &[RowRange], rows: u64) -> Result<Self> {
        let mut shift = 0;
        while (rows >> shift) >= Self::SLOTS {
            shift += 1;
        }
        let mut first = Vec::with_capacity((rows >> shift) as usize + 1);
        let mut block = 0;
        for slot in 0..=(rows >> shift) {
            let row = slot << shift;
            while blocks.get(block).is_some_and(|range| range.end() <= row) {
                block += 1;
            }
            first.push(block as u32);
        }
        Ok(Self {
            blocks: blocks.to_vec(),
            shift,
            first,
        })
    }

    fn of(&self, row: u64) -> Result<(u32, u32)> {
        let slot = (row >> self.shift) as usize;
        let mut block = self
            .first
            .get(slot)
            .map_or(self.blocks.len(), |&b| b as usize);
        while self
            .blocks
            .get(block)
            .is_some_and(|range| range.end() <= row)
        {
            block += 1;
        }
        let range = self.blocks.get(block).filter(|range| range.start <= row);
        Ok((block as u32, row_within(range, row)?))
    }
}

/// A batch of entries, sorted by block.
struct Part {
    rows: Vec<u32>,
    cols: Vec<u32>,
    values: Option<Vec<f32>>,
    /// Where blocks start; one more than there are blocks.
    starts: Vec<u32>,
}

impl Part {
    fn of(
        batch: &RecordBatch,
        rows: &RowPlaces,
        cols: Option<&[u32]>,
        blocks: usize,
    ) -> Result<Self> {
        let entries = entries_of(batch)?;
        let places = entries
            .rows
            .iter()
            .map(|&code| rows.of(code))
            .collect::<Result<Vec<_>>>()?;
        let cols = entries
            .cols
            .iter()
            .map(|&code| column(cols, code))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self::sorted(&places, &cols, entries.values, blocks))
    }

    /// Entries with (block, row within it), column and value, sorted by block.
    fn sorted(places: &[(u32, u32)], cols: &[u32], values: Option<&[f32]>, blocks: usize) -> Self {
        let mut starts = vec![0u32; blocks + 1];
        for &(block, _) in places {
            starts[block as usize + 1] += 1;
        }
        for block in 0..blocks {
            starts[block + 1] += starts[block];
        }
        let mut next = starts.clone();
        let mut part = Self {
            rows: vec![0; places.len()],
            cols: vec![0; places.len()],
            values: values.map(|values| vec![0.0; values.len()]),
            starts,
        };
        for (place, &(block, row)) in places.iter().enumerate() {
            let slot = &mut next[block as usize];
            let target = *slot as usize;
            *slot += 1;
            part.rows[target] = row;
            part.cols[target] = cols[place];
            if let (Some(target_values), Some(values)) = (&mut part.values, values) {
                target_values[target] = values[place];
            }
        }
        part
    }
}

fn column(indices: Option<&[u32]>, code: u32) -> Result<u32> {
    match indices {
        None => Ok(code),
        Some(indices) => indices
            .get(code as usize)
            .copied()
            .ok_or_else(|| Error::internal(format!("column code {code} has no id"))),
    }
}

/// Edges whose ends are vertices of one set.
struct Edges {
    /// Index by row code; absent where codes are places.
    sources: Option<Vec<u32>>,
    /// Index by column code.
    targets: Option<Vec<u32>>,
    order: Order,
    count: u64,
    finder: BlockFinder,
    mirror: Mirror,
}

impl Edges {
    fn sort(&self, batch: &RecordBatch, blocks: usize) -> Result<Part> {
        let entries = entries_of(batch)?;
        let (mut places, mut cols) = (Vec::new(), Vec::new());
        let mut values = entries.values.map(|_| Vec::new());
        for (entry, (&row, &col)) in entries.rows.iter().zip(entries.cols).enumerate() {
            let row = self.index(self.sources.as_deref(), row)?;
            let col = self.index(self.targets.as_deref(), col)?;
            let mirrored = self.mirror == Mirror::On && row != col;
            let both = [(row, col), (col, row)];
            for &(row, col) in &both[..1 + usize::from(mirrored)] {
                places.push(self.finder.of(u64::from(row))?);
                cols.push(col);
                if let (Some(kept), Some(values)) = (&mut values, entries.values) {
                    kept.push(values[entry]);
                }
            }
        }
        Ok(Part::sorted(&places, &cols, values.as_deref(), blocks))
    }

    fn index(&self, indices: Option<&[u32]>, code: u32) -> Result<u32> {
        match indices {
            None if u64::from(code) < self.count => Ok(self.order.index(code)),
            None => Err(Error::internal(format!("vertex {code} of {}", self.count))),
            Some(_) => column(indices, code),
        }
    }
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
    Ok(Entries { rows, cols, values })
}

fn write(
    context: &TaskContext,
    parts: &[Part],
    blocks: usize,
    values: bool,
) -> Result<PartitionedEntries> {
    let schema = entries_schema(values);
    let mut writer = IpcWriter::create(context, "entries.arrow", &schema)?;
    let mut counts = Vec::with_capacity(blocks);
    for block in 0..blocks {
        let spans: Vec<_> = parts
            .iter()
            .map(|part| part.starts[block] as usize..part.starts[block + 1] as usize)
            .collect();
        let count: usize = spans.iter().map(ExactSizeIterator::len).sum();
        let mut rows = Vec::with_capacity(count);
        let mut cols = Vec::with_capacity(count);
        let mut joined = values.then(|| Vec::with_capacity(count));
        for (part, span) in parts.iter().zip(spans) {
            rows.extend_from_slice(&part.rows[span.clone()]);
            cols.extend_from_slice(&part.cols[span.clone()]);
            if let (Some(joined), Some(values)) = (&mut joined, &part.values) {
                joined.extend_from_slice(&values[span]);
            }
        }
        let joined = joined.map(ScalarBuffer::from);
        writer.write(&entries_batch(&schema, rows.into(), cols.into(), joined)?)?;
        counts.push(count as u64);
    }
    Ok(PartitionedEntries {
        entries: writer.finish()?,
        counts,
    })
}
