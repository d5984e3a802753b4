//! From Parquet files to blocks: inspect, encode ids, merge them, sort entries, build. Entries whose
//! ids lie in narrow ranges are sorted as they are read, roughly, and find their places in `build`.
//!
//! The numbers of pieces, shards and blocks follow from the input alone. Blocks are addressed by
//! the digest of what made them; a later job on the same input finds them.

use rankmill_common::estimate::parts::block_entries;
use rankmill_common::input::{DenseLayout, Ids, InputSpec, Layout, SparseLayout};
use rankmill_common::manifest::InputFile;
use rankmill_common::matrix::{BlockFormat, BlockRef, BlockedMatrix, RowRange};
use rankmill_common::operator::build_block::{Names, Values};
use rankmill_common::operator::count_ids::Ends;
use rankmill_common::operator::encode_entries::Sign;
use rankmill_common::operator::merge_ids::Counts;
use rankmill_common::operator::{
    BuildBlock, BuildDenseBlock, BuiltBlock, EncodeEntries, EncodedEntries, FindMatrix, Inspect,
    Inspection, MergedIds, PublishMatrix,
};
use rankmill_common::table::{IdRange, IdTable, IdType};
use rankmill_common::{Digest, Error, ObjectRef, Result};

use super::entries::{bucket_bits, by_block, by_bucket};
use super::ids::{self, Side};
use super::transforms::{collect_if, split, transform};
use crate::stages::Stages;

/// Fewest and most Parquet rows of one ingest task.
const PIECE_ROWS: (u64, u64) = (1 << 21, 1 << 24);
/// Pieces above which they grow instead: every block takes entries of every piece.
const MANY_PIECES: u64 = 128;
/// Rows after which a block ends, however few entries they have.
const BLOCK_ROWS: u64 = 1 << 18;
/// Fewest and most numbers of one dense block.
const DENSE_BLOCK_VALUES: (u64, u64) = (1 << 22, 1 << 25);
/// Dense blocks come in multiples of this, so that two or four workers have equal shares.
const DENSE_BLOCKS: u64 = 4;
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
    let rows = dense_block_rows(inspection.rows(), ncols);
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

/// Rows of one block of an input of `rows` dense rows.
fn dense_block_rows(rows: u64, ncols: u64) -> u64 {
    let (fewest, most) = DENSE_BLOCK_VALUES;
    let numbers = rows.saturating_mul(ncols);
    let blocks = numbers.div_ceil(most).next_multiple_of(DENSE_BLOCKS);
    let share = rows.div_ceil(blocks.min(numbers / fewest).max(1));
    share.min(most / ncols.max(1)).clamp(1, BLOCK_ROWS)
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
    ids::dictionary(inspection.row_id_type, parts)
}

/// Parquet rows of one ingest task, of an input of `rows`.
pub(super) fn piece_rows(rows: u64) -> u64 {
    let (least, most) = PIECE_ROWS;
    (rows / MANY_PIECES).next_power_of_two().clamp(least, most)
}

async fn sparse(
    stages: &Stages,
    input: &InputSpec,
    layout: &SparseLayout,
    inspection: &Inspection,
    digest: Digest,
) -> Result<BlockedMatrix> {
    let ranges = inspection.narrow_id_ranges(&layout.ids);
    let bucket_bits = bucket_bits(ranges);
    let operators = inspection
        .pieces(piece_rows(inspection.rows()))
        .into_iter()
        .map(|piece| EncodeEntries {
            piece,
            layout: layout.clone(),
            on_bad_row: input.on_bad_row,
            sign: Sign::Any,
            row_range: ranges[0],
            column_range: ranges[1],
            bucket_bits,
        });
    let pieces = stages.run("read entries", operators.collect()).await?;
    let tables = match &layout.ids {
        Ids::Dictionary => dictionaries(stages, inspection, ranges, &pieces, digest).await?,
        Ids::Dense { shape } => dense_ids(inspection, &pieces, *shape)?,
    };
    let (nrows, ncols) = (tables.row_ids.count(), tables.column_ids.count());
    if ncols > u64::from(u32::MAX) || nrows > u64::from(u32::MAX) {
        return Err(Error::invalid_input(format!(
            "the matrix would be {nrows}×{ncols}; at most 4,294,967,295 rows and columns are possible",
        )));
    }
    let skipped = pieces.iter().map(|piece| piece.skipped).sum();
    let entries: u64 = pieces.iter().map(|piece| piece.count).sum();
    let width = segment_width(ncols, entries, nrows);
    let sorted = match bucket_bits {
        Some(bucket_bits) => by_bucket(&pieces, &tables, bucket_bits)?,
        None => by_block(stages, &pieces, &tables).await?,
    };
    let (local, global) = split(&layout.transforms);
    let names = Names::Matrix {
        rows: tables.row_ids.clone(),
        columns: tables.column_ids.clone(),
    };
    let blocks = tables.blocks.iter().zip(sorted.entries);
    let operators = blocks.map(|(share, entries)| BuildBlock {
        rows: share.rows,
        ncols,
        segment_width: width,
        entries,
        duplicates: layout.duplicates,
        transforms: local.clone(),
        statistics: collect_if(!global.is_empty()),
        values: if layout.value.is_some() {
            Values::Stored
        } else {
            Values::Ones
        },
        names: names.clone(),
    });
    let built = match global.is_empty() {
        true => {
            let operators = operators.collect();
            stages
                .run_for_matrix(digest, "build blocks", operators)
                .await?
        }
        // Only what the last transform makes outlives the job.
        false => stages.run("build blocks", operators.collect()).await?,
    };
    stages.release(&sorted.scratch);
    let built = transform(stages, built, global, (nrows, ncols, &names), digest).await?;
    let ids = (tables.row_ids, tables.column_ids);
    Ok(assemble(
        digest,
        BlockFormat::Sparse,
        ncols,
        built,
        ids,
        skipped,
    ))
}

