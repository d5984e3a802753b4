//! `count_ids`: how often each code occurs, where codes are distances in a narrow range.
//!
//! Some tables are filled side by side and added up: whole numbers, so that it does not matter which
//! thread has counted what.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use rankmill_common::operator::count_ids::{CountIds, CountedIds, Ends};
use rankmill_common::{Error, ObjectRef, Result};
use rayon::prelude::*;

use super::partition_entries::entries_of;
use crate::context::TaskContext;
use crate::storage::ipc::{IpcFile, write_batch};
use crate::stripes::gather::Entries;

pub(crate) fn run(context: &TaskContext, operator: &CountIds) -> Result<CountedIds> {
    let lanes = rayon::current_num_threads().clamp(1, CountIds::LANES as usize);
    let share = operator.entries.len().div_ceil(lanes).max(1);
    let tables: Vec<Vec<u32>> = operator
        .entries
        .par_chunks(share)
        .map(|entries| table(context, operator, entries))
        .collect::<Result<_>>()?;
    let mut tables = tables.into_iter();
    let mut total = tables
        .next()
        .unwrap_or_else(|| vec![0; operator.span as usize]);
    for table in tables {
        total
            .par_iter_mut()
            .zip(table)
            .for_each(|(total, count)| *total += count);
    }
    let counts: ArrayRef = Arc::new(UInt32Array::from(total));
    let batch = RecordBatch::try_from_iter([("count", counts)])
        .map_err(|e| Error::internal(e.to_string()))?;
    Ok(CountedIds {
        object: write_batch(context, "counts.arrow", &batch)?,
    })
}

/// Counts of some pieces, one after the other: what is mapped counts as memory.
fn table(context: &TaskContext, operator: &CountIds, pieces: &[ObjectRef]) -> Result<Vec<u32>> {
    let mut table = vec![0u32; operator.span as usize];
    for piece in pieces {
        context.check_cancelled()?;
        for batch in IpcFile::open(context, piece)?.batches() {
            count(operator, &entries_of(&batch?)?, &mut table)?;
        }
    }
    Ok(table)
}

fn count(operator: &CountIds, entries: &Entries<'_>, table: &mut [u32]) -> Result<()> {
    let (rows, columns) = match operator.ends {
        Ends::Rows => (entries.rows, &[][..]),
        Ends::Columns => (&[][..], entries.cols),
        Ends::Both => (entries.rows, entries.cols),
    };
    for &code in rows.iter().chain(columns) {
        let slot = table.get_mut(code as usize);
        *slot.ok_or_else(|| Error::internal(format!("code {code} of {}", operator.span)))? += 1;
    }
    Ok(())
}
