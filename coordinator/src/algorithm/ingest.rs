//! From Parquet files to blocks: inspect, encode ids, merge them, sort entries, build.
//!
//! The numbers of pieces, shards and blocks follow from the input alone. Blocks are addressed by
//! the digest of what made them; a later job on the same input finds them.

use rankmill_common::input::{DenseLayout, Ids, InputSpec, Layout, SparseLayout, Transform};
use rankmill_common::manifest::InputFile;
use rankmill_common::matrix::{BlockFormat, BlockRef, BlockedMatrix, RowRange};
use rankmill_common::operator::build_block::{Statistics, Values};
use rankmill_common::operator::encode_entries::{PieceIds, Sign};
use rankmill_common::operator::merge_ids::Counts;
use rankmill_common::operator::partition_entries::Mirror;
use rankmill_common::operator::{
    BuildBlock, BuildDenseBlock, BuiltBlock, EncodeEntries, EncodedEntries, FindMatrix, Inspect,
    Inspection, MergeIds, MergedIds, PartitionEntries, PublishMatrix, TransformBlock,
};
use rankmill_common::table::{IdShard, IdTable, IdType};
use rankmill_common::{Digest, Error, ObjectRef, Result};

use crate::stages::Stages;

/// Parquet rows of one ingest task.
pub(super) const PIECE_ROWS: u64 = 1 << 21;
/// Entries after which a block ends.
pub(super) const BLOCK_ENTRIES: u64 = 1 << 22;
/// Rows after which a block ends, however few entries they have.
const BLOCK_ROWS: u64 = 1 << 18;
/// Numbers of one dense block.
const DENSE_BLOCK_VALUES: u64 = 1 << 25;
/// Ids of one shard of an id table.
const SHARD_IDS: u64 = 1 << 22;
/// Widest column segment: local indices are 16 bits.
const WIDEST_SEGMENT: u64 = 1 << 16;
/// Narrowest column segment: below it nothing is gained from a cache.
const NARROWEST_SEGMENT: u64 = 1 << 12;
/// Entries of a row that should fall into one segment; fewer and the loop over segments costs
/// more than the cache saves.
const ENTRIES_PER_SEGMENT: u64 = 8;

/// A matrix and the files it came from.
pub(super) struct Ingested {
    pub(super) matrix: BlockedMatrix,
    pub(super) inputs: Vec<InputFile>,
}

/// Makes blocks of `input`, or finds those of an earlier job.
pub(super) async fn ingest(stages: &Stages, input: &InputSpec) -> Result<Ingested> {
    let inspection = stages
        .run_one(
            "inspect",
            Inspect {
                input: input.clone(),
            },
        )
        .await?;
    let inputs = inspection.files.iter().map(input_file).collect();
    let digest = inspection.matrix_digest(input);
    let found = stages.run_one("find blocks", FindMatrix { digest }).await?;
    if let Some(matrix) = found.matrix {
        return Ok(Ingested { matrix, inputs });
    }
    let matrix = match &input.layout {
        Layout::Sparse(layout) => sparse(stages, input, layout, &inspection, digest).await?,
        Layout::Dense(layout) => dense(stages, input, layout, &inspection, digest).await?,
        Layout::Graph(_) => return Err(Error::internal("a factorization of a graph")),
    };
    check(&matrix)?;
    let publish = PublishMatrix {
        matrix: matrix.clone(),
    };
    stages.run_one("publish blocks", publish).await?;
    Ok(Ingested { matrix, inputs })
}

pub(super) fn input_file(file: &rankmill_common::operator::inspect::PinnedFile) -> InputFile {
    InputFile {
        url: file.url.clone(),
        size: file.size,
        version: file.version.clone(),
        rows: file.row_groups.iter().map(|group| group.rows).sum(),
    }
}

fn check(matrix: &BlockedMatrix) -> Result<()> {
    if matrix.nrows < 2 {
        return Err(Error::invalid_input(format!(
            "the matrix has {} row(s); a factorization needs at least two",
            matrix.nrows
        )));
    }
    if matrix.frobenius2 == 0.0 {
        return Err(Error::invalid_input(format!(
            "all values of the {}×{} matrix are zero",
            matrix.nrows, matrix.ncols
        )));
    }
    Ok(())
}

