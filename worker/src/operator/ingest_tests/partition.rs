//! Looking entries up and sorting them, as the coordinator has it done.

use super::*;

impl Workshop {
    /// What each block has once entries are looked up and sorted, in buckets of 2 to the power of
    /// `bucket_bits` rows.
    pub(super) fn partition(
        &self,
        pieces: &[EncodedEntries],
        (row_ids, column_ids): (&IdTable, &IdTable),
        [row_indices, column_indices]: &[Option<ObjectRef>; 2],
        blocks: &[RowRange],
        bucket_bits: Option<u32>,
    ) -> Result<Vec<BlockEntries>> {
        let bits = bucket_bits.unwrap_or(31);
        let blocks: Vec<_> = blocks
            .iter()
            .map(|&rows| RowBuckets { rows, bits })
            .collect();
        let mut partitioned = Vec::new();
        for piece in pieces {
            let operator = PartitionEntries {
                piece: piece.clone(),
                row_ids: row_ids.clone(),
                column_ids: column_ids.clone(),
                row_indices: row_indices.clone(),
                column_indices: column_indices.clone(),
                blocks: blocks.clone(),
                order: None,
                mirror: Mirror::Off,
            };
            partitioned.push(partition_entries::run(&self.context(), &operator)?);
        }
        let mut first_bucket = 0;
        let of_block = |block: &RowBuckets| {
            let buckets = first_bucket as usize..(first_bucket + block.count()) as usize;
            let entries = partitioned.iter().map(|piece| PieceEntries {
                entries: piece.entries.clone(),
                count: piece.counts[buckets.clone()].iter().sum(),
            });
            let placed = BlockEntries::Placed {
                pieces: entries.collect(),
                first_bucket,
                bucket_bits: bits,
            };
            first_bucket += block.count();
            placed
        };
        Ok(blocks.iter().map(of_block).collect())
    }
}
