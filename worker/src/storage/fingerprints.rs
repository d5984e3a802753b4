//! Fingerprints in files: a row per vertex, in the order of their indices.
//!
//! In a result they are Parquet, made for keeping; as objects Arrow IPC of the same columns, made
//! for mapping.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array, ListArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, FieldRef, Float64Type, Schema, SchemaRef, UInt16Type,
    UInt32Type,
};
use rankmill_common::operator::IndexShard;
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{FingerprintShard, Fingerprints};

use super::ipc::IpcFile;
use crate::context::TaskContext;

/// The columns of a file.
pub(crate) fn schema() -> SchemaRef {
    let list = |name: &str, data_type| Field::new(name, DataType::List(item(data_type)), false);
    let number = |name: &str| Field::new(name, DataType::Float64, false);
    Arc::new(Schema::new(vec![
        list("targets", DataType::UInt32),
        list("counts", DataType::UInt16),
        number("unit"),
        number("returned"),
        number("missing"),
    ]))
}

/// The items of a list, by the name that Parquet's own rules give them.
pub(crate) fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("element", data_type, false))
}

/// An index, mapped.
pub(crate) struct OpenIndex {
    batches: Vec<RecordBatch>,
}

impl OpenIndex {
    /// Maps the fingerprints of `vertices` vertices.
    ///
    /// # Errors
    ///
    /// `InputLost` where an object is gone, `Internal` where shards do not follow one another.
    pub(crate) fn open(
        context: &TaskContext,
        shards: &[IndexShard],
        vertices: u64,
    ) -> Result<Self> {
        let (mut batches, mut next) = (Vec::with_capacity(shards.len()), 0);
        for shard in shards {
            let batch = IpcFile::open(context, &shard.object)?.batch(0)?;
            if shard.rows.start != next || shard.rows.count != batch.num_rows() as u64 {
                let key = &shard.object.key;
                return Err(Error::internal(format!(
                    "object {key} does not hold the fingerprints from vertex {next} on"
                )));
            }
            next = shard.rows.end();
            batches.push(batch);
        }
        if next != vertices {
            return Err(Error::internal(format!(
                "fingerprints of {next} vertices for a graph of {vertices}"
            )));
        }
        Ok(Self { batches })
    }

    /// What kernels read.
    pub(crate) fn view(&self) -> Result<Fingerprints<'_>> {
        let views = self.batches.iter().map(|batch| {
            view(batch).ok_or_else(|| Error::internal("an object holds no fingerprints"))
        });
        Ok(Fingerprints::new(views.collect::<Result<_>>()?))
    }
}

fn view(batch: &RecordBatch) -> Option<FingerprintShard<'_>> {
    let lists = |name| -> Option<&ListArray> { batch.column_by_name(name)?.as_list_opt() };
    let number = |name| -> Option<&Float64Array> {
        batch
            .column_by_name(name)?
            .as_primitive_opt::<Float64Type>()
    };
    let (targets, counts) = (lists("targets")?, lists("counts")?);
    Some(FingerprintShard {
        offsets: targets.value_offsets(),
        targets: values::<UInt32Type>(targets)?,
        counts: values::<UInt16Type>(counts)?,
        units: number("unit")?.values(),
        returned: number("returned")?.values(),
    })
}

fn values<T: ArrowPrimitiveType>(lists: &ListArray) -> Option<&[T::Native]> {
    Some(lists.values().as_primitive_opt::<T>()?.values())
}

/// What is wrong with fingerprints that were read from a file, if anything is.
pub(crate) fn fault(batch: &RecordBatch, vertices: u64) -> Option<&'static str> {
    if batch.columns().iter().any(|column| column.null_count() > 0) {
        return Some("it has nulls");
    }
    let Some(shard) = view(batch) else {
        return Some("its columns have other names or types");
    };
    let lists = |name| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_list_opt::<i32>())
    };
    let offsets = lists("counts").map(ListArray::value_offsets);
    if offsets != Some(shard.offsets) {
        return Some("targets and counts differ in length");
    }
    if shard.targets.iter().any(|&t| u64::from(t) >= vertices) {
        return Some("a target is no vertex");
    }
    let share = |x: &f64| (0.0..1.0).contains(x);
    if !shard.returned.iter().all(share) || !shard.units.iter().all(|x| *x > 0.0 && *x <= 1.0) {
        return Some("a share does not lie between 0 and 1");
    }
    let whole = shard.offsets.windows(2).enumerate().all(|(row, pair)| {
        let counts = &shard.counts[pair[0] as usize..pair[1] as usize];
        let units: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        units as f64 * shard.units[row] + shard.returned[row] <= 1.0 + 1e-9
    });
    (!whole).then_some("a fingerprint sums to more than 1")
}
