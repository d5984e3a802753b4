//! `list_ids`: one shard of an id table: the ids of a range that occur at all.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray, RecordBatch, UInt64Array};
use arrow::datatypes::{ArrowPrimitiveType, UInt32Type};
use rankmill_common::operator::list_ids::ListIds;
use rankmill_common::operator::merge_ids::{Counts, MergedIds};
use rankmill_common::{Error, ObjectRef, Result};

use crate::context::TaskContext;
use crate::ids::integers::Integer;
use crate::ids::{stored_type, with_integer_type};
use crate::storage::ipc::{IpcFile, IpcWriter};

/// Ids in one record batch.
const BATCH_IDS: usize = 1 << 18;

pub(crate) fn run(context: &TaskContext, operator: &ListIds) -> Result<MergedIds> {
    let sums = sums(context, operator)?;
    let first = operator.range.lowest + operator.codes.start;
    let (mut keys, mut counts) = (Vec::new(), Vec::new());
    for (code, count) in sums.into_iter().enumerate() {
        if count > 0 {
            keys.push(first + code as u64);
            counts.push(count);
        }
    }
    let (cuts, entries) = operator
        .block_entries
        .map_or_else(Default::default, |entries| cuts(&counts, entries));
    Ok(MergedIds {
        object: write(context, operator, &keys, &counts)?,
        count: keys.len() as u64,
        cuts,
        entries,
    })
}

/// Entries of every code of the shard.
fn sums(context: &TaskContext, operator: &ListIds) -> Result<Vec<u64>> {
    let (start, count) = (operator.codes.start as usize, operator.codes.count as usize);
    let mut sums = vec![0u64; count];
    for object in &operator.counts {
        let batch = IpcFile::open_partly(context, object)?.batch(0)?;
        context.count_read(4 * operator.codes.count);
        let counts = batch
            .column_by_name("count")
            .and_then(|counts| counts.as_primitive_opt::<UInt32Type>())
            .and_then(|counts| counts.values().get(start..start + count))
            .ok_or_else(|| Error::internal(format!("object {} holds no counts", object.key)))?;
        for (sum, &count) in sums.iter_mut().zip(counts) {
            *sum += u64::from(count);
        }
    }
    Ok(sums)
}

/// Places at which enough entries have come together for a block, and how many have.
fn cuts(counts: &[u64], block_entries: u64) -> (Vec<u64>, Vec<u64>) {
    let (mut cuts, mut between, mut entries) = (Vec::new(), Vec::new(), 0);
    for (place, count) in counts.iter().enumerate() {
        if entries >= block_entries.max(1) {
            cuts.push(place as u64);
            between.push(entries);
            entries = 0;
        }
        entries += count;
    }
    between.push(entries);
    (cuts, between)
}

fn write(
    context: &TaskContext,
    operator: &ListIds,
    keys: &[u64],
    counts: &[u64],
) -> Result<ObjectRef> {
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let batch = |keys: &[u64], counts: &[u64]| {
        let mut columns = vec![("id", ids(operator, keys)?)];
        if operator.keep == Counts::Keep {
            let counts: ArrayRef = Arc::new(UInt64Array::from(counts.to_vec()));
            columns.push(("count", counts));
        }
        let columns = columns
            .into_iter()
            .map(|(name, column)| (name, column, false));
        RecordBatch::try_from_iter_with_nullable(columns).map_err(internal)
    };
    let schema = batch(&[], &[])?.schema();
    let mut writer = IpcWriter::create(context, "ids.arrow", &schema)?;
    for (keys, counts) in keys.chunks(BATCH_IDS).zip(counts.chunks(BATCH_IDS)) {
        writer.write(&batch(keys, counts)?)?;
    }
    writer.finish()
}

/// The ids behind some keys, in the users' type.
fn ids(operator: &ListIds, keys: &[u64]) -> Result<ArrayRef> {
    with_integer_type!(&stored_type(operator.id_type), T => {
        let ids = keys.iter().map(|&key| <T as ArrowPrimitiveType>::Native::from_key(key));
        Ok(Arc::new(PrimitiveArray::<T>::from_iter_values(ids)))
    }, Err(Error::internal("a range of ids that are no integers")))
}
