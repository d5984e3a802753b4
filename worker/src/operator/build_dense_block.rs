//! `build_dense_block`: the vectors of one piece as the rows of one block, and their ids.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat, filter};
use arrow::datatypes::{Field, Schema};
use rankmill_common::input::DenseLayout;
use rankmill_common::matrix::BlockRef;
use rankmill_common::operator::build_block::{BuildDenseBlock, BuiltBlock};
use rankmill_common::{Error, ObjectRef, Result};
use rankmill_kernels::DenseBlock;
use rankmill_kernels::tall::sum_and_square;
use rayon::prelude::*;

use super::inspect::list_element;
use crate::context::TaskContext;
use crate::ids::{id_type, stored_type};
use crate::storage::block::DenseBlockWriter;
use crate::storage::input::{Column, Defect, PieceReader, append_f32, nulls};
use crate::storage::ipc::write_batch;

/// Numbers decoded at a time: few enough to stay in a core's cache until they are copied.
const BATCH_NUMBERS: usize = 1 << 17;

/// Numbers summed at a time: a constant, so that sums do not depend on the threads.
const SUM_CHUNK: usize = 1 << 16;

pub(crate) fn run(context: &TaskContext, operator: &BuildDenseBlock) -> Result<BuiltBlock> {
    let reader = PieceReader::open(context, &operator.piece)?;
    let writer = DenseBlockWriter::create(context, "block.arrow", operator.ncols as usize)?;
    let mut rows = Rows::new(&reader, operator, writer)?;
    rows.read()?;
    reader.check_unchanged()?;
    let Rows {
        written,
        writer,
        ids,
        skipped,
        ..
    } = rows;
    let ids = match ids {
        Some(ids) => Some(write_ids(context, ids)?),
        None => None,
    };
    let object = writer.finish()?;
    let Written {
        nrows,
        sum,
        frobenius2,
    } = written;
    let entries_per_row = operator.ncols as f64;
    Ok(BuiltBlock {
        block: BlockRef {
            start: 0,
            nrows: nrows as u64,
            nnz: nrows as u64 * operator.ncols,
            object,
        },
        ids,
        frobenius2,
        row_nnz2: nrows as f64 * entries_per_row * entries_per_row,
        sum,
        statistics: None,
        skipped,
    })
}

/// What the batches written so far hold.
#[derive(Default)]
struct Written {
    nrows: usize,
    sum: f64,
    frobenius2: f64,
}

impl Written {
    /// Counts `nrows` rows more; sums are taken chunk by chunk in order.
    fn add(&mut self, nrows: usize, numbers: &[f32]) {
        let chunks = numbers.par_chunks(SUM_CHUNK);
        let parts: Vec<(f64, f64)> = chunks.map(sum_and_square).collect();
        for (sum, squares) in parts {
            self.sum += sum;
            self.frobenius2 += squares;
        }
        self.nrows += nrows;
    }
}

/// The rows on their way into a block.
struct Rows<'a> {
    reader: &'a PieceReader,
    operator: &'a BuildDenseBlock,
    columns: Vec<Column>,
    has_ids: bool,
    /// Of rows that are not written yet.
    numbers: Vec<f32>,
    writer: DenseBlockWriter,
    written: Written,
    ids: Option<Vec<ArrayRef>>,
    skipped: u64,
}

impl<'a> Rows<'a> {
    fn new(
        reader: &'a PieceReader,
        operator: &'a BuildDenseBlock,
        writer: DenseBlockWriter,
    ) -> Result<Self> {
        let DenseLayout { id, vector } = &operator.layout;
        let names = id.iter().chain(vector);
        let columns = names
            .map(|name| reader.footer().column(name))
            .collect::<Result<Vec<_>>>()?;
        let rows = Self {
            reader,
            operator,
            columns,
            has_ids: id.is_some(),
            numbers: Vec::new(),
            writer,
            written: Written::default(),
            ids: id.as_ref().map(|_| Vec::new()),
            skipped: 0,
        };
        rows.check_size()?;
        Ok(rows)
    }