/// What entries are looked up in.
pub(super) struct Tables {
    pub(super) row_ids: IdTable,
    pub(super) column_ids: IdTable,
    pub(super) blocks: Vec<Share>,
    /// The index of every code, where codes are distances.
    pub(super) indices: [Option<ObjectRef>; 2],
}

/// What a block has of the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) rows: RowRange,
    /// Entries, at most, where they were counted.
    pub(super) entries: u64,
}

/// Id tables of rows and columns, and the rows of each block.
async fn dictionaries(
    stages: &Stages,
    inspection: &Inspection,
    ranges: [Option<IdRange>; 2],
    pieces: &[EncodedEntries],
    digest: Digest,
) -> Result<Tables> {
    let rows = Side {
        name: "row",
        ends: Ends::Rows,
        id_type: inspection.row_id_type,
        range: ranges[0],
        block_entries: Some(block_entries(inspection.rows())),
        keep: Counts::Drop,
    };
    let columns = Side {
        name: "column",
        ends: Ends::Columns,
        id_type: inspection.column_id_type,
        range: ranges[1],
        block_entries: None,
        keep: Counts::Drop,
    };
    let counts = ids::count(stages, &[&rows, &columns], pieces).await?;
    let [of_rows, of_columns] = counts.as_slice() else {
        return Err(Error::internal("counts of other sides than two"));
    };
    let (row_shards, column_shards) = futures::try_join!(
        ids::list(stages, digest, &rows, pieces, of_rows),
        ids::list(stages, digest, &columns, pieces, of_columns),
    )?;
    stages.release(counts.iter().flatten());
    let blocks = block_rows(&row_shards);
    let table = |id_type, shards: Vec<MergedIds>| {
        let parts = shards.into_iter().map(|ids| (ids.object, ids.count));
        ids::dictionary(id_type, parts)
    };
    let row_ids = table(inspection.row_id_type, row_shards);
    let column_ids = table(inspection.column_id_type, column_shards);
    let both = [(ranges[0], &row_ids), (ranges[1], &column_ids)];
    let indices = ids::index(stages, both, None).await?;
    Ok(Tables {
        row_ids,
        column_ids,
        blocks,
        indices,
    })
}

/// Blocks end where the id shards say that enough entries have come together.
fn block_rows(shards: &[MergedIds]) -> Vec<Share> {
    let (mut shares, mut start, mut offset, mut entries) = (Vec::new(), 0, 0, 0);
    let mut push = |start: u64, end: u64, entries: u64| {
        let mut ranges = Vec::new();
        push_block(&mut ranges, start, end);
        shares.extend(ranges.into_iter().map(|rows| Share { rows, entries }));
    };
    for shard in shards {
        let mut between = shard.entries.iter();
        for cut in &shard.cuts {
            entries += between.next().unwrap_or(&0);
            push(start, offset + cut, entries);
            (start, entries) = (offset + cut, 0);
        }
        entries += between.next().unwrap_or(&0);
        offset += shard.count;
    }
    push(start, offset, entries);
    shares
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
) -> Result<Tables> {
    let largest = |codes: fn(&EncodedEntries) -> u64| pieces.iter().map(codes).max().unwrap_or(0);
    let (nrows, ncols) = shape.unwrap_or((
        largest(|piece| piece.row_codes),
        largest(|piece| piece.column_codes),
    ));
    let entries: u64 = pieces.iter().map(|piece| piece.count).sum();
    let blocks = entries
        .div_ceil(block_entries(entries))
        .max(nrows.div_ceil(BLOCK_ROWS))
        .max(1);
    Ok(Tables {
        row_ids: ids::indices("row", inspection.row_id_type, nrows)?,
        column_ids: ids::indices("column", inspection.column_id_type, ncols)?,
        blocks: RowRange::cut(nrows, nrows.div_ceil(blocks))
            .into_iter()
            .map(|rows| Share { rows, entries: 0 })
            .collect(),
        indices: [None, None],
    })
}

/// Columns per segment: so many that a row has a few entries in each, within the bounds.
fn segment_width(ncols: u64, entries: u64, nrows: u64) -> u32 {
    let per_row = entries / nrows.max(1);
    let segments =
        (per_row / ENTRIES_PER_SEGMENT).clamp(1, ncols.div_ceil(NARROWEST_SEGMENT).max(1));
    ncols.div_ceil(segments).clamp(1, WIDEST_SEGMENT) as u32
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_blocks_are_equal_shares_of_bounded_size() {
        assert_eq!(
            dense_block_rows(200_000, 512),
            50_000,
            "four instead of a bit over three"
        );
        assert_eq!(
            dense_block_rows(1 << 20, 32),
            1 << 18,
            "four instead of one"
        );
        assert_eq!(dense_block_rows(1_000, 64), 1_000, "too few to share");
        for (rows, ncols) in [(0, 5), (1, 1), (7, 1 << 40), (3_000_001, 768), (1 << 40, 3)] {
            let block = dense_block_rows(rows, ncols);
            let (_, most) = DENSE_BLOCK_VALUES;
            assert!((1..=BLOCK_ROWS).contains(&block));
            assert!(
                block == 1 || block * ncols <= most,
                "{block} rows of {ncols}"
            );
        }
    }
}
