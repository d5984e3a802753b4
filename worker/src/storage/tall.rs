//! Tall matrices: Arrow IPC shards of consecutive rows.
//!
//! A shard holds batches of a few MiB, so that writing one needs little memory beside the rows
//! themselves. Readers ask for rows and never see shards or batches.

use std::ops::{Deref, Range};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use rankmill_common::matrix::{RowRange, Shard, TallMatrix};
use rankmill_common::{Error, ObjectRef, Result};
use rankmill_kernels::Panel;
use rankmill_kernels::tall::{Entries, RowsView};
use rayon::prelude::*;

use super::ipc::{IpcFile, IpcWriter};
use super::matrix_file::{MatrixFile, Numbered, Part, Shape};
use super::vectors::{self, Number, Numbers};
use crate::context::TaskContext;

/// Bytes of one record batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// Numbers copied by one task.
const COPY_CHUNK: usize = 1 << 17;

/// Rows `rows` of `matrix` as f32; stored f64 are rounded.
///
/// # Errors
///
/// `InputLost` where a shard is gone, `Internal` where the shards do not hold these rows.
pub(crate) fn read_panel(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
) -> Result<Panel> {
    let mut panel = Panel::new(to_usize(rows.count)?, matrix.ncols as usize);
    read(context, matrix, rows, panel.as_mut_slice(), &narrow)?;
    Ok(panel)
}

/// Rows `rows` of `matrix`, row-major, as f64.
///
/// # Errors
///
/// As [`read_panel`].
pub(crate) fn read_f64(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
) -> Result<Vec<f64>> {
    read_vec(context, matrix, rows, &widen)
}

/// Stores `numbers`, of `ncols` per row, as a shard.
///
/// # Errors
///
/// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
pub(crate) fn write(
    context: &TaskContext,
    name: &str,
    rows: RowRange,
    ncols: u32,
    numbers: impl Into<Part>,
) -> Result<Shard> {
    let shape = (to_usize(rows.count)?, ncols as usize);
    let object = write_matrix(context, name, shape, &numbers.into())?;
    Ok(Shard { rows, object })
}

/// Stores all rows of a matrix of `nrows` × `ncols` numbers in the shards that its shape asks for.
///
/// # Errors
///
/// As [`write`].
pub(crate) fn write_shards(
    context: &TaskContext,
    name: &str,
    (nrows, ncols): (u64, usize),
    numbers: Numbered,
) -> Result<TallMatrix> {
    let precision = numbers.precision();
    let numbers = Arc::new(numbers);
    let shard = |(index, rows): (usize, RowRange)| {
        let entries = rows.start as usize * ncols..rows.end() as usize * ncols;
        let part = Part::of(&numbers, entries);
        write(
            context,
            &format!("{name}-{index}"),
            rows,
            ncols as u32,
            part,
        )
    };
    let ranges = TallMatrix::cut(nrows, ncols as u32, precision);
    Ok(TallMatrix {
        nrows,
        ncols: ncols as u32,
        precision,
        shards: ranges
            .into_iter()
            .enumerate()
            .map(shard)
            .collect::<Result<_>>()?,
    })
}

/// Stores a matrix of `nrows` × `ncols` numbers as the object `name`.
///
/// # Errors
///
/// As [`write`].
pub(super) fn write_matrix(
    context: &TaskContext,
    name: &str,
    (nrows, ncols): (usize, usize),
    numbers: &Part,
) -> Result<ObjectRef> {
    let found = numbers.entries().len();
    if found != nrows * ncols {
        return Err(Error::internal(format!(
            "{name}: {found} numbers for {nrows} x {ncols}"
        )));
    }
    let shape = Shape {
        nrows,
        ncols,
        double: numbers.is_double(),
    };
    context.check_cancelled()?;
    let objects = context.objects();
    match objects.keep(context.runtime(), &context.key(name), shape, numbers)? {
        Some(object) => {
            context.counters().count_written(object.size);
            Ok(object)
        }
        None => match numbers.entries() {
            Entries::Single(entries) => write_file(context, name, shape, entries),
            Entries::Double(entries) => write_file(context, name, shape, entries),
        },
    }
}

