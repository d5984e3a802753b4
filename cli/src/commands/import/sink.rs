//! Writes imported batches into one Parquet file, under a temporary name until it is whole.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rankmill_common::{Error, Result};

use crate::local_file::{Draft, parquet_failed};

/// Rows that are gathered before they are encoded.
pub(super) const BATCH_ROWS: usize = 1 << 16;
const GROUP_ROWS: usize = 1 << 20;

pub(super) struct Sink {
    writer: ArrowWriter<Draft>,
    schema: SchemaRef,
    path: PathBuf,
    rows: u64,
}

impl Sink {
    pub(super) fn begin(path: &Path, schema: SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let draft = Draft::begin(path)?;
        let writer = ArrowWriter::try_new(draft, SchemaRef::clone(&schema), Some(properties))
            .map_err(|e| parquet_failed(path, &e))?;
        Ok(Self {
            writer,
            schema,
            path: path.to_owned(),
            rows: 0,
        })
    }

    /// Writes one batch, a column per field.
    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let batch = RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .map_err(|e| Error::internal(format!("{}: {e}", self.path.display())))?;
        self.rows += batch.num_rows() as u64;
        self.writer
            .write(&batch)
            .map_err(|e| parquet_failed(&self.path, &e))
    }

    /// Finishes the file and gives it its name; returns the number of rows.
    pub(super) fn finish(self) -> Result<u64> {
        let draft = self.writer.into_inner();
        draft
            .map_err(|e| parquet_failed(&self.path, &e))?
            .commit()?;
        Ok(self.rows)
    }
}
