//! Blocks of the input matrix: Arrow IPC whose list layout is compressed sparse rows.
//!
//! A sparse block has one record batch per column segment, in ascending order of columns:
//! `indices: List<UInt16>`, or `List<UInt32>` where segments are wider than 65,536 columns, counted
//! from the segment's first column, and `values: List<Float32>` unless all are one. The schema's
//! metadata holds `ncols` and `segment_width`. A dense block has `vector: FixedSizeList<Float32>`,
//! in batches of a fixed number of rows.
//!
//! Invariant: a block's offsets and columns are checked once per process before kernels see them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float32Array, GenericListArray, ListArray, RecordBatch, UInt16Array,
    UInt32Array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rankmill_common::matrix::{BlockFormat, BlockRef};
use rankmill_common::{Error, ObjectRef, Result};
use rankmill_kernels::{Columns, DenseBlock, MatrixBlock, Segment, SparseBlock};

use super::Mapped;
use super::ipc::{IpcFile, IpcWriter};
use super::vectors::{self, Numbers};
use crate::context::TaskContext;

/// Widest segment whose local columns fit 16 bits.
pub(crate) const NARROW_SEGMENT_WIDTH: usize = 1 << 16;
/// Widest segment.
pub(crate) const MAX_SEGMENT_WIDTH: usize = u32::MAX as usize;

/// A column index as a segment stores it, local to the segment.
pub(crate) trait StoredColumn: Copy + Default + Send + Sync + 'static {
    /// Its Arrow type.
    const DATA_TYPE: DataType;

    /// `column`, which is below the segment's width.
    fn narrow(column: u32) -> Self;

    /// Undoes [`Self::narrow`].
    fn index(self) -> usize;

    /// As an array.
    fn array(columns: Vec<Self>) -> ArrayRef;
}

impl StoredColumn for u16 {
    const DATA_TYPE: DataType = DataType::UInt16;

    fn narrow(column: u32) -> Self {
        column as Self
    }

    fn index(self) -> usize {
        usize::from(self)
    }

    fn array(columns: Vec<Self>) -> ArrayRef {
        Arc::new(UInt16Array::new(ScalarBuffer::from(columns), None))
    }
}

impl StoredColumn for u32 {
    const DATA_TYPE: DataType = DataType::UInt32;

    fn narrow(column: u32) -> Self {
        column
    }

    fn index(self) -> usize {
        self as usize
    }

    fn array(columns: Vec<Self>) -> ArrayRef {
        Arc::new(UInt32Array::new(ScalarBuffer::from(columns), None))
    }
}

/// A sparse block being written, segment by segment.
pub(crate) struct SparseBlockWriter {
    writer: IpcWriter,
    schema: SchemaRef,
    nrows: usize,
}

/// Whether a sparse block stores values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredValues {
    /// Every entry is one.
    Ones,
    /// One f32 per entry.
    Floats,
}

