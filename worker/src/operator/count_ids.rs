//! `count_ids`: how often each code occurs, where codes are distances in a narrow range.
//!
//! Some tables are filled side by side and added up: whole numbers, so that it does not matter which
//! thread has counted what.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use rankmill_common::operator::count_ids::{CountIds, CountedIds, Ends};
use rankmill_common::{Error, Result};
use rayon::prelude::*;

use super::partition_entries::entries_of;
use crate::context::TaskContext;
use crate::storage::ipc::{IpcFile, write_batch};

pub(crate) fn run(context: &TaskContext, operator: &CountIds) -> Result<CountedIds> {
    let files = operator
        .entries
        .iter()
        .map(|object| IpcFile::open(context, object))
        .collect::<Result<Vec<_>>>()?;
    let batches: Vec<(&IpcFile, usize)> = files
        .iter()
        .flat_map(|file| (0..file.len()).map(move |batch| (file, batch)))
        .collect();
    let lanes = rayon::current_num_threads().clamp(1, CountIds::LANES as usize);
    let share = batches.len().div_ceil(lanes).max(1);
    let tables: Vec<Vec<u32>> = batches
        .par_chunks(share)
        .map(|batches| table(context, operator, batches))
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

fn table(
    context: &TaskContext,
    operator: &CountIds,
    batches: &[(&IpcFile, usize)],
) -> Result<Vec<u32>> {
    let mut table = vec![0u32; operator.span as usize];
    for (file, batch) in batches {
        context.check_cancelled()?;
        let batch = file.batch(*batch)?;
        let entries = entries_of(&batch)?;
        let (rows, columns) = match operator.ends {
            Ends::Rows => (entries.rows, &[][..]),
            Ends::Columns => (&[][..], entries.cols),
            Ends::Both => (entries.rows, entries.cols),
        };
        for &code in rows.iter().chain(columns) {
            let slot = table.get_mut(code as usize);
            *slot.ok_or_else(|| Error::internal(format!("code {code} of {}", operator.span)))? += 1;
        }
    }
    Ok(table)
}
