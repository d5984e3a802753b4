//! Tall matrices: Arrow IPC shards of consecutive rows.
//!
//! A shard holds batches of a few MiB, so that writing one needs little memory beside the rows
//! themselves. Readers ask for rows and never see shards or batches.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use rankmill_common::matrix::{RowRange, Shard, TallMatrix};
use rankmill_common::{Error, Result};
use rankmill_kernels::Panel;
use rankmill_kernels::tall::{Entries, RowsView};
use rayon::prelude::*;

use super::ipc::{IpcFile, IpcWriter};
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
    let mut numbers = vec![0.0; to_usize(rows.count)? * matrix.ncols as usize];
    read(context, matrix, rows, &mut numbers, &widen)?;
    Ok(numbers)
}

/// Writes `numbers`, row-major, as a shard of f32.
///
/// # Errors
///
/// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
pub(crate) fn write_f32(
    context: &TaskContext,
    name: &str,
    rows: RowRange,
    ncols: u32,
    numbers: &[f32],
) -> Result<Shard> {
    write(context, name, rows, ncols as usize, numbers)
}

/// As [`write_f32`], of f64.
///
/// # Errors
///
/// As [`write_f32`].
pub(crate) fn write_f64(
    context: &TaskContext,
    name: &str,
    rows: RowRange,
    ncols: u32,
    numbers: &[f64],
) -> Result<Shard> {
    write(context, name, rows, ncols as usize, numbers)
}

fn write<T: Number>(
    context: &TaskContext,
    name: &str,
    rows: RowRange,
    ncols: usize,
    numbers: &[T],
) -> Result<Shard> {
    let nrows = to_usize(rows.count)?;
    if numbers.len() != nrows * ncols {
        let found = numbers.len();
        return Err(Error::internal(format!(
            "{name}: {found} numbers for {nrows} x {ncols}"
        )));
    }
    let schema = vectors::schema::<T>(ncols)?;
    let mut writer = IpcWriter::create(context, name, &schema)?;
    let batch_rows = (BATCH_BYTES / (ncols * size_of::<T>()).max(1)).max(1);
    for first in (0..nrows).step_by(batch_rows) {
        let count = batch_rows.min(nrows - first);
        let part = &numbers[first * ncols..(first + count) * ncols];
        let part = Buffer::from_slice_ref(part);
        writer.write(&vectors::batch::<T>(&schema, count, ncols, part)?)?;
    }
    let object = writer.finish()?;
    Ok(Shard { rows, object })
}

/// Rows of a stored matrix where they lie.
pub(crate) struct TallRows {
    ncols: usize,
    /// Batches that point into maps, and which of their entries are meant.
    pieces: Vec<(RecordBatch, Range<usize>)>,
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
            let file = IpcFile::open(context, &shard.object)?;
            let mut start = shard.rows.start;
            for batch in file.batches() {
                let batch = batch?;
                let end = start + batch.num_rows() as u64;
                let (from, to) = (start.max(rows.start), end.min(rows.end()));
                if from < to {
                    if vectors::numbers(&batch, ncols).is_none() {
                        let key = &shard.object.key;
                        return Err(Error::internal(format!(
                            "object {key} holds no vectors of {ncols} numbers"
                        )));
                    }
                    let entries = (from - start) as usize * ncols..(to - start) as usize * ncols;
                    pieces.push((batch, entries));
                    found += to - from;
                }
                start = end;
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
        self.pieces.iter().filter_map(|(batch, range)| {
            // Every batch was found to hold such numbers when it was opened.
            let numbers = vectors::numbers(batch, self.ncols)?;
            Some(match numbers {
                Numbers::Single(numbers) => Entries::Single(&numbers[range.clone()]),
                Numbers::Double(numbers) => Entries::Double(&numbers[range.clone()]),
            })
        })
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