impl SparseBlockWriter {
    /// Starts the object `name`.
    pub(crate) fn create(
        context: &TaskContext,
        name: &str,
        nrows: usize,
        ncols: u64,
        segment_width: usize,
        values: StoredValues,
    ) -> Result<Self> {
        let width = if segment_width <= NARROW_SEGMENT_WIDTH {
            u16::DATA_TYPE
        } else {
            u32::DATA_TYPE
        };
        let mut fields = vec![Field::new("indices", list_of(width), false)];
        if values == StoredValues::Floats {
            fields.push(Field::new("values", list_of(DataType::Float32), false));
        }
        // One entry only: a HashMap's order of iteration would reach the bytes.
        let shape = format!("ncols={ncols} segment_width={segment_width}");
        let metadata = HashMap::from([(SHAPE.to_owned(), shape)]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let writer = IpcWriter::create(context, name, &schema)?;
        Ok(Self {
            writer,
            schema,
            nrows,
        })
    }

    /// Appends the next segment. `values` are there if and only if the block stores them; columns
    /// have 16 bits if and only if segments are that narrow.
    pub(crate) fn segment<C: StoredColumn>(
        &mut self,
        offsets: Vec<i32>,
        columns: Vec<C>,
        values: Option<Vec<f32>>,
    ) -> Result<()> {
        let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        if offsets.len() != self.nrows + 1 {
            return Err(Error::internal("a segment with other rows than its block"));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let indices =
            ListArray::try_new(item(C::DATA_TYPE), offsets.clone(), C::array(columns), None);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(indices.map_err(internal)?)];
        if let Some(values) = values {
            let values = Float32Array::new(ScalarBuffer::from(values), None);
            let values =
                ListArray::try_new(item(DataType::Float32), offsets, Arc::new(values), None);
            arrays.push(Arc::new(values.map_err(internal)?));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(internal)?;
        self.writer.write(&batch)
    }

    /// Completes the object.
    pub(crate) fn finish(self) -> Result<ObjectRef> {
        self.writer.finish()
    }
}

/// A dense block being written, batch by batch.
pub(crate) struct DenseBlockWriter {
    writer: IpcWriter,
    schema: SchemaRef,
    ncols: usize,
}

impl DenseBlockWriter {
    /// Starts the object `name`.
    pub(crate) fn create(context: &TaskContext, name: &str, ncols: usize) -> Result<Self> {
        let schema = vectors::schema::<f32>(ncols)?;
        let writer = IpcWriter::create(context, name, &schema)?;
        Ok(Self {
            writer,
            schema,
            ncols,
        })
    }

    /// Appends `nrows` rows, the first of `numbers`, which come back for reuse.
    /// Every batch has [`DenseBlock::BATCH_ROWS`] rows, but for the last.
    pub(crate) fn batch(&mut self, nrows: usize, numbers: Vec<f32>) -> Result<Vec<f32>> {
        let numbers = Buffer::from_vec(numbers);
        let batch = vectors::batch::<f32>(&self.schema, nrows, self.ncols, numbers.clone())?;
        self.writer.write(&batch)?;
        drop(batch);
        Ok(numbers.into_vec().unwrap_or_default())
    }

    /// Completes the object.
    pub(crate) fn finish(self) -> Result<ObjectRef> {
        self.writer.finish()
    }
}

/// A block in memory, or rather in the page cache.
#[derive(Debug)]
pub(crate) struct OpenBlock {
    format: BlockFormat,
    nrows: usize,
    ncols: usize,
    segment_width: usize,
    batches: Vec<RecordBatch>,
}

/// A block as kernels take it.
pub(crate) enum BlockView<'a> {
    Sparse(SparseBlock<'a>),
    Dense(DenseBlock<'a>),
}

impl BlockView<'_> {
    /// The block as a matrix.
    pub(crate) fn as_matrix(&self) -> &dyn MatrixBlock {
        match self {
            Self::Sparse(block) => block,
            Self::Dense(block) => block,
        }
    }
}

/// Opens a block of a matrix with `ncols` columns, if it is not open already, for the next task as
/// well.
///
/// # Errors
///
/// `InputLost` where the object is gone, `Internal` where it is no block of this shape.
pub(crate) fn open(
    context: &TaskContext,
    format: BlockFormat,
    ncols: u64,
    block: &BlockRef,
) -> Result<Arc<OpenBlock>> {
    // A dense block takes long to multiply, so that opening it is little beside it.
    let stays = format == BlockFormat::Sparse;
    open_for(context, format, ncols, block, stays)
}

/// As [`open`], for a block that nobody reads again.
pub(crate) fn open_once(
    context: &TaskContext,
    format: BlockFormat,
    ncols: u64,
    block: &BlockRef,
) -> Result<Arc<OpenBlock>> {
    open_for(context, format, ncols, block, false)
}

fn open_for(
    context: &TaskContext,
    format: BlockFormat,
    ncols: u64,
    block: &BlockRef,
    stays: bool,
) -> Result<Arc<OpenBlock>> {
    let object = &block.object;
    let mapped = context.map(object)?;
    context.count_read(object.size);
    let kept = context.objects().open_blocks();
    let known = kept.get(&object.digest, &mapped);
    let shape = (format, block.nrows as usize, ncols as usize);
    if let Some(known) = known.filter(|known| (known.format, known.nrows, known.ncols) == shape) {
        return Ok(known);
    }
    let open = Arc::new(OpenBlock::of(context, &mapped, object, shape)?);
    if stays {
        kept.keep(object.digest, mapped, &open);
    }
    Ok(open)
}

impl OpenBlock {
    /// The block of `shape` (format, rows, columns) that `object` is, sound as kernels rely on it.
    fn of(
        context: &TaskContext,
        mapped: &Mapped,
        object: &ObjectRef,
        (format, nrows, ncols): (BlockFormat, usize, usize),
    ) -> Result<Self> {
        let unsound = |reason: String| {
            Error::internal(format!("object {} is no sound block: {reason}", object.key))
        };
        let file = IpcFile::of(object, mapped)?;
        let batches = file.batches().collect::<Result<Vec<_>>>()?;
        let segment_width = match format {
            BlockFormat::Sparse => segment_width(file.schema())
                .ok_or_else(|| unsound("its schema has no shape".to_owned()))?,
            BlockFormat::Dense => 0,
        };
        let open = Self {
            format,
            nrows,
            ncols,
            segment_width,
            batches,
        };
        let objects = context.objects();
        let view = open.view().map_err(unsound)?;
        if !objects.is_sound_block(&object.digest) {
            let checked = match &view {
                BlockView::Sparse(view) => view.validate(),
                BlockView::Dense(view) => view.validate(),
            };
            checked.map_err(|e| unsound(e.to_string()))?;
            objects.mark_sound_block(object.digest);
        }
        drop(view);
        Ok(open)
    }

    /// The block's arrays.
    ///
    /// # Errors
    ///
    /// Says which part is not what a block of this format has.
    fn view(&self) -> Result<BlockView<'_>, String> {
        Ok(match self.format {
            BlockFormat::Sparse => BlockView::Sparse(self.sparse()?),
            BlockFormat::Dense => BlockView::Dense(self.dense()?),
        })
    }

    /// The block as kernels take it.
    ///
    /// # Errors
    ///
    /// `Internal`; never for a block that [`open`] returned.
    pub(crate) fn block(&self) -> Result<BlockView<'_>> {
        self.view().map_err(Error::internal)
    }

