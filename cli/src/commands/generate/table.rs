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
const GROUPS_PER_FILE: u64 = 8;
/// Rows, and values of ids, above this are refused: nobody has the disk for so many rows, and ids
/// below it are exact in every type that they pass through.
pub(super) const MOST_ROWS: u64 = 1 << 48;

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
    target.remove_parts()?;
    let groups = table.rows().div_ceil(group_rows(table));
    let per_file = match target {
        Target::File(_) => groups.max(1),
        Target::Directory(_) => GROUPS_PER_FILE,
    };
    let files = groups.div_ceil(per_file);
    for file in 0..files {
        let first = file * per_file;
        let groups = first..(first + per_file).min(groups);
        write_file(table, groups, &target.part(file))?;
    }
    Ok(files)
}

/// Rows of every group but the last.
fn group_rows(table: &impl Table) -> u64 {
    (GROUP_BYTES / table.row_bytes().max(1)).clamp(1, GROUP_ROWS)
}

/// The rows of a group.
fn rows_of(table: &impl Table, group: u64) -> Range<u64> {
    let rows = group_rows(table);
    group * rows..((group + 1) * rows).min(table.rows())
}

fn write_file(table: &impl Table, groups: Range<u64>, path: &Path) -> Result<()> {
    let failed = |e: ParquetError| parquet_failed(path, &e);
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(table.repetitive())
        .build();
    let draft = Draft::begin(path)?;
    let writer = ArrowWriter::try_new(draft, table.schema(), Some(properties)).map_err(failed)?;
    let (mut file, factory) = writer.into_serialized_writer().map_err(failed)?;
    let threads = rayon::current_num_threads();
    for first in groups.clone().step_by(threads) {
        let wave = first..(first + threads as u64).min(groups.end);
        let encoded: Vec<Vec<ArrowColumnChunk>> = wave
            .into_par_iter()
            .map(|group| {
                let batch = table.batch(rows_of(table, group))?;
                let index = (group - groups.start) as usize;
                encode(&factory, index, &batch).map_err(failed)
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
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use rankmill_common::Error;

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

    struct Counting {
        /// The row that cannot be made.
        broken: i64,
        rows: u64,
    }

    impl Table for Counting {
        fn schema(&self) -> SchemaRef {
            Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]))
        }

        fn rows(&self) -> u64 {
            self.rows
        }

        /// Of so many bytes that a group holds one row.
        fn row_bytes(&self) -> u64 {
            GROUP_BYTES
        }

        fn repetitive(&self) -> bool {
            false
        }

        fn batch(&self, rows: Range<u64>) -> Result<RecordBatch> {
            if rows.start as i64 == self.broken {
                return Err(Error::internal("cut short"));
            }
            let rows = Int64Array::from_iter_values(rows.map(|row| row as i64));
            RecordBatch::try_new(self.schema(), vec![Arc::new(rows)])
                .map_err(|e| Error::internal(e.to_string()))
        }
    }

    #[test]
    fn parts_of_two_runs_never_lie_side_by_side() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = Target::Directory(folder.path().to_owned());
        let whole = Counting {
            broken: -1,
            rows: 20,
        };
        assert_eq!(write(&whole, &target), Ok(3));
        let cut_short = Counting {
            broken: 10,
            rows: 20,
        };
        assert!(write(&cut_short, &target).is_err());
        assert!(target.part(0).exists());
        assert!(!target.part(1).exists() && !target.part(2).exists());
        let file = Target::File(folder.path().join("a.parquet"));
        assert_eq!(write(&whole, &file), Ok(1));
    }

    /// Asserts that the thread count does not show.
    pub(in crate::commands::generate) fn assert_same_for_any_threads(table: &impl Table) {
        let one = bytes(table, 1);
        assert!(one == bytes(table, 2) && one == bytes(table, 3));
    }
}
