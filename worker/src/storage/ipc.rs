//! Arrow IPC files as objects: written with 64-byte alignment, read without a copy.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{Block, MetadataVersion, root_as_footer};
use rankmill_common::{Error, ObjectRef, Result};

use super::mapped::Mapped;
use super::writer::ObjectWriter;
use crate::context::TaskContext;

/// Cache line and widest vector: what kernels like arrays to start on.
const ALIGNMENT: usize = 64;

/// An IPC file being written.
pub(crate) struct IpcWriter {
    inner: FileWriter<ObjectWriter>,
}

impl IpcWriter {
    /// Starts the object `name` with the given schema.
    pub(crate) fn create(context: &TaskContext, name: &str, schema: &SchemaRef) -> Result<Self> {
        let inner = file_writer(context.writer(name)?, schema)?;
        Ok(Self { inner })
    }

    /// Appends a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = self.inner.write(batch);
        written.map_err(|e| failed(self.inner.get_ref(), &e))
    }

    /// Completes the object.
    pub(crate) fn finish(mut self) -> Result<ObjectRef> {
        let finished = self.inner.finish();
        finished.map_err(|e| failed(self.inner.get_ref(), &e))?;
        let writer = self
            .inner
            .into_inner()
            .map_err(|e| Error::internal(e.to_string()))?;
        writer.finish()
    }
}

/// Starts an IPC file as all objects are written.
pub(super) fn file_writer<W: Write>(target: W, schema: &SchemaRef) -> Result<FileWriter<W>> {
    let internal = |e: ArrowError| Error::internal(e.to_string());
    let options =
        IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).map_err(internal)?;
    FileWriter::try_new_with_options(target, schema, options).map_err(internal)
}

fn failed(writer: &ObjectWriter, error: &ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, io) => writer.error(io),
        _ => Error::internal(format!("cannot write Arrow IPC: {error}")),
    }
}

/// Writes one batch as the object `name`.
pub(crate) fn write_batch(
    context: &TaskContext,
    name: &str,
    batch: &RecordBatch,
) -> Result<ObjectRef> {
    let mut writer = IpcWriter::create(context, name, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()
}

/// An IPC file whose batches point into its map.
pub(crate) struct IpcFile {
    key: String,
    buffer: Buffer,
    decoder: FileDecoder,
    batches: Vec<Block>,
    schema: SchemaRef,
}

impl IpcFile {
    /// Opens `object`.
    pub(crate) fn open(context: &TaskContext, object: &ObjectRef) -> Result<Self> {
        let file = Self::open_partly(context, object)?;
        context.count_read(object.size);
        Ok(file)
    }

    /// Opens `object` for some of its batches; see [`Self::batch_bytes`].
    pub(crate) fn open_partly(context: &TaskContext, object: &ObjectRef) -> Result<Self> {
        Self::of(object, &context.map(object)?)
    }

    /// `object`, whose bytes are `mapped`.
    pub(super) fn of(object: &ObjectRef, mapped: &Mapped) -> Result<Self> {
        Self::parse(&object.key, mapped.buffer())
            .map_err(|e| Error::internal(format!("object {} is no Arrow IPC: {e}", object.key)))
    }

    pub(super) fn parse(key: &str, buffer: Buffer) -> Result<Self, ArrowError> {
        let invalid = |reason: String| ArrowError::IpcError(reason);
        let tail = buffer
            .last_chunk::<10>()
            .ok_or_else(|| invalid("it is shorter than a trailer".to_owned()))?;
        let trailer = buffer.len() - tail.len();
        let start = read_footer_length(*tail)
            .ok()
            .and_then(|length| trailer.checked_sub(length))
            .ok_or_else(|| invalid("its trailer is damaged".to_owned()))?;
        let footer = root_as_footer(&buffer[start..trailer]).map_err(|e| invalid(e.to_string()))?;
        let schema = footer
            .schema()
            .ok_or_else(|| invalid("it has no schema".to_owned()))?;
        let schema = Arc::new(try_fb_to_schema(schema)?);
        let batches = footer
            .recordBatches()
            .map(|blocks| blocks.iter().copied().collect())
            .unwrap_or_default();
        let decoder = FileDecoder::new(Arc::clone(&schema), footer.version());
        Ok(Self {
            key: key.to_owned(),
            buffer,
            decoder,
            batches,
            schema,
        })
    }

    /// Schema of every batch.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of batches.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Batch `index`, pointing into the map.
    pub(crate) fn batch(&self, index: usize) -> Result<RecordBatch> {
        let damaged = |reason: String| {
            Error::internal(format!("object {}, batch {index}: {reason}", self.key))
        };
        let block = self
            .batches
            .get(index)
            .ok_or_else(|| damaged(format!("there are only {}", self.len())))?;
        let span = usize::try_from(block.offset())
            .ok()
            .zip(usize::try_from(block.metaDataLength()).ok())
            .zip(usize::try_from(block.bodyLength()).ok())
            .and_then(|((offset, metadata), body)| {
                let length = metadata.checked_add(body)?;
                let end = offset.checked_add(length)?;
                (end <= self.buffer.len()).then_some((offset, length))
            })
            .ok_or_else(|| damaged("it lies outside the file".to_owned()))?;
        self.decoder
            .read_record_batch(block, &self.buffer.slice_with_length(span.0, span.1))
            .map_err(|e| damaged(e.to_string()))?
            .ok_or_else(|| damaged("it is empty".to_owned()))
    }

    /// Bytes that batch `index` takes in the file.
    pub(crate) fn batch_bytes(&self, index: usize) -> u64 {
        let body = self.batches.get(index).map(Block::bodyLength);
        body.and_then(|body| u64::try_from(body).ok()).unwrap_or(0)
    }

    /// Every batch in order.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        (0..self.len()).map(|index| self.batch(index))
    }
}
