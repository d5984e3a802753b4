//! Entries of pieces on their way into blocks.

use rankmill_common::matrix::RowRange;
use rankmill_common::operator::build_block::{BlockEntries, PieceEntries};
use rankmill_common::operator::partition_entries::{Mirror, RowBuckets};
use rankmill_common::operator::{EncodedEntries, PartitionEntries, PartitionedEntries};
use rankmill_common::table::IdRange;
use rankmill_common::{Error, ObjectRef, Result};

use super::ingest::Tables;
use crate::stages::Stages;

/// Most buckets that a piece's entries are sorted into, unless there are more blocks. Of buckets of
/// codes a block takes whole ones, and leaves what is not its own.
const BUCKETS: u64 = 256;
/// Entries of a bucket below which fewer buckets do: its rows are sorted in the cache.
const BUCKET_ENTRIES: u64 = 1 << 16;

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
    let blocks = tables.blocks.iter().map(|share| share.rows).collect();
    let entries = pieces.iter().map(|piece| piece.count).sum();
    let blocks = row_buckets(blocks, entries);
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
        entries: of_blocks(&partitioned, &blocks),
        scratch: partitioned.into_iter().map(|piece| piece.entries).collect(),
    })
}

/// Cuts the rows of blocks of `entries` entries in all into buckets: at least one for each block.
pub(super) fn row_buckets(blocks: Vec<RowRange>, entries: u64) -> Vec<RowBuckets> {
    let buckets = (entries / BUCKET_ENTRIES).min(BUCKETS);
    let of_block = (buckets / (blocks.len() as u64).max(1)).max(1);
    let cut = |rows: RowRange| {
        let mut cut = RowBuckets { rows, bits: 0 };
        while cut.count() > of_block {
            cut.bits += 1;
        }
        cut
    };
    blocks.into_iter().map(cut).collect()
}

/// What the pieces have of each block.
pub(super) fn of_blocks(pieces: &[PartitionedEntries], blocks: &[RowBuckets]) -> Vec<BlockEntries> {
    let mut next = 0;
    let of_block = |block: &RowBuckets| {
        let first = next;
        next += block.count();
        let buckets = first as usize..next as usize;
        let entries = |piece: &PartitionedEntries| {
            let count = piece.counts.get(buckets.clone())?.iter().sum();
            let entries = piece.entries.clone();
            (count > 0).then_some(PieceEntries { entries, count })
        };
        BlockEntries::Placed {
            pieces: pieces.iter().filter_map(entries).collect(),
            first_bucket: first,
            bucket_bits: block.bits,
        }
    };
    blocks.iter().map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(blocks: &[(u64, u64)], entries: u64) -> Vec<u64> {
        let rows = |&(start, count): &(u64, u64)| RowRange { start, count };
        let cut = row_buckets(blocks.iter().map(rows).collect(), entries);
        cut.iter().map(RowBuckets::count).collect()
    }

    #[test]
    fn blocks_have_equally_many_buckets_as_far_as_they_have_rows() {
        let blocks = [(0, 40), (40, 3), (43, 1000)];
        assert_eq!(cut(&blocks, 0), [1, 1, 1]);
        assert_eq!(cut(&blocks, 3 * 16 * BUCKET_ENTRIES), [10, 3, 16]);
        assert_eq!(cut(&blocks, u64::MAX), [40, 3, 63]);
        let many: Vec<_> = (0..300).map(|block| (10 * block, 10)).collect();
        assert_eq!(cut(&many, u64::MAX), [1; 300]);
    }
}