async fn dense(
    stages: &Stages,
    input: &InputSpec,
    layout: &DenseLayout,
    inspection: &Inspection,
    digest: Digest,
) -> Result<BlockedMatrix> {
    let ncols = inspection
        .vector_length
        .ok_or_else(|| Error::internal("a dense input without a vector length"))?;
    let rows = (DENSE_BLOCK_VALUES / ncols.max(1)).clamp(1, BLOCK_ROWS);
    let operators = inspection
        .pieces(rows)
        .into_iter()
        .map(|piece| BuildDenseBlock {
            piece,
            layout: layout.clone(),
            ncols,
            on_bad_row: input.on_bad_row,
        });
    let built = stages
        .run_for_matrix(digest, "build blocks", operators.collect())
        .await?;
    let column_ids = match layout.vector.as_slice() {
        [_] => IdTable::Range {
            id_type: IdType::Int64,
            count: ncols,
        },
        names => IdTable::Names {
            names: names.to_vec(),
        },
    };
    let row_ids = dense_row_ids(layout, inspection, &built);
    Ok(assemble(
        digest,
        BlockFormat::Dense,
        ncols,
        built,
        (row_ids, column_ids),
        0,
    ))
}

fn dense_row_ids(layout: &DenseLayout, inspection: &Inspection, built: &[BuiltBlock]) -> IdTable {
    if layout.id.is_none() {
        let count = built.iter().map(|block| block.block.nrows).sum();
        return IdTable::Range {
            id_type: IdType::Int64,
            count,
        };
    }
    let parts = built
        .iter()
        .filter_map(|block| Some((block.ids.clone()?, block.block.nrows)));
    dictionary(inspection.row_id_type, parts)
}

pub(super) fn dictionary(
    id_type: IdType,
    parts: impl Iterator<Item = (ObjectRef, u64)>,
) -> IdTable {
    let mut start = 0;
    let shards = parts
        .map(|(object, count)| {
            let shard = IdShard {
                start,
                count,
                object,
            };
            start += count;
            shard
        })
        .collect();
    IdTable::Dictionary { id_type, shards }
}

async fn sparse(
    stages: &Stages,
    input: &InputSpec,
    layout: &SparseLayout,
    inspection: &Inspection,
    digest: Digest,
) -> Result<BlockedMatrix> {
    let operators = inspection
        .pieces(PIECE_ROWS)
        .into_iter()
        .map(|piece| EncodeEntries {
            piece,
            layout: layout.clone(),
            on_bad_row: input.on_bad_row,
            sign: Sign::Any,
        });
    let pieces = stages.run("read entries", operators.collect()).await?;
    let (row_ids, column_ids, blocks) = match &layout.ids {
        Ids::Dictionary => dictionaries(stages, inspection, &pieces, digest).await?,
        Ids::Dense { shape } => dense_ids(inspection, &pieces, *shape),
    };
    let ncols = column_ids.count();
    if ncols > u64::from(u32::MAX) || row_ids.count() > u64::from(u32::MAX) {
        return Err(Error::invalid_input(format!(
            "the matrix would be {}×{ncols}; at most 4,294,967,295 rows and columns are possible",
            row_ids.count()
        )));
    }
    let skipped = pieces.iter().map(|piece| piece.skipped).sum();
    let entries: u64 = pieces.iter().map(|piece| piece.count).sum();
    let width = segment_width(ncols, entries, row_ids.count());
    let operators = pieces.iter().map(|piece| PartitionEntries {
        piece: piece.clone(),
        row_ids: row_ids.clone(),
        column_ids: column_ids.clone(),
        blocks: blocks.clone(),
        order: None,
        mirror: Mirror::Off,
    });
    let partitioned = stages.run("sort entries", operators.collect()).await?;
    stages.release(pieces.iter().flat_map(EncodedEntries::objects));
    let (local, global) = split_transforms(&layout.transforms);
    let operators = (0..).zip(&blocks).map(|(block, rows)| BuildBlock {
        block,
        rows: *rows,
        ncols,
        segment_width: width,
        pieces: partitioned.clone(),
        duplicates: layout.duplicates,
        transforms: local.clone(),
        statistics: collect_if(!global.is_empty()),
        values: if layout.value.is_some() {
            Values::Stored
        } else {
            Values::Ones
        },
    });
    let built = stages
        .run_for_matrix(digest, "build blocks", operators.collect())
        .await?;
    stages.release(partitioned.iter().map(|piece| &piece.entries));
    let built = transform(stages, built, global, (row_ids.count(), ncols), digest).await?;
    let ids = (row_ids, column_ids);
    Ok(assemble(
        digest,
        BlockFormat::Sparse,
        ncols,
        built,
        ids,
        skipped,
    ))
}

