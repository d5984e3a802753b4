//! `merge_ids`: one shard of an id table, merged from the sorted ids of all pieces.
//!
//! A heap holds the next id of every piece; ids leave it in order and are written in batches, so
//! memory does not grow with the shard.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use rankmill_common::operator::merge_ids::{Counts, MergeIds, MergedIds};
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::ids::sorted::{SortedIds, Visitor, visit};
use crate::storage::ipc::{IpcFile, IpcWriter};

/// Ids in one record batch.
const BATCH_IDS: usize = 1 << 18;

/// Ids looked at per shard, of all pieces together, and of each piece at least, to cut the ids into
/// shards of equal size.
const SAMPLES_PER_SHARD: usize = 256;
const SAMPLES_PER_PIECE: usize = 64;

pub(crate) fn run(context: &TaskContext, operator: &MergeIds) -> Result<MergedIds> {
    let mut arrays = Vec::with_capacity(operator.pieces.len());
    let mut counts = Vec::with_capacity(operator.pieces.len());
    for piece in &operator.pieces {
        let batch = IpcFile::open(context, &piece.object)?.batch(0)?;
        let columns = batch
            .column_by_name("id")
            .zip(batch.column_by_name("count"));
        let (ids, count) = columns
            .ok_or_else(|| Error::internal(format!("object {} holds no ids", piece.object.key)))?;
        arrays.push(Arc::clone(ids));
        counts.push(Arc::clone(count));
    }
    let counts = counts
        .iter()
        .map(|array| {
            array
                .as_primitive_opt::<UInt32Type>()
                .map(|counts| &counts.values()[..])
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::internal("counts of ids are not 32 bits wide"))?;
    let merge = Merge {
        context,
        operator,
        arrays: &arrays,
        counts: &counts,
    };
    visit(&arrays, merge)
}

struct Merge<'a> {
    context: &'a TaskContext,
    operator: &'a MergeIds,
    arrays: &'a [ArrayRef],
    counts: &'a [&'a [u32]],
}

impl Visitor for Merge<'_> {
    type Output = MergedIds;

    fn visit<S: SortedIds>(self, pieces: &[S]) -> Result<MergedIds> {
        let ranges = shard_ranges(pieces, self.operator.shard, self.operator.shards);
        let mut heap: BinaryHeap<Reverse<(S::Key, usize, usize)>> = ranges
            .iter()
            .enumerate()
            .filter(|(_, range)| !range.is_empty())
            .map(|(piece, range)| Reverse((pieces[piece].key(range.start), piece, range.start)))
            .collect();
        let mut shard = Shard::create(&self)?;
        let mut last: Option<S::Key> = None;
        while let Some(mut top) = heap.peek_mut() {
            let Reverse((key, piece, index)) = *top;
            if index + 1 < ranges[piece].end {
                *top = Reverse((pieces[piece].key(index + 1), piece, index + 1));
            } else {
                std::collections::binary_heap::PeekMut::pop(top);
            }
            if last != Some(key) {
                shard.next_id(piece, index)?;
                last = Some(key);
            }
            shard.add_entries(u64::from(self.counts[piece][index]));
        }
        shard.finish()
    }
}

/// The part of every piece that belongs to a shard.
fn shard_ranges<S: SortedIds>(pieces: &[S], shard: u32, shards: u32) -> Vec<Range<usize>> {
    let splitters = splitters(pieces, shards.max(1) as usize);
    let shard = shard as usize;
    let bound = |splitter: Option<&S::Key>, piece: S, otherwise: usize| {
        splitter.map_or(otherwise, |&key| piece.seek(0, key))
    };
    pieces
        .iter()
        .map(|&piece| {
            let lower = shard
                .checked_sub(1)
                .and_then(|before| splitters.get(before));
            let start = bound(lower, piece, if shard == 0 { 0 } else { piece.len() });
            let end = bound(splitters.get(shard), piece, piece.len());
            start..end.max(start)
        })
        .collect()
}

/// First ids of the shards after the first: quantiles of evenly spaced samples, each weighing as
/// many ids as it stands for.
fn splitters<S: SortedIds>(pieces: &[S], shards: usize) -> Vec<S::Key> {
    if shards == 1 {
        return Vec::new();
    }
    let mut samples: Vec<(S::Key, u64)> = Vec::new();
    let of_each = (SAMPLES_PER_SHARD * shards).div_ceil(pieces.len().max(1));
    for &piece in pieces {
        let wanted = of_each.max(SAMPLES_PER_PIECE).min(piece.len());
        for sample in 0..wanted {
            let place = |sample: usize| sample * piece.len() / wanted;
            let weight = place(sample + 1) - place(sample);
            samples.push((piece.key(place(sample)), weight as u64));
        }
    }
    samples.sort_unstable();
    let total: u64 = samples.iter().map(|&(_, weight)| weight).sum();
    let mut splitters = Vec::with_capacity(shards - 1);
    let mut passed = 0;
    for (key, weight) in samples {
        let next = splitters.len() as u64 + 1;
        if next < shards as u64 && u128::from(passed) * shards as u128 >= u128::from(total * next) {
            splitters.push(key);
        }
        passed += weight;
    }
    splitters
}

