//! `order_vertices`: indices of vertices by descending degree, ties by id.

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use rankmill_common::operator::encode_entries::EncodedEntries;
use rankmill_common::operator::order_vertices::{Degrees, OrderVertices, OrderedVertices};
use rankmill_common::table::IdTable;
use rankmill_common::{Error, Result};
use rayon::prelude::*;

use super::partition_entries::entries_of;
use crate::context::TaskContext;
use crate::storage::ipc::IpcFile;
use crate::storage::order;

pub(crate) fn run(context: &TaskContext, operator: &OrderVertices) -> Result<OrderedVertices> {
    let degrees = match &operator.degrees {
        Degrees::Table => from_table(context, &operator.ids)?,
        Degrees::Pieces { pieces } => from_pieces(context, pieces, operator.ids.count())?,
    };
    // Sorted ascending: the complement of the degree, then the place. Degrees beyond 32 bits are
    // as good as equal, and then places decide.
    let mut keys: Vec<u64> = degrees
        .par_iter()
        .enumerate()
        .map(|(place, &degree)| {
            let degree = u32::try_from(degree).unwrap_or(u32::MAX);
            u64::from(!degree) << 32 | place as u64
        })
        .collect();
    keys.par_sort_unstable();
    context.check_cancelled()?;
    let places: Vec<u32> = keys.into_iter().map(|key| key as u32).collect();
    let cuts = cuts(&degrees, &places, operator.block_ends);
    drop(degrees);
    Ok(OrderedVertices {
        order: order::write(context, "order.arrow", places)?,
        cuts,
    })
}

fn from_table(context: &TaskContext, ids: &IdTable) -> Result<Vec<u64>> {
    let IdTable::Dictionary { shards, .. } = ids else {
        return Err(Error::internal("degrees of vertices without an id table"));
    };
    let mut degrees = Vec::with_capacity(ids.count() as usize);
    for shard in shards {
        for batch in IpcFile::open(context, &shard.object)?.batches() {
            let batch = batch?;
            let counts = batch
                .column_by_name("count")
                .and_then(|counts| counts.as_primitive_opt::<UInt64Type>())
                .ok_or_else(|| Error::internal("an id table without counts"))?;
            degrees.extend_from_slice(counts.values());
        }
    }
    Ok(degrees)
}

fn from_pieces(context: &TaskContext, pieces: &[EncodedEntries], count: u64) -> Result<Vec<u64>> {
    let mut degrees = vec![0u64; count as usize];
    for piece in pieces {
        for batch in IpcFile::open(context, &piece.entries)?.batches() {
            let batch = batch?;
            let entries = entries_of(&batch)?;
            for &code in entries.rows.iter().chain(entries.cols) {
                *degrees
                    .get_mut(code as usize)
                    .ok_or_else(|| Error::internal(format!("vertex {code} of {count}")))? += 1;
            }
        }
    }
    Ok(degrees)
}

/// Indices at which enough ends of edges have come together for a block.
fn cuts(degrees: &[u64], places: &[u32], block_ends: u64) -> Vec<u64> {
    let (mut cuts, mut ends) = (Vec::new(), 0);
    for (index, &place) in places.iter().enumerate() {
        if ends >= block_ends.max(1) {
            cuts.push(index as u64);
            ends = 0;
        }
        ends += degrees[place as usize];
    }
    cuts
}
