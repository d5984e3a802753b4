//! The users' own ids of a range of rows, as one Arrow array of the users' own type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray, UInt32Array, new_empty_array,
};
use arrow::compute::{cast, concat};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use rankmill_common::matrix::RowRange;
use rankmill_common::table::{IdShard, IdTable, IdType};
use rankmill_common::{Error, Result};
use rayon::prelude::*;

use super::ipc::IpcFile;
use crate::context::TaskContext;
use crate::ids::stored_type;

/// The Arrow type of the ids of `table`.
pub(crate) fn data_type(table: &IdTable) -> DataType {
    match table {
        IdTable::Dictionary { id_type, .. } | IdTable::Range { id_type, .. } => {
            arrow_type(*id_type)
        }
        IdTable::Names { .. } => DataType::Utf8,
    }
}

/// Ids of `rows`, in order.
///
/// # Errors
///
/// `InputLost` where a shard is gone, `Internal` where the table does not hold these rows.
pub(crate) fn read(context: &TaskContext, table: &IdTable, rows: RowRange) -> Result<ArrayRef> {
    if rows.end() > table.count() {
        return Err(Error::internal(format!(
            "rows {}..{} have no ids: there are {}",
            rows.start,
            rows.end(),
            table.count()
        )));
    }
    match table {
        IdTable::Dictionary { id_type, shards } => dictionary(context, *id_type, shards, rows),
        IdTable::Range { id_type, .. } => indices(*id_type, rows.start..rows.end()),
        IdTable::Names { names } => {
            let names = &names[rows.start as usize..rows.end() as usize];
            Ok(Arc::new(StringArray::from_iter_values(names)))
        }
    }
}

fn dictionary(
    context: &TaskContext,
    id_type: IdType,
    shards: &[IdShard],
    rows: RowRange,
) -> Result<ArrayRef> {
    let wanted = &arrow_type(id_type);
    let mut parts = Vec::new();
    for shard in shards {
        if shard.start + shard.count <= rows.start || shard.start >= rows.end() {
            continue;
        }
        let file = IpcFile::open(context, &shard.object)?;
        let mut start = shard.start;
        for batch in file.batches() {
            let batch = batch?;
            let end = start + batch.num_rows() as u64;
            let (from, to) = (start.max(rows.start), end.min(rows.end()));
            if from < to {
                let ids = batch
                    .column_by_name("id")
                    .filter(|ids| *ids.data_type() == stored_type(id_type));
                let ids = ids.ok_or_else(|| {
                    let key = &shard.object.key;
                    Error::internal(format!("object {key} holds no ids of type {wanted}"))
                })?;
                // Text and bytes are stored with wider offsets than users like to read.
                let ids = ids.slice((from - start) as usize, (to - from) as usize);
                parts.push(cast(&ids, wanted).map_err(|e| Error::internal(e.to_string()))?);
            }
            start = end;
        }
    }
    let ids = concat_ids(&parts, wanted)?;
    if ids.len() as u64 != rows.count {
        let found = ids.len();
        return Err(Error::internal(format!(
            "shards hold {found} of {} ids",
            rows.count
        )));
    }
    Ok(ids)
}

/// Ids at some places, in any order, repeated or not. Memory grows with the places, not with the
/// table.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn take(context: &TaskContext, table: &IdTable, places: &[u32]) -> Result<ArrayRef> {
    let mut wanted = places.to_vec();
    wanted.par_sort_unstable();
    wanted.dedup();
    if wanted
        .last()
        .is_some_and(|&last| u64::from(last) >= table.count())
    {
        return Err(Error::internal(format!(
            "a place behind {} ids",
            table.count()
        )));
    }
    let distinct = match table {
        IdTable::Dictionary { id_type, shards } => {
            take_from_shards(context, *id_type, shards, &wanted)?
        }
        IdTable::Range { id_type, .. } => {
            indices(*id_type, wanted.iter().map(|&place| u64::from(place)))?
        }
        IdTable::Names { names } => {
            let names = wanted.iter().map(|&place| &names[place as usize]);
            Arc::new(StringArray::from_iter_values(names))
        }
    };
    let picks = places
        .iter()
        .map(|place| wanted.partition_point(|other| other < place) as u32);
    let picks = UInt32Array::from_iter_values(picks);
    arrow::compute::take(&distinct, &picks, None).map_err(|e| Error::internal(e.to_string()))
}