fn write_file<T: Number>(
    context: &TaskContext,
    name: &str,
    shape: Shape,
    numbers: &[T],
) -> Result<ObjectRef> {
    let schema = vectors::schema::<T>(shape.ncols)?;
    let mut writer = IpcWriter::create(context, name, &schema)?;
    for_each_batch(shape.nrows, shape.ncols, numbers, |count, part| {
        writer.write(&vectors::batch::<T>(&schema, count, shape.ncols, part)?)
    })?;
    writer.finish()
}

/// Rows of a batch.
pub(super) fn batch_rows<T>(ncols: usize) -> usize {
    (BATCH_BYTES / (ncols * size_of::<T>()).max(1)).max(1)
}

/// Cuts rows into batches as files have them: how many rows, and a copy of their numbers.
pub(super) fn for_each_batch<T: Number>(
    nrows: usize,
    ncols: usize,
    numbers: &[T],
    mut visit: impl FnMut(usize, Buffer) -> Result<()>,
) -> Result<()> {
    let batch_rows = batch_rows::<T>(ncols);
    for first in (0..nrows).step_by(batch_rows) {
        let count = batch_rows.min(nrows - first);
        let part = &numbers[first * ncols..(first + count) * ncols];
        visit(count, Buffer::from_slice_ref(part))?;
    }
    Ok(())
}

/// Rows of a stored matrix where they lie.
pub(crate) struct TallRows {
    ncols: usize,
    /// Where numbers lie, and which of them are meant.
    pieces: Vec<(Piece, Range<usize>)>,
}

enum Piece {
    /// Points into a map.
    Batch(RecordBatch),
    Memory(Arc<MatrixFile>),
}

impl TallRows {
    /// Rows `rows` of `matrix`. Nothing is copied.
    ///
    /// # Errors
    ///
    /// `InputLost` where a shard is gone, `Internal` where the shards do not hold these rows.
    pub(crate) fn open(context: &TaskContext, matrix: &TallMatrix, rows: RowRange) -> Result<Self> {
        let ncols = matrix.ncols as usize;
        let mut pieces = Vec::new();
        let mut found = 0;
        for shard in &matrix.shards {
            if shard.rows.end() <= rows.start || shard.rows.start >= rows.end() {
                continue;
            }
            let start = shard.rows.start;
            let mut add = |piece: Piece, start: u64, count: u64| {
                let (from, to) = (start.max(rows.start), (start + count).min(rows.end()));
                if from < to {
                    let entries = (from - start) as usize * ncols..(to - start) as usize * ncols;
                    pieces.push((piece, entries));
                    found += to - from;
                }
            };
            match context.in_memory(&shard.object) {
                Some(file) if file.ncols() == ncols => {
                    add(Piece::Memory(file), start, shard.rows.count);
                }
                Some(_) | None => read_batches(context, shard, ncols, &mut add)?,
            }
        }
        if found != rows.count {
            return Err(Error::internal(format!(
                "shards hold {found} of the rows {}..{}",
                rows.start,
                rows.end()
            )));
        }
        Ok(Self { ncols, pieces })
    }

    /// The entries of each piece, in order.
    fn entries(&self) -> impl Iterator<Item = Entries<'_>> {
        self.pieces.iter().filter_map(|(piece, range)| {
            let entries = match piece {
                Piece::Memory(file) => file.numbers().entries(),
                // Every batch was found to hold such numbers when it was opened.
                Piece::Batch(batch) => match vectors::numbers(batch, self.ncols)? {
                    Numbers::Single(numbers) => Entries::Single(numbers),
                    Numbers::Double(numbers) => Entries::Double(numbers),
                },
            };
            Some(entries.slice(range.clone()))
        })
    }

    /// A copy of the rows `rows` of these, row-major.
    pub(crate) fn copy_f32(&self, rows: RowRange) -> Vec<f32> {
        let wanted = rows.start as usize * self.ncols..rows.end() as usize * self.ncols;
        let mut numbers = vec![0.0; wanted.len()];
        let mut start = 0;
        for entries in self.entries() {
            let end = start + entries.len();
            let (from, to) = (wanted.start.max(start), wanted.end.min(end));
            if from < to {
                let target = &mut numbers[from - wanted.start..to - wanted.start];
                narrow(target, entries.slice(from - start..to - start));
            }
            start = end;
        }
        numbers
    }

    /// The rows as kernels take them.
    pub(crate) fn view(&self) -> RowsView<'_> {
        let mut view = RowsView::new(self.ncols);
        for entries in self.entries() {
            view.push(entries);
        }
        view
    }
}

