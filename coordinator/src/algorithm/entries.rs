//! Entries of pieces on their way into blocks.

use rankmill_common::matrix::RowRange;
use rankmill_common::operator::build_block::{BlockEntries, PieceEntries};
use rankmill_common::operator::partition_entries::Mirror;
use rankmill_common::operator::{EncodedEntries, PartitionEntries, PartitionedEntries};
use rankmill_common::table::IdRange;
use rankmill_common::{Error, ObjectRef, Result};

use super::ingest::Tables;
use crate::stages::Stages;

/// Most buckets that a piece's entries are sorted into: a block takes whole ones, and leaves what
/// is not its own.
const BUCKETS: u64 = 256;

/// Binary logarithm of the row codes in a bucket, where both kinds of codes are distances.
pub(super) fn bucket_bits([rows, columns]: [Option<IdRange>; 2]) -> Option<u32> {
    let span = rows.filter(|_| columns.is_some())?.span;
    (0..u64::BITS).find(|bits| span.div_ceil(1 << bits) <= BUCKETS)
}

/// Entries on their way into blocks.
pub(super) struct Sorted {
    /// Of each block.
    pub(super) entries: Vec<BlockEntries>,
    /// What nobody needs once blocks are built.
    pub(super) scratch: Vec<ObjectRef>,
}

/// As they were read.
pub(super) fn by_bucket(
    pieces: &[EncodedEntries],
    tables: &Tables,
    bucket_bits: u32,
) -> Result<Sorted> {
    let [Some(row_indices), Some(column_indices)] = &tables.indices else {
        return Err(Error::internal(
            "buckets of codes without tables of indices",
        ));
    };
    let objects = || pieces.iter().map(|piece| piece.entries.clone());
    let entries = tables.blocks.iter().map(|share| BlockEntries::Coded {
        pieces: objects().collect(),
        bucket_bits,
        row_indices: row_indices.clone(),
        column_indices: column_indices.clone(),
        count: share.entries,
    });
    Ok(Sorted {
        entries: entries.collect(),
        scratch: objects()
            .chain([row_indices.clone(), column_indices.clone()])
            .collect(),
    })
}

/// Looked up and sorted once more.
pub(super) async fn by_block(
    stages: &Stages,
    pieces: &[EncodedEntries],
    tables: &Tables,
) -> Result<Sorted> {
    let blocks: Vec<RowRange> = tables.blocks.iter().map(|share| share.rows).collect();
    let operators = pieces.iter().map(|piece| PartitionEntries {
        piece: piece.clone(),
        row_ids: tables.row_ids.clone(),
        column_ids: tables.column_ids.clone(),
        row_indices: tables.indices[0].clone(),
        column_indices: tables.indices[1].clone(),
        blocks: blocks.clone(),
        order: None,
        mirror: Mirror::Off,
    });
    let partitioned = stages.run("sort entries", operators.collect()).await?;
    stages.release(pieces.iter().flat_map(EncodedEntries::objects));
    stages.release(tables.indices.iter().flatten());
    Ok(Sorted {
        entries: (0..)
            .zip(&blocks)
            .map(|(block, _)| of_block(&partitioned, block))
            .collect(),
        scratch: partitioned.into_iter().map(|piece| piece.entries).collect(),
    })
}

/// What the pieces have of a block.
pub(super) fn of_block(pieces: &[PartitionedEntries], block: u32) -> BlockEntries {
    let entries = |piece: &PartitionedEntries| {
        let count = *piece.counts.get(block as usize)?;
        let entries = piece.entries.clone();
        (count > 0).then_some(PieceEntries { entries, count })
    };
    BlockEntries::Placed {
        pieces: pieces.iter().filter_map(entries).collect(),
    }
}
