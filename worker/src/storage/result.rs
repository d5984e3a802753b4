//! Parquet files of a result: the same bytes on every machine, visible whole or not at all.
//!
//! Row groups are encoded side by side, from a few rows at a time, and appended in order to a draft
//! of the file.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::WrittenFile;
use rankmill_common::{Digest, Error, Result};
use rankmill_store::{Draft, Store};
use rayon::prelude::*;

use crate::context::TaskContext;

/// Most rows of one row group: few enough that both threads of a small machine have several.
const GROUP_ROWS: u64 = 65_536;

/// Most bytes of one row group, before compression.
const GROUP_BYTES: u64 = 64 << 20;

/// Most rows that are made and encoded at a time: what a column takes meanwhile (places of numbers,
/// levels) is many times the numbers themselves.
const SLICE_ROWS: u64 = 2_048;

const ZSTD_LEVEL: i32 = 3;

/// Rows per row group of a file whose rows take `row_bytes`.
fn rows_per_group(row_bytes: usize) -> u64 {
    (GROUP_BYTES / row_bytes.max(1) as u64).clamp(1, GROUP_ROWS)
}

/// The type of vectors of `length` f32, none of them null.
pub(crate) fn vector_type(length: u32) -> Result<DataType> {
    let length = i32::try_from(length).map_err(|_| Error::internal("a vector of 2³¹ numbers"))?;
    Ok(DataType::FixedSizeList(element(), length))
}

/// Vectors of `length` numbers, row after row.
pub(crate) fn vectors(length: u32, numbers: Vec<f32>) -> Result<ArrayRef> {
    let values = Arc::new(Float32Array::new(ScalarBuffer::from(numbers), None));
    let length = i32::try_from(length).map_err(|_| Error::internal("a vector of 2³¹ numbers"))?;
    let list = FixedSizeListArray::try_new(element(), length, values, None);
    Ok(Arc::new(list.map_err(|e| Error::internal(e.to_string()))?))
}

/// The name that Parquet's own rules give the items of a list, which other readers expect.
fn element() -> FieldRef {
    Arc::new(Field::new("element", DataType::Float32, false))
}

/// A file of a result.
pub(crate) struct Table<'a> {
    pub(crate) output: &'a str,
    /// Its key below the output.
    pub(crate) path: &'a str,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) rows: u64,
    /// Bytes of a row before compression, about: they decide how many rows a row group has.
    pub(crate) row_bytes: usize,
}

impl Table<'_> {
    /// Writes the file, with the rows that `rows` makes: some thousands at a time, on any thread.
    ///
    /// # Errors
    ///
    /// Those of `rows`; `ResourceExhausted` when the disk is full, `InvalidInput` for an output
    /// that cannot be opened, `Unavailable` when its store is out of reach.
    pub(crate) fn write(
        &self,
        context: &TaskContext,
        rows: impl Fn(RowRange) -> Result<RecordBatch> + Sync,
    ) -> Result<WrittenFile> {
        let mut sink = Sink::create(self)?;
        self.encode(context, &mut sink, &rows)?;
        context.check_cancelled()?;
        let (draft, size, digest) = (sink.draft, sink.size, sink.hasher.finalize());
        context.block_on(draft.finish())?;
        context.counters().count_written(size);
        Ok(WrittenFile {
            path: self.path.to_owned(),
            size,
            rows: self.rows,
            blake3: Digest::from_bytes(*digest.as_bytes()),
        })
    }

    fn encode(
        &self,
        context: &TaskContext,
        sink: &mut Sink,
        rows: &(impl Fn(RowRange) -> Result<RecordBatch> + Sync),
    ) -> Result<()> {
        let mut properties = properties(self.schema)?;
        add_encoded_arrow_schema_to_metadata(self.schema, &mut properties);
        let root = ArrowSchemaConverter::new()
            .convert(self.schema)
            .map_err(|e| failed(&e))?
            .root_schema_ptr();
        let file = SerializedFileWriter::new(&mut *sink, root, Arc::new(properties));
        let mut file = file.map_err(|e| failed(&e))?;
        let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(self.schema));
        let groups = RowRange::cut(self.rows, rows_per_group(self.row_bytes));
        // How many are in flight changes memory, never bytes.
        let wave = rayon::current_num_threads().max(1);
        for (first, wave) in (0..).step_by(wave).zip(groups.chunks(wave)) {
            context.check_cancelled()?;
            let chunks = (first..first + wave.len())
                .into_par_iter()
                .zip(wave)
                .map(|(index, &group)| encode_group(self.schema, &factory, index, group, rows))
                .collect::<Vec<Result<_>>>();
            for chunk in chunks {
                let columns = chunk?;
                let appended = append(&mut file, columns);
                appended.map_err(|e| not_written(file.inner(), &e))?;
            }
        }
        let closed = file.close();
        closed.map_err(|e| not_written(sink, &e))?;
        Ok(())
    }
}