    /// Columns per segment of a sparse block.
    pub(crate) fn segment_width(&self) -> usize {
        self.segment_width
    }

    /// The rows of a sparse block as kernels take them.
    ///
    /// # Errors
    ///
    /// Says what is missing; never for a sparse block that [`open`] returned.
    pub(crate) fn sparse(&self) -> Result<SparseBlock<'_>, String> {
        let segments = self
            .batches
            .iter()
            .enumerate()
            .map(|(index, batch)| self.segment(index, batch))
            .collect::<Result<_, _>>()?;
        Ok(SparseBlock {
            nrows: self.nrows,
            ncols: self.ncols,
            segments,
        })
    }

    fn segment<'a>(&self, index: usize, batch: &'a RecordBatch) -> Result<Segment<'a>, String> {
        let first_column = index * self.segment_width;
        let width = self
            .ncols
            .checked_sub(first_column)
            .map(|left| left.min(self.segment_width))
            .ok_or_else(|| format!("segment {index} lies behind its {} columns", self.ncols))?;
        let indices = list(batch, "indices").ok_or("it has no indices")?;
        let local = indices.values().as_any();
        let columns = match local.downcast_ref::<UInt16Array>() {
            Some(narrow) => Columns::U16(narrow.values()),
            None => local
                .downcast_ref::<UInt32Array>()
                .map(|wide| Columns::U32(wide.values()))
                .ok_or("its indices have neither 16 nor 32 bits")?,
        };
        let values = match list(batch, "values") {
            None => None,
            Some(values) if values.offsets() != indices.offsets() => {
                return Err(format!("segment {index} has other values than indices"));
            }
            Some(values) => {
                let values = values.values().as_any().downcast_ref::<Float32Array>();
                Some(&values.ok_or("its values are not f32")?.values()[..])
            }
        };
        Ok(Segment {
            first_column,
            width,
            offsets: indices.offsets(),
            columns,
            values,
        })
    }

    fn dense(&self) -> Result<DenseBlock<'_>, String> {
        let mut parts = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            match vectors::numbers(batch, self.ncols) {
                Some(Numbers::Single(values)) => parts.push(values),
                Some(Numbers::Double(_)) | None => {
                    return Err(format!("its rows are not {} f32", self.ncols));
                }
            }
        }
        Ok(DenseBlock::new(self.nrows, self.ncols, parts))
    }
}

/// Metadata key of the block's shape.
const SHAPE: &str = "rankmill.shape";

fn segment_width(schema: &Schema) -> Option<usize> {
    let shape = schema.metadata().get(SHAPE)?;
    let (_, width) = shape.split_once("segment_width=")?;
    width
        .parse()
        .ok()
        .filter(|width| (1..=MAX_SEGMENT_WIDTH).contains(width))
}

fn list<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a GenericListArray<i32>> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

fn list_of(element: DataType) -> DataType {
    DataType::List(item(element))
}

fn item(element: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", element, false))
}