/// Id tables of rows and columns, and the rows of each block.
async fn dictionaries(
    stages: &Stages,
    inspection: &Inspection,
    pieces: &[EncodedEntries],
    digest: Digest,
) -> Result<(IdTable, IdTable, Vec<RowRange>)> {
    let side = |ids: fn(&EncodedEntries) -> &Option<PieceIds>| -> Vec<PieceIds> {
        pieces
            .iter()
            .filter_map(|piece| ids(piece).clone())
            .collect()
    };
    let rows = merge_operators(
        side(|piece| &piece.row_ids),
        Some(BLOCK_ENTRIES),
        Counts::Drop,
    );
    let columns = merge_operators(side(|piece| &piece.column_ids), None, Counts::Drop);
    let (rows, columns) = futures::try_join!(
        stages.run_for_matrix(digest, "merge row ids", rows),
        stages.run_for_matrix(digest, "merge column ids", columns),
    )?;
    let blocks = block_rows(&rows);
    let table = |id_type, merged: Vec<MergedIds>| {
        dictionary(
            id_type,
            merged.into_iter().map(|ids| (ids.object, ids.count)),
        )
    };
    Ok((
        table(inspection.row_id_type, rows),
        table(inspection.column_id_type, columns),
        blocks,
    ))
}

pub(super) fn merge_operators(
    pieces: Vec<PieceIds>,
    block_entries: Option<u64>,
    counts: Counts,
) -> Vec<MergeIds> {
    let ids: u64 = pieces.iter().map(|piece| piece.count).sum();
    let shards = ids.div_ceil(SHARD_IDS).max(1) as u32;
    (0..shards)
        .map(|shard| MergeIds {
            pieces: pieces.clone(),
            shard,
            shards,
            block_entries,
            counts,
        })
        .collect()
}

/// Blocks end where the id shards say that enough entries have come together.
fn block_rows(shards: &[MergedIds]) -> Vec<RowRange> {
    let (mut ranges, mut start, mut offset) = (Vec::new(), 0, 0);
    for shard in shards {
        for cut in &shard.cuts {
            push_block(&mut ranges, start, offset + cut);
            start = offset + cut;
        }
        offset += shard.count;
    }
    push_block(&mut ranges, start, offset);
    ranges
}

/// Blocks of `nrows` rows that end at `cuts`, or before where they would have too many rows.
pub(super) fn cut_rows(cuts: &[u64], nrows: u64) -> Vec<RowRange> {
    let (mut ranges, mut start) = (Vec::new(), 0);
    for &end in cuts.iter().chain([&nrows]) {
        push_block(&mut ranges, start, end);
        start = end;
    }
    ranges
}

/// The output of a stage of one task.
pub(super) fn only<T>(outputs: Vec<T>, stage: &str) -> Result<T> {
    let output = outputs.into_iter().next();
    output.ok_or_else(|| Error::internal(format!("stage {stage} of one task has no output")))
}

fn push_block(ranges: &mut Vec<RowRange>, start: u64, end: u64) {
    let parts = RowRange::cut(end - start, BLOCK_ROWS);
    ranges.extend(parts.into_iter().map(|part| RowRange {
        start: start + part.start,
        count: part.count,
    }));
}