    /// Refuses lists that are far too long before any of them takes memory. Where they are a
    /// little longer or shorter, the row itself is named later.
    fn check_size(&self) -> Result<()> {
        let Some(list) = self.list() else {
            return Ok(());
        };
        let footer = self.reader.footer();
        for &group in &self.operator.piece.row_groups {
            let group = group as usize;
            let expected = footer.rows(group).saturating_mul(self.operator.ncols);
            let bound = expected
                .saturating_mul(2)
                .saturating_add(BATCH_NUMBERS as u64);
            if footer.values(group, list) > bound {
                return Err(Error::invalid_input(format!(
                    "{}: row group {group}, column {:?}: vectors are of unequal length: the first \
                     of the input has {} numbers, but some here are far longer",
                    footer.file().name(),
                    list.name,
                    self.operator.ncols,
                )));
            }
        }
        Ok(())
    }

    /// The list column, where there is one.
    fn list(&self) -> Option<&Column> {
        match &self.columns[usize::from(self.has_ids)..] {
            [only] if list_element(&only.data_type).is_some() => Some(only),
            _ => None,
        }
    }

    fn unequal(&self, row: u64, found: i32) -> Error {
        let what = format!(
            "vectors are of unequal length: the first of the input has {} numbers, this one has \
             {found}; make them alike, or leave it out",
            self.operator.ncols
        );
        let name = self.operator.layout.vector.first().map_or("", |name| name);
        self.reader.error_at(row, name, &what)
    }

    fn read(&mut self) -> Result<()> {
        let ncols = self.operator.ncols as usize;
        let batch = (BATCH_NUMBERS / ncols.max(1)).clamp(1, DenseBlock::BATCH_ROWS);
        let rows = (self.reader.rows() as usize).min(DenseBlock::BATCH_ROWS) + batch;
        self.numbers.reserve_exact(rows * ncols);
        let columns = self.columns.clone();
        self.reader.read(&columns, batch, |first, arrays| {
            self.append(first, arrays)?;
            self.write(DenseBlock::BATCH_ROWS)
        })?;
        self.write(1)
    }

    /// Writes batches as long as there are `least` rows.
    fn write(&mut self, least: usize) -> Result<()> {
        let ncols = (self.operator.ncols as usize).max(1);
        loop {
            let nrows = (self.numbers.len() / ncols).min(DenseBlock::BATCH_ROWS);
            if nrows < least {
                return Ok(());
            }
            let numbers = nrows * ncols;
            self.written.add(nrows, &self.numbers[..numbers]);
            self.numbers = self
                .writer
                .batch(nrows, std::mem::take(&mut self.numbers))?;
            self.numbers.drain(..numbers);
        }
    }

    fn append(&mut self, first: u64, arrays: &[ArrayRef]) -> Result<()> {
        let (ids, vectors) = arrays.split_at(usize::from(self.has_ids));
        let rows = arrays.first().map_or(0, arrow::array::Array::len);
        let mut bad = Bad::default();
        if let Some(ids) = ids.first() {
            nulls(ids, &mut |row, defect| bad.push(row, 0, defect));
        }
        let before = self.numbers.len();
        if self.list().is_some() {
            self.append_lists(first, vectors, &mut bad)?;
        } else {
            self.append_columns(rows, vectors, &mut bad)?;
        }
        let dropped = self.judge(first, &mut bad)?;
        let ncols = self.operator.ncols as usize;
        let mut keep = vec![true; rows];
        for &row in &dropped {
            keep[row] = false;
        }
        if !dropped.is_empty() {
            let mut place = before;
            for row in (0..rows).filter(|&row| keep[row]) {
                let source = before + row * ncols;
                self.numbers.copy_within(source..source + ncols, place);
                place += ncols;
            }
            self.numbers.truncate(place);
            self.skipped += dropped.len() as u64;
        }
        if let (Some(all), Some(ids)) = (&mut self.ids, ids.first()) {
            let kept = filter(ids, &keep.into()).map_err(internal)?;
            all.push(kept);
        }
        Ok(())
    }

