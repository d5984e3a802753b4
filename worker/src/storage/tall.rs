//! Tall matrices: Arrow IPC shards of consecutive rows.
//!
//! A shard holds batches of a few MiB, so that writing one needs little memory beside the rows
//! themselves. Readers ask for rows and never see shards or batches.

use arrow::buffer::Buffer;
use rankmill_common::matrix::{RowRange, Shard, TallMatrix};
use rankmill_common::{Error, Result};
use rankmill_kernels::Panel;
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

/// Copies rows into `target`, batch by batch, with `copy` for the widths at hand.
fn read<T: Send>(
    context: &TaskContext,
    matrix: &TallMatrix,
    rows: RowRange,
    target: &mut [T],
    copy: &dyn Fn(&mut [T], Numbers<'_>),
) -> Result<()> {
    let ncols = matrix.ncols as usize;
    let mut copied = 0;
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
                let numbers = vectors::numbers(&batch, ncols).ok_or_else(|| {
                    let key = &shard.object.key;
                    Error::internal(format!("object {key} holds no vectors of {ncols} numbers"))
                })?;
                let source = (from - start) as usize * ncols..(to - start) as usize * ncols;
                let place =
                    (from - rows.start) as usize * ncols..(to - rows.start) as usize * ncols;
                copy(&mut target[place], slice(numbers, source));
                copied += to - from;
            }
            start = end;
        }
    }
    if copied != rows.count {
        return Err(Error::internal(format!(
            "shards hold {copied} of the rows {}..{}",
            rows.start,
            rows.end()
        )));
    }
    Ok(())
}

fn slice(numbers: Numbers<'_>, range: std::ops::Range<usize>) -> Numbers<'_> {
    match numbers {
        Numbers::Single(numbers) => Numbers::Single(&numbers[range]),
        Numbers::Double(numbers) => Numbers::Double(&numbers[range]),
    }
}

fn narrow(target: &mut [f32], numbers: Numbers<'_>) {
    match numbers {
        Numbers::Single(source) => convert(target, source, |x| x),
        Numbers::Double(source) => convert(target, source, |x| x as f32),
    }
}

fn widen(target: &mut [f64], numbers: Numbers<'_>) {
    match numbers {
        Numbers::Single(source) => convert(target, source, f64::from),
        Numbers::Double(source) => convert(target, source, |x| x),
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