/// The shard being written.
struct Shard<'a> {
    sources: Vec<&'a dyn Array>,
    schema: Arc<Schema>,
    writer: IpcWriter,
    picks: Vec<(usize, usize)>,
    block_entries: Option<u64>,
    count: u64,
    /// Entries of the picked ids, where they are kept.
    id_counts: Option<Vec<u64>>,
    cuts: Vec<u64>,
    /// Entries since the last cut.
    entries: u64,
}

impl<'a> Shard<'a> {
    fn create(merge: &Merge<'a>) -> Result<Self> {
        let id_type = merge
            .arrays
            .first()
            .map_or(DataType::Int64, |array| array.data_type().clone());
        let mut fields = vec![Field::new("id", id_type, false)];
        let id_counts = match merge.operator.counts {
            Counts::Drop => None,
            Counts::Keep => {
                fields.push(Field::new("count", DataType::UInt64, false));
                Some(Vec::with_capacity(BATCH_IDS))
            }
        };
        let schema = Arc::new(Schema::new(fields));
        Ok(Self {
            sources: merge.arrays.iter().map(AsRef::as_ref).collect(),
            writer: IpcWriter::create(merge.context, "ids.arrow", &schema)?,
            schema,
            picks: Vec::with_capacity(BATCH_IDS),
            block_entries: merge.operator.block_entries,
            count: 0,
            id_counts,
            cuts: Vec::new(),
            entries: 0,
        })
    }

    /// Appends an id; a block ends before it if the ids so far fill one.
    fn next_id(&mut self, piece: usize, index: usize) -> Result<()> {
        if self
            .block_entries
            .is_some_and(|limit| self.entries >= limit.max(1))
        {
            self.cuts.push(self.count);
            self.entries = 0;
        }
        // Not before: entries of the last id may still have come.
        if self.picks.len() == BATCH_IDS {
            self.flush()?;
        }
        self.picks.push((piece, index));
        self.count += 1;
        if let Some(counts) = &mut self.id_counts {
            counts.push(0);
        }
        Ok(())
    }

    /// Counts entries of the last id.
    fn add_entries(&mut self, count: u64) {
        self.entries += count;
        if let Some(last) = self.id_counts.as_mut().and_then(|counts| counts.last_mut()) {
            *last += count;
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        let ids = interleave(&self.sources, &self.picks).map_err(internal)?;
        self.picks.clear();
        let mut columns = vec![ids];
        if let Some(counts) = &mut self.id_counts {
            columns.push(Arc::new(UInt64Array::from(std::mem::take(counts))));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(internal)?;
        self.writer.write(&batch)
    }

    fn finish(mut self) -> Result<MergedIds> {
        self.flush()?;
        Ok(MergedIds {
            object: self.writer.finish()?,
            count: self.count,
            cuts: self.cuts,
            entries: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shards_share_every_id_of_every_piece(
            pieces in prop::collection::vec(prop::collection::btree_set(0u32..500, 0..80), 1..6),
            shards in 1u32..7,
        ) {
            let pieces: Vec<Vec<u32>> = pieces.into_iter().map(|ids| ids.into_iter().collect()).collect();
            let slices: Vec<&[u32]> = pieces.iter().map(|ids| &ids[..]).collect();
            let mut ends = vec![0; slices.len()];
            let mut highest = None;
            for shard in 0..shards {
                let ranges = shard_ranges(&slices, shard, shards);
                let mut next_highest = highest;
                for (piece, range) in ranges.into_iter().enumerate() {
                    prop_assert_eq!(range.start, ends[piece]);
                    for &id in &pieces[piece][range.clone()] {
                        prop_assert!(highest.is_none_or(|highest| id > highest));
                        next_highest = next_highest.max(Some(id));
                    }
                    ends[piece] = range.end;
                }
                highest = next_highest;
            }
            for (piece, end) in ends.into_iter().enumerate() {
                prop_assert_eq!(end, pieces[piece].len());
            }
        }
    }
}