    fn append_lists(&mut self, first: u64, vectors: &[ArrayRef], bad: &mut Bad) -> Result<()> {
        let ncols = self.operator.ncols as usize;
        let list = vectors
            .first()
            .and_then(|vectors| vectors.as_list_opt::<i32>())
            .ok_or_else(|| Error::internal("vectors are no lists"))?;
        let place = usize::from(self.has_ids);
        let offsets = list.value_offsets();
        for row in 0..list.len() {
            if list.is_null(row) {
                bad.push(row, place, Defect::Null);
            } else if offsets[row + 1] - offsets[row] != ncols as i32 {
                let found = offsets[row + 1] - offsets[row];
                return Err(self.unequal(first + row as u64, found));
            }
        }
        // Null rows may or may not have elements; take the others run by run.
        let mut row = 0;
        while row < list.len() {
            if list.is_null(row) {
                self.numbers.resize(self.numbers.len() + ncols, 0.0);
                row += 1;
                continue;
            }
            let run = (row..list.len())
                .take_while(|&row| list.is_valid(row))
                .count();
            let span = (offsets[row] as usize, run * ncols);
            let values = list.values().slice(span.0, span.1);
            append_f32(&values, &mut self.numbers, &mut |element, defect| {
                bad.push(row + element / ncols, place, defect);
            })?;
            row += run;
        }
        Ok(())
    }

    fn append_columns(&mut self, rows: usize, vectors: &[ArrayRef], bad: &mut Bad) -> Result<()> {
        let (before, ncols) = (self.numbers.len(), vectors.len());
        if ncols as u64 != self.operator.ncols {
            return Err(Error::internal("another number of columns than planned"));
        }
        self.numbers.resize(before + rows * ncols, 0.0);
        let mut column = Vec::with_capacity(rows);
        for (index, array) in vectors.iter().enumerate() {
            column.clear();
            let place = usize::from(self.has_ids) + index;
            append_f32(array, &mut column, &mut |row, defect| {
                bad.push(row, place, defect);
            })?;
            let targets = self.numbers[before + index..].iter_mut().step_by(ncols);
            for (target, &number) in targets.zip(&column) {
                *target = number;
            }
        }
        Ok(())
    }

    /// The bad rows of a batch, or the error about the first that may not be left out.
    fn judge(&self, first: u64, bad: &mut Bad) -> Result<Vec<usize>> {
        bad.found.sort_by_key(|&(row, place, _)| (row, place));
        let on_bad_row = self.operator.on_bad_row;
        let refused = bad
            .found
            .iter()
            .find(|(_, _, defect)| !defect.is_skipped(on_bad_row));
        if let Some(&(row, place, defect)) = refused {
            let name = &self.columns[place].name;
            let what = defect.advise();
            return Err(self.reader.error_at(first + row as u64, name, &what));
        }
        let mut rows: Vec<_> = bad.found.iter().map(|&(row, _, _)| row).collect();
        rows.dedup();
        Ok(rows)
    }
}

/// What is wrong with the rows of a batch: row, column, defect.
#[derive(Default)]
struct Bad {
    found: Vec<(usize, usize, Defect)>,
}

impl Bad {
    fn push(&mut self, row: usize, place: usize, defect: Defect) {
        self.found.push((row, place, defect));
    }
}

fn write_ids(context: &TaskContext, ids: Vec<ArrayRef>) -> Result<ObjectRef> {
    let parts: Vec<&dyn Array> = ids.iter().map(AsRef::as_ref).collect();
    let kind = parts
        .first()
        .and_then(|array| id_type(array.data_type()))
        .ok_or_else(|| Error::internal("a block without ids"))?;
    let joined = concat(&parts).map_err(internal)?;
    let joined = cast(&joined, &stored_type(kind)).map_err(internal)?;
    let field = Field::new("id", joined.data_type().clone(), false);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema, vec![joined]).map_err(internal)?;
    write_batch(context, "ids.arrow", &batch)
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(error.to_string())
}