/// Calls `add` with each batch of a shard, its first row and its number of rows.
fn read_batches(
    context: &TaskContext,
    shard: &Shard,
    ncols: usize,
    add: &mut impl FnMut(Piece, u64, u64),
) -> Result<()> {
    let file = IpcFile::open(context, &shard.object)?;
    let mut start = shard.rows.start;
    for batch in file.batches() {
        let batch = batch?;
        if vectors::numbers(&batch, ncols).is_none() {
            let key = &shard.object.key;
            return Err(Error::internal(format!(
                "object {key} holds no vectors of {ncols} numbers"
            )));
        }
        let count = batch.num_rows() as u64;
        add(Piece::Batch(batch), start, count);
        start += count;
    }
    Ok(())
}

/// A panel of its own, or one in memory that others read as well.
pub(crate) enum SharedPanel {
    Own(Panel),
    Shared(Arc<MatrixFile>),
}

impl Deref for SharedPanel {
    type Target = Panel;

    fn deref(&self) -> &Panel {
        static NONE: LazyLock<Panel> = LazyLock::new(Panel::default);
        match self {
            Self::Own(panel) => panel,
            // Only matrices of f32 are shared so.
            Self::Shared(file) => file.numbers().panel().unwrap_or(&NONE),
        }
    }
}

/// Rows `rows` of `matrix` as f32, without a copy where they lie in memory as one panel.
///
/// # Errors
///
/// As [`read_panel`].
pub(crate) fn share_panel(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
) -> Result<SharedPanel> {
    if let Some(shard) = matrix.shards.iter().find(|shard| shard.rows == rows)
        && let Some(file) = context.in_memory(&shard.object)
        && file.numbers().panel().is_some()
        && file.ncols() == matrix.ncols as usize
    {
        return Ok(SharedPanel::Shared(file));
    }
    read_panel(context, matrix, rows).map(SharedPanel::Own)
}

fn read_vec<T: Number>(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
    copy: &dyn Fn(&mut [T], Entries<'_>),
) -> Result<Vec<T>> {
    let mut numbers = vec![T::default(); to_usize(rows.count)? * matrix.ncols as usize];
    read(context, matrix, rows, &mut numbers, copy)?;
    Ok(numbers)
}

/// Copies rows into `target`, piece by piece, with `copy` for the widths at hand.
fn read<T: Send>(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
    target: &mut [T],
    copy: &dyn Fn(&mut [T], Entries<'_>),
) -> Result<()> {
    let mut rest = target;
    for entries in TallRows::open(context, matrix, rows)?.entries() {
        let (part, tail) = rest.split_at_mut(entries.len());
        rest = tail;
        copy(part, entries);
    }
    Ok(())
}

fn narrow(target: &mut [f32], entries: Entries<'_>) {
    match entries {
        Entries::Single(source) => convert(target, source, |x| x),
        Entries::Double(source) => convert(target, source, |x| x as f32),
    }
}

fn widen(target: &mut [f64], entries: Entries<'_>) {
    match entries {
        Entries::Single(source) => convert(target, source, f64::from),
        Entries::Double(source) => convert(target, source, |x| x),
    }
}

fn convert<S: Copy + Sync, T: Send>(target: &mut [T], source: &[S], f: impl Fn(S) -> T + Sync) {
    target
        .par_chunks_mut(COPY_CHUNK)
        .zip(source.par_chunks(COPY_CHUNK))
        .for_each(|(target, source)| {
            for (target, &source) in target.iter_mut().zip(source) {
                *target = f(source);
            }
        });
}

fn to_usize(count: u64) -> Result<usize> {
    usize::try_from(count).map_err(|_| Error::internal(format!("{count} rows in memory")))
}