fn dense_ids(
    inspection: &Inspection,
    pieces: &[EncodedEntries],
    shape: Option<(u64, u64)>,
) -> (IdTable, IdTable, Vec<RowRange>) {
    let largest = |codes: fn(&EncodedEntries) -> u64| pieces.iter().map(codes).max().unwrap_or(0);
    let (nrows, ncols) = shape.unwrap_or((
        largest(|piece| piece.row_codes),
        largest(|piece| piece.column_codes),
    ));
    let entries: u64 = pieces.iter().map(|piece| piece.count).sum();
    let blocks = entries
        .div_ceil(BLOCK_ENTRIES)
        .max(nrows.div_ceil(BLOCK_ROWS))
        .max(1);
    let range = |id_type, count| IdTable::Range { id_type, count };
    (
        range(inspection.row_id_type, nrows),
        range(inspection.column_id_type, ncols),
        RowRange::cut(nrows, nrows.div_ceil(blocks)),
    )
}

/// Columns per segment: so many that a row has a few entries in each, within the bounds.
fn segment_width(ncols: u64, entries: u64, nrows: u64) -> u32 {
    let per_row = entries / nrows.max(1);
    let segments =
        (per_row / ENTRIES_PER_SEGMENT).clamp(1, ncols.div_ceil(NARROWEST_SEGMENT).max(1));
    ncols.div_ceil(segments).clamp(1, WIDEST_SEGMENT) as u32
}

/// The local transforms up front, then each global one with the local ones behind it.
fn split_transforms(all: &[Transform]) -> (Vec<Transform>, Vec<(Transform, Vec<Transform>)>) {
    let mut local = Vec::new();
    let mut global: Vec<(Transform, Vec<Transform>)> = Vec::new();
    for transform in all {
        match (transform.is_local(), global.last_mut()) {
            (true, None) => local.push(*transform),
            (true, Some((_, then))) => then.push(*transform),
            (false, _) => global.push((*transform, Vec::new())),
        }
    }
    (local, global)
}

fn collect_if(needed: bool) -> Statistics {
    match needed {
        true => Statistics::Collect,
        false => Statistics::Skip,
    }
}

async fn transform(
    stages: &Stages,
    mut built: Vec<BuiltBlock>,
    transforms: Vec<(Transform, Vec<Transform>)>,
    (nrows, ncols): (u64, u64),
    digest: Digest,
) -> Result<Vec<BuiltBlock>> {
    let count = transforms.len();
    for (index, (transform, then)) in transforms.into_iter().enumerate() {
        let column_statistics: Vec<_> = built
            .iter()
            .filter_map(|block| block.statistics.clone())
            .collect();
        let sum = built.iter().map(|block| block.sum).sum();
        let operators = built.iter().map(|block| TransformBlock {
            block: block.block.clone(),
            ncols,
            nrows,
            sum,
            column_statistics: column_statistics.clone(),
            transform,
            then: then.clone(),
            statistics: collect_if(index + 1 < count),
        });
        let name = format!("apply {}", transform.name());
        built = stages
            .run_for_matrix(digest, &name, operators.collect())
            .await?;
    }
    Ok(built)
}

pub(super) fn assemble(
    digest: Digest,
    format: BlockFormat,
    ncols: u64,
    built: Vec<BuiltBlock>,
    (row_ids, column_ids): (IdTable, IdTable),
    skipped: u64,
) -> BlockedMatrix {
    let mut matrix = BlockedMatrix {
        digest,
        format,
        nrows: 0,
        ncols,
        nnz: 0,
        frobenius2: 0.0,
        row_nnz2: 0.0,
        blocks: Vec::with_capacity(built.len()),
        row_ids,
        column_ids,
        order: None,
        skipped_rows: skipped,
    };
    for part in built {
        // A dense block may have left rows out, so that only now its place is known.
        let block = BlockRef {
            start: matrix.nrows,
            ..part.block
        };
        matrix.nrows += block.nrows;
        matrix.nnz += block.nnz;
        matrix.frobenius2 += part.frobenius2;
        matrix.row_nnz2 += part.row_nnz2;
        matrix.skipped_rows += part.skipped;
        matrix.blocks.push(block);
    }
    matrix
}