/// Ids at ascending, distinct places.
fn take_from_shards(
    context: &TaskContext,
    id_type: IdType,
    shards: &[IdShard],
    wanted: &[u32],
) -> Result<ArrayRef> {
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let mut parts = Vec::new();
    let mut rest = wanted;
    for shard in shards {
        if rest
            .first()
            .is_none_or(|&next| u64::from(next) >= shard.start + shard.count)
        {
            continue;
        }
        let file = IpcFile::open(context, &shard.object)?;
        let mut start = shard.start;
        for batch in file.batches() {
            let batch = batch?;
            let end = start + batch.num_rows() as u64;
            let (here, later) = rest.split_at(rest.partition_point(|&p| u64::from(p) < end));
            rest = later;
            if !here.is_empty() {
                let rows = here.iter().map(|&place| (u64::from(place) - start) as u32);
                let rows = UInt32Array::from_iter_values(rows);
                let ids = batch.column_by_name("id").ok_or_else(|| {
                    Error::internal(format!("object {} holds no ids", shard.object.key))
                })?;
                let ids = arrow::compute::take(ids, &rows, None).map_err(internal)?;
                parts.push(cast(&ids, &arrow_type(id_type)).map_err(internal)?);
            }
            start = end;
        }
    }
    concat_ids(&parts, &arrow_type(id_type))
}

fn concat_ids(parts: &[ArrayRef], wanted: &DataType) -> Result<ArrayRef> {
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    match parts.as_slice() {
        [] => Ok(new_empty_array(wanted)),
        parts => concat(parts).map_err(|e| Error::internal(e.to_string())),
    }
}

/// Ids that are the index itself.
fn indices(id_type: IdType, rows: impl Iterator<Item = u64>) -> Result<ArrayRef> {
    match id_type {
        IdType::Int8 => integers::<Int8Type>(rows),
        IdType::Int16 => integers::<Int16Type>(rows),
        IdType::Int32 => integers::<Int32Type>(rows),
        IdType::Int64 => integers::<Int64Type>(rows),
        IdType::UInt8 => integers::<UInt8Type>(rows),
        IdType::UInt16 => integers::<UInt16Type>(rows),
        IdType::UInt32 => integers::<UInt32Type>(rows),
        IdType::UInt64 => integers::<UInt64Type>(rows),
        IdType::Utf8 | IdType::Binary | IdType::FixedSizeBinary(_) => Err(Error::internal(
            "ids that are not integers cannot be indices",
        )),
    }
}

fn integers<T: ArrowPrimitiveType>(rows: impl Iterator<Item = u64>) -> Result<ArrayRef>
where
    T::Native: TryFrom<u64>,
{
    let ids = rows.map(|index| {
        T::Native::try_from(index)
            .map_err(|_| Error::internal(format!("index {index} is no {}", T::DATA_TYPE)))
    });
    let ids: Vec<T::Native> = ids.collect::<Result<_>>()?;
    Ok(Arc::new(PrimitiveArray::<T>::from_iter_values(ids)))
}

fn arrow_type(id_type: IdType) -> DataType {
    match id_type {
        IdType::Int8 => DataType::Int8,
        IdType::Int16 => DataType::Int16,
        IdType::Int32 => DataType::Int32,
        IdType::Int64 => DataType::Int64,
        IdType::UInt8 => DataType::UInt8,
        IdType::UInt16 => DataType::UInt16,
        IdType::UInt32 => DataType::UInt32,
        IdType::UInt64 => DataType::UInt64,
        IdType::Utf8 => DataType::Utf8,
        IdType::Binary => DataType::Binary,
        IdType::FixedSizeBinary(length) => DataType::FixedSizeBinary(length),
    }
}
