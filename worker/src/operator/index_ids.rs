//! `index_ids`: the index of every code, where codes are distances in a narrow range.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use rankmill_common::operator::index_ids::{IndexIds, IndexedIds};
use rankmill_common::table::IdTable;
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::ids::integers::Integer;
use crate::ids::with_integer_type;
use crate::storage::ipc::{IpcFile, write_batch};
use crate::storage::order::Order;

/// The index of a code that no entry has.
pub(super) const NO_INDEX: u32 = u32::MAX;

pub(crate) fn run(context: &TaskContext, operator: &IndexIds) -> Result<IndexedIds> {
    let IdTable::Dictionary { shards, .. } = &operator.ids else {
        return Err(Error::internal("indices of ids without an id table"));
    };
    if operator.ids.count() >= u64::from(NO_INDEX) {
        return Err(Error::internal("indices of 2^32 ids"));
    }
    let order = Order::open(context, operator.order.as_ref(), operator.ids.count())?;
    let mut indices = vec![NO_INDEX; operator.range.span as usize];
    let mut place = 0;
    for shard in shards {
        for batch in IpcFile::open(context, &shard.object)?.batches() {
            context.check_cancelled()?;
            let ids = batch?.column_by_name("id").cloned();
            let ids = ids.ok_or_else(|| Error::internal("an id table without ids"))?;
            for code in codes(operator, &ids)? {
                let slot = indices.get_mut(code as usize);
                *slot.ok_or_else(|| Error::internal("an id outside its range"))? =
                    order.index(place);
                place += 1;
            }
        }
    }
    let indices: ArrayRef = Arc::new(UInt32Array::from(indices));
    let batch = RecordBatch::try_from_iter([("index", indices)])
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(IndexedIds {
        object: write_batch(context, "indices.arrow", &batch)?,
    })
}

/// Codes of some ids.
fn codes(operator: &IndexIds, ids: &ArrayRef) -> Result<Vec<u64>> {
    let lowest = operator.range.lowest;
    with_integer_type!(ids.data_type(), T => {
        let ids = ids.as_primitive::<T>().values();
        Ok(ids.iter().map(|id| id.key().wrapping_sub(lowest)).collect())
    }, Err(Error::internal("a range of ids that are no integers")))
}
