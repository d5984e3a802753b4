//! Entries of several sources, or of several vertices, as objects: Arrow IPC whose first column is `source: UInt32`, in
//! ascending order.
//!
//! Invariant: what belongs to one source lies side by side, in one batch or in several that follow
//! one another, so readers get it as slices of the map.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt32Type};
use rankmill_common::{Error, ObjectRef, Result};

use super::ipc::{IpcFile, IpcWriter};
use crate::context::TaskContext;

/// A column behind the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// `u32`.
    Index,
    /// `f64`.
    Score,
}

/// Entries as columns.
#[derive(Debug)]
struct Entries {
    sources: Vec<u32>,
    indices: Vec<Vec<u32>>,
    scores: Vec<Vec<f64>>,
}

impl Entries {
    /// No entries of so many indices and scores each.
    fn new(indices: usize, scores: usize) -> Self {
        Self {
            sources: Vec::new(),
            indices: vec![Vec::new(); indices],
            scores: vec![Vec::new(); scores],
        }
    }

    fn push<const I: usize, const S: usize>(
        &mut self,
        source: u32,
        indices: [u32; I],
        scores: [f64; S],
    ) {
        self.sources.push(source);
        for (column, index) in self.indices.iter_mut().zip(indices) {
            column.push(index);
        }
        for (column, score) in self.scores.iter_mut().zip(scores) {
            column.push(score);
        }
    }

    fn batch(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let take = std::mem::take::<Vec<u32>>;
        let mut columns = vec![array::<UInt32Type>(take(&mut self.sources))];
        for column in &mut self.indices {
            columns.push(array::<UInt32Type>(std::mem::take(column)));
        }
        for column in &mut self.scores {
            columns.push(array::<Float64Type>(std::mem::take(column)));
        }
        RecordBatch::try_new(Arc::clone(schema), columns)
            .map_err(|e| Error::internal(e.to_string()))
    }
}

fn array<T: ArrowPrimitiveType>(numbers: Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values(numbers))
}

/// Entries on their way into an object: several lists side by side, a batch of each in turn.
pub(crate) struct EntryWriter<'a> {
    context: &'a TaskContext,
    name: &'static str,
    schema: SchemaRef,
    /// Starts with the first entry: an object without any is none.
    writer: Option<IpcWriter>,
    lists: Vec<Entries>,
    held: usize,
}

/// Entries after which batches are written.
const BATCH_ENTRIES: usize = 1 << 16;

impl<'a> EntryWriter<'a> {
    /// Starts the object `name` of `lists` lists with the columns `columns` behind the source:
    /// first all indices, then all scores.
    pub(crate) fn new(
        context: &'a TaskContext,
        name: &'static str,
        columns: &[(&str, Number)],
        lists: usize,
    ) -> Self {
        let count = |wanted| columns.iter().filter(|(_, kind)| *kind == wanted).count();
        let (indices, scores) = (count(Number::Index), count(Number::Score));
        let fields = columns.iter().map(|&(name, kind)| {
            let data_type = match kind {
                Number::Index => DataType::UInt32,
                Number::Score => DataType::Float64,
            };
            Field::new(name, data_type, false)
        });
        let source = Field::new("source", DataType::UInt32, false);
        let fields: Vec<Field> = std::iter::once(source).chain(fields).collect();
        Self {
            context,
            name,
            schema: Arc::new(Schema::new(fields)),
            writer: None,
            lists: (0..lists).map(|_| Entries::new(indices, scores)).collect(),
            held: 0,
        }
    }

    /// Appends an entry to the list `list`.
    pub(crate) fn push<const I: usize, const S: usize>(
        &mut self,
        list: usize,
        source: u32,
        indices: [u32; I],
        scores: [f64; S],
    ) -> Result<()> {
        self.lists[list].push(source, indices, scores);
        self.held += 1;
        if self.held >= BATCH_ENTRIES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let writer = IpcWriter::create(self.context, self.name, &self.schema)?;
                self.writer.insert(writer)
            }
        };
        for list in &mut self.lists {
            writer.write(&list.batch(&self.schema)?)?;
        }
        self.held = 0;
        Ok(())
    }

    /// Completes the object, if there is anything in it.
    pub(crate) fn finish(mut self) -> Result<Option<ObjectRef>> {
        if self.held > 0 {
            self.flush()?;
        }
        self.writer.map(IpcWriter::finish).transpose()
    }
}

/// One list of an object, mapped.
pub(crate) struct EntryReader {
    batches: Vec<RecordBatch>,
}

/// The entries of one source within a batch.
pub(crate) struct Slices<'a> {
    batch: &'a RecordBatch,
    range: Range<usize>,
}

impl EntryReader {
    /// Opens list `list` of `lists` in `object`.
    ///
    /// # Errors
    ///
    /// `InputLost` where the object is gone, `Internal` where it holds something else.
    pub(crate) fn open(
        context: &TaskContext,
        object: &ObjectRef,
        (list, lists): (usize, usize),
        columns: usize,
    ) -> Result<Self> {
        let file = IpcFile::open(context, object)?;
        let wrong = || Error::internal(format!("object {} holds no such entries", object.key));
        let mut batches = Vec::new();
        for index in (list..file.len()).step_by(lists.max(1)) {
            let batch = file.batch(index)?;
            let sources = batch.columns().first().map(Array::data_type);
            if sources != Some(&DataType::UInt32) || batch.num_columns() != columns + 1 {
                return Err(wrong());
            }
            if batch.num_rows() > 0 {
                batches.push(batch);
            }
        }
        Ok(Self { batches })
    }

    /// All entries, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = Slices<'_>> {
        self.batches.iter().map(|batch| Slices {
            batch,
            range: 0..batch.num_rows(),
        })
    }

    /// The entries of `source`, in order.
    pub(crate) fn of(&self, source: u32) -> impl Iterator<Item = Slices<'_>> {
        self.batches.iter().filter_map(move |batch| {
            let sources = batch.column(0).as_primitive::<UInt32Type>().values();
            let start = sources.partition_point(|&other| other < source);
            let end = start + sources[start..].partition_point(|&other| other == source);
            (start < end).then_some(Slices {
                batch,
                range: start..end,
            })
        })
    }
}

impl<'a> Slices<'a> {
    /// The sources.
    pub(crate) fn sources(&self) -> &'a [u32] {
        let sources = self.batch.column(0).as_primitive::<UInt32Type>();
        &sources.values()[self.range.clone()]
    }

    /// Column `column` behind the source, as indices; none where it holds something else.
    pub(crate) fn indices(&self, column: usize) -> &'a [u32] {
        let numbers = self
            .batch
            .column(column + 1)
            .as_primitive_opt::<UInt32Type>();
        numbers.map_or(&[], |numbers| &numbers.values()[self.range.clone()])
    }

    /// Column `column` behind the source, as scores; none where it holds something else.
    pub(crate) fn scores(&self, column: usize) -> &'a [f64] {
        let numbers = self
            .batch
            .column(column + 1)
            .as_primitive_opt::<Float64Type>();
        numbers.map_or(&[], |numbers| &numbers.values()[self.range.clone()])
    }
}
