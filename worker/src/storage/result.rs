//! Parquet files of a result: the same bytes on every machine, visible whole or not at all.
//!
//! Row groups are encoded side by side and appended in order. The file is complete in memory
//! before the store sees it.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::add_encoded_arrow_schema_to_metadata;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rankmill_common::operator::WrittenFile;
use rankmill_common::{Digest, Error, Result};
use rankmill_store::Store;
use rayon::prelude::*;

use crate::context::TaskContext;

/// Most rows of one row group: few enough that both threads of a small machine have several.
const GROUP_ROWS: usize = 65_536;

/// Most bytes of one row group, before compression.
const GROUP_BYTES: usize = 64 << 20;

/// Most rows that are encoded at a time: what a column takes meanwhile (places of numbers, levels)
/// is many times the numbers themselves.
const SLICE_ROWS: usize = 2_048;

const ZSTD_LEVEL: i32 = 3;

/// Rows per row group of a file whose rows take `row_bytes`.
pub(crate) fn rows_per_group(row_bytes: usize) -> usize {
    (GROUP_BYTES / row_bytes.max(1)).clamp(1, GROUP_ROWS)
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

/// Writes the file `path` below `output`: row groups 0, 1, … as `group` makes them, until `groups`.
///
/// # Errors
///
/// Those of `group`; `ResourceExhausted` when the disk is full, `InvalidInput` for an output that
/// cannot be opened, `Unavailable` when its store is out of reach.
pub(crate) fn write(
    context: &TaskContext,
    output: &str,
    path: &str,
    schema: &SchemaRef,
    groups: usize,
    group: impl Fn(usize) -> Result<RecordBatch> + Sync,
) -> Result<WrittenFile> {
    let encoded = encode(context, schema, groups, &group)?;
    let bytes = Bytes::from(encoded.bytes);
    let written = WrittenFile {
        path: path.to_owned(),
        size: bytes.len() as u64,
        rows: encoded.rows,
        blake3: Digest::of(&bytes),
    };
    context.check_cancelled()?;
    let store = Store::open(output)?;
    context.block_on(store.put(path, bytes))?;
    context.counters().count_written(written.size);
    Ok(written)
}

struct Encoded {
    bytes: Vec<u8>,
    rows: u64,
}

struct EncodedGroup {
    columns: Vec<ArrowColumnChunk>,
    rows: u64,
    /// Bytes of the arrays before they were encoded.
    plain_bytes: usize,
}

fn encode(
    context: &TaskContext,
    schema: &SchemaRef,
    groups: usize,
    group: &(impl Fn(usize) -> Result<RecordBatch> + Sync),
) -> Result<Encoded> {
    let mut properties = properties(schema)?;
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    let root = ArrowSchemaConverter::new()
        .convert(schema)
        .map_err(|e| failed(&e))?
        .root_schema_ptr();
    let mut file = SerializedFileWriter::new(Vec::new(), root, Arc::new(properties))
        .map_err(|e| failed(&e))?;
    let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema));
    let mut rows = 0;
    // How many are in flight changes memory, never bytes.
    let wave = rayon::current_num_threads().max(1);
    for first in (0..groups).step_by(wave) {
        context.check_cancelled()?;
        let chunks = (first..groups.min(first + wave))
            .into_par_iter()
            .map(|index| encode_group(schema, &factory, index, &group(index)?))
            .collect::<Vec<Result<_>>>();
        for chunk in chunks {
            let chunk = chunk?;
            if rows == 0 {
                // A file that grows is copied, and its pages are cleared, several times over.
                file.inner_mut().reserve(chunk.plain_bytes * groups);
            }
            rows += chunk.rows;
            append(&mut file, chunk.columns).map_err(|e| failed(&e))?;
        }
    }
    let bytes = file.into_inner().map_err(|e| failed(&e))?;
    Ok(Encoded { bytes, rows })
}

fn encode_group(
    schema: &SchemaRef,
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    batch: &RecordBatch,
) -> Result<EncodedGroup> {
    let encode = || -> Result<_, ParquetError> {
        let mut writers = factory.create_column_writers(index)?.into_iter();
        let mut chunks = Vec::new();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            // Fields of results have one leaf each.
            let mut writer = writers
                .next()
                .ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
            for first in (0..column.len()).step_by(SLICE_ROWS) {
                let slice = column.slice(first, SLICE_ROWS.min(column.len() - first));
                for leaf in compute_leaves(field, &slice)? {
                    writer.write(&leaf)?;
                }
            }
            chunks.push(writer.close()?);
        }
        Ok(chunks)
    };
    let columns = encode().map_err(|e| failed(&e))?;
    let plain = batch.columns().iter().map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size().map_err(|e| failed(&e.into()))
    });
    Ok(EncodedGroup {
        columns,
        rows: batch.num_rows() as u64,
        plain_bytes: plain.sum::<Result<_>>()?,
    })
}

fn append(
    file: &mut SerializedFileWriter<Vec<u8>>,
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

fn failed(error: &ParquetError) -> Error {
    Error::internal(format!("cannot write Parquet: {error}"))
}