/// The draft of a file, hashed on the way.
struct Sink {
    draft: Draft,
    hasher: blake3::Hasher,
    size: u64,
}

impl Sink {
    fn create(table: &Table) -> Result<Self> {
        /// Bytes of an id and of levels in a row, about.
        const BESIDES: usize = 32;
        let row_bytes = table.row_bytes + table.row_bytes / 16 + BESIDES;
        let rows = usize::try_from(table.rows).unwrap_or(0);
        let expected = rows.saturating_mul(row_bytes);
        Ok(Self {
            draft: Store::open(table.output)?.draft(table.path, expected)?,
            hasher: blake3::Hasher::new(),
            size: 0,
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// Fewer bytes are hashed by one thread.
        const SHARED: usize = 1 << 20;
        let taken = self.draft.write(bytes)?;
        if taken < SHARED {
            self.hasher.update(&bytes[..taken]);
        } else {
            self.hasher.update_rayon(&bytes[..taken]);
        }
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

/// Row group `index`: the rows `group`.
fn encode_group(
    schema: &SchemaRef,
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    group: RowRange,
    rows: &impl Fn(RowRange) -> Result<RecordBatch>,
) -> Result<Vec<ArrowColumnChunk>> {
    let writers = factory.create_column_writers(index);
    let mut writers = writers.map_err(|e| failed(&e))?;
    // Fields of results have one leaf each.
    if writers.len() != schema.fields().len() {
        return Err(Error::internal("a column of a result has several leaves"));
    }
    for slice in RowRange::cut(group.count, SLICE_ROWS) {
        let start = group.start + slice.start;
        let batch = rows(RowRange { start, ..slice })?;
        let columns = schema.fields().iter().zip(batch.columns());
        for (writer, (field, column)) in writers.iter_mut().zip(columns) {
            for leaf in compute_leaves(field, column).map_err(|e| failed(&e))? {
                writer.write(&leaf).map_err(|e| failed(&e))?;
            }
        }
    }
    let closed = writers.into_iter().map(ArrowColumnWriter::close);
    closed.collect::<Result<_, _>>().map_err(|e| failed(&e))
}

fn append(
    file: &mut SerializedFileWriter<&mut Sink>,
    columns: Vec<ArrowColumnChunk>,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for column in columns {
        column.append_to_row_group(&mut group)?;
    }
    group.close()?;
    Ok(())
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties> {
    let zstd = ZstdLevel::try_new(ZSTD_LEVEL).map_err(|e| failed(&e))?;
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("rankmill {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(zstd))
        // Ids are distinct and vectors are noise to a dictionary.
        .set_dictionary_enabled(false);
    for field in schema.fields() {
        if matches!(field.data_type(), DataType::FixedSizeList(..)) {
            let leaf = ["list", "element"].map(str::to_owned);
            let path = std::iter::once(field.name().clone()).chain(leaf).collect();
            let path = ColumnPath::new(path);
            builder = builder
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
                // Mantissas are noise to a compressor as well: 7% smaller for most of the time.
                .set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    Ok(builder.build())
}

/// Why `sink` did not take what it was given.
fn not_written(sink: &Sink, error: &ParquetError) -> Error {
    match std::error::Error::source(error).and_then(|source| source.downcast_ref()) {
        Some(error) => sink.draft.error(error),
        None => failed(error),
    }
}

fn failed(error: &ParquetError) -> Error {
    Error::internal(format!("cannot write Parquet: {error}"))
}
