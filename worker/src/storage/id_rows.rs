//! The users' own ids of a range of rows, as one Arrow array of the users' own type.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringArray, new_empty_array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{
    DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use rankmill_common::matrix::RowRange;
use rankmill_common::table::{IdShard, IdTable, IdType};
use rankmill_common::{Error, Result};

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
        IdTable::Range { id_type, .. } => range(*id_type, rows),
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
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    let ids = match parts.as_slice() {
        [] => new_empty_array(wanted),
        parts => concat(parts).map_err(|e| Error::internal(e.to_string()))?,
    };
    if ids.len() as u64 != rows.count {
        let found = ids.len();
        return Err(Error::internal(format!(
            "shards hold {found} of {} ids",
            rows.count
        )));
    }
    Ok(ids)
}

/// Ids that are the index itself.
fn range(id_type: IdType, rows: RowRange) -> Result<ArrayRef> {
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

fn integers<T: ArrowPrimitiveType>(rows: RowRange) -> Result<ArrayRef>
where
    T::Native: TryFrom<u64>,
{
    let ids = (rows.start..rows.end()).map(|index| {
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
