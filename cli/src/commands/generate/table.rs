//! Writes a table whose rows can be made in any order.

use std::ops::Range;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use rankmill_common::Result;
use rayon::prelude::*;

use crate::local_file::{Draft, Target, parquet_failed};

/// Row groups hold about this many bytes before encoding, but not more than [`GROUP_ROWS`].
const GROUP_BYTES: u64 = 32 << 20;
const GROUP_ROWS: u64 = 1 << 20;
/// Row groups of one file, where the target is a directory.
const GROUPS_PER_FILE: usize = 8;

/// Rows that are functions of their number.
pub(super) trait Table: Sync {
    /// Names and types.
    fn schema(&self) -> SchemaRef;

    /// How many rows there are; at least one.
    fn rows(&self) -> u64;

    /// Bytes of one row in memory.
    fn row_bytes(&self) -> u64;

    /// Columns whose values repeat, for which a dictionary pays.
    fn repetitive(&self) -> bool;

    /// Some rows.
    fn batch(&self, rows: Range<u64>) -> Result<RecordBatch>;
}

/// Writes all of `table` on the current thread pool; returns the number of files. At most one
/// row group per thread is in memory.
pub(super) fn write(table: &impl Table, target: &Target) -> Result<u64> {
    let groups = row_groups(table);
    let per_file = match target {
        Target::File(_) => groups.len(),
        Target::Directory(_) => GROUPS_PER_FILE,
    };
    let mut files = 0;
    for groups in groups.chunks(per_file.max(1)) {
        write_file(table, groups, &target.part(files))?;
        files += 1;
    }
    target.remove_parts_from(files)?;
    Ok(files)
}

fn row_groups(table: &impl Table) -> Vec<Range<u64>> {
    let rows = (GROUP_BYTES / table.row_bytes().max(1)).clamp(1, GROUP_ROWS);
    let starts = (0..table.rows()).step_by(rows as usize);
    starts
        .map(|start| start..(start + rows).min(table.rows()))
        .collect()
}

fn write_file(table: &impl Table, groups: &[Range<u64>], path: &Path) -> Result<()> {
    let failed = |e: ParquetError| parquet_failed(path, &e);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(table.repetitive())
        .build();
    let draft = Draft::begin(path)?;
    let writer = ArrowWriter::try_new(draft, table.schema(), Some(properties)).map_err(failed)?;
    let (mut file, factory) = writer.into_serialized_writer().map_err(failed)?;
    for (wave, groups) in groups.chunks(rayon::current_num_threads()).enumerate() {
        let offset = wave * rayon::current_num_threads();
        let encoded: Vec<Vec<ArrowColumnChunk>> = groups
            .par_iter()
            .enumerate()
            .map(|(index, rows)| {
                let batch = table.batch(rows.clone())?;
                encode(&factory, offset + index, &batch).map_err(failed)
            })
            .collect::<Result<_>>()?;
        for columns in encoded {
            let mut group = file.next_row_group().map_err(failed)?;
            for column in columns {
                column.append_to_row_group(&mut group).map_err(failed)?;
            }
            group.close().map_err(failed)?;
        }
    }
    file.into_inner().map_err(failed)?.commit()
}

fn encode(
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    batch: &RecordBatch,
) -> std::result::Result<Vec<ArrowColumnChunk>, ParquetError> {
    let schema = batch.schema();
    let mut writers = factory.create_column_writers(index)?.into_iter();
    let mut chunks = Vec::new();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for leaf in compute_leaves(field, column)? {
            if let Some(mut writer) = writers.next() {
                writer.write(&leaf)?;
                chunks.push(writer.close()?);
            }
        }
    }
    Ok(chunks)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The bytes of the files that `threads` threads make.
    pub(in crate::commands::generate) fn bytes(table: &impl Table, threads: usize) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a folder");
        let target = Target::Directory(folder.path().join("out"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let files = pool
            .expect("a pool")
            .install(|| write(table, &target))
            .expect("written");
        (0..files)
            .map(|part| std::fs::read(target.part(part)).expect("a file"))
            .collect()
    }

    /// Asserts that the thread count does not show.
    pub(in crate::commands::generate) fn assert_same_for_any_threads(table: &impl Table) {
        let one = bytes(table, 1);
        assert!(one == bytes(table, 2) && one == bytes(table, 3));
    }
}
