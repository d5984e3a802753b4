//! Writes stripes as a block: one record batch per column segment.

use rankmill_common::matrix::RowRange;
use rankmill_common::operator::build_block::Statistics;
use rankmill_common::{Error, ObjectRef, Result};
use rayon::prelude::*;

use super::Stripe;
use crate::context::TaskContext;
use crate::storage::block::{NARROW_SEGMENT_WIDTH, SparseBlockWriter, StoredColumn, StoredValues};
use crate::storage::matrix_file::Numbered;
use crate::storage::tall;

/// Numbers per column: entries, their sum, sum of absolute values, sum of squares.
pub(crate) const STATISTICS: usize = 4;

/// A block's shape.
pub(crate) struct Shape {
    pub(crate) nrows: usize,
    pub(crate) ncols: u64,
    pub(crate) segment_width: usize,
}

/// Writes the block and, where they are asked for, its column statistics.
pub(crate) fn write(
    context: &TaskContext,
    stripes: &[Stripe],
    shape: &Shape,
    statistics: Statistics,
) -> Result<(ObjectRef, Option<ObjectRef>)> {
    if shape.segment_width <= NARROW_SEGMENT_WIDTH {
        write_columns::<u16>(context, stripes, shape, statistics)
    } else {
        write_columns::<u32>(context, stripes, shape, statistics)
    }
}

fn write_columns<C: StoredColumn>(
    context: &TaskContext,
    stripes: &[Stripe],
    shape: &Shape,
    statistics: Statistics,
) -> Result<(ObjectRef, Option<ObjectRef>)> {
    let values = if stripes.par_iter().all(Stripe::is_ones) {
        StoredValues::Ones
    } else {
        StoredValues::Floats
    };
    let mut writer = SparseBlockWriter::create(
        context,
        "block.arrow",
        shape.nrows,
        shape.ncols,
        shape.segment_width,
        values,
    )?;
    let mut sums = match statistics {
        Statistics::Skip => Vec::new(),
        Statistics::Collect => vec![0f64; STATISTICS * shape.ncols as usize],
    };
    let mut cursors: Vec<Vec<u32>> = stripes
        .iter()
        .map(|stripe| stripe.starts[..stripe.nrows()].to_vec())
        .collect();
    let segments = shape.ncols.div_ceil(shape.segment_width as u64);
    for segment in 0..segments {
        context.check_cancelled()?;
        let first = segment * shape.segment_width as u64;
        let end = (first + shape.segment_width as u64).min(shape.ncols);
        let built = Segment::<C>::build(stripes, &mut cursors, first, end, shape, values)?;
        if statistics == Statistics::Collect {
            built.add_statistics(&mut sums[STATISTICS * first as usize..]);
        }
        writer.segment(built.offsets, built.columns, built.values)?;
    }
    let block = writer.finish()?;
    let statistics = match statistics {
        Statistics::Skip => None,
        Statistics::Collect => {
            let rows = RowRange {
                start: 0,
                count: shape.ncols,
            };
            let shard = tall::write(
                context,
                "statistics.arrow",
                rows,
                STATISTICS as u32,
                Numbered::Double(sums),
            )?;
            Some(shard.object)
        }
    };
    Ok((block, statistics))
}

struct Segment<C> {
    offsets: Vec<i32>,
    columns: Vec<C>,
    values: Option<Vec<f32>>,
}

impl<C: StoredColumn> Segment<C> {
    /// Takes the entries of columns `first..end` from every row. `cursors` hold where each row
    /// goes on, and are moved behind what is taken.
    fn build(
        stripes: &[Stripe],
        cursors: &mut [Vec<u32>],
        first: u64,
        end: u64,
        shape: &Shape,
        values: StoredValues,
    ) -> Result<Self> {
        let ends: Vec<Vec<u32>> = stripes
            .par_iter()
            .zip(&*cursors)
            .map(|(stripe, cursors)| row_ends(stripe, cursors, end, end == shape.ncols))
            .collect();
        let counts: Vec<usize> = cursors
            .iter()
            .zip(&ends)
            .map(|(from, to)| {
                from.iter()
                    .zip(to)
                    .map(|(from, to)| (to - from) as usize)
                    .sum()
            })
            .collect();
        let total: usize = counts.iter().sum();
        if i32::try_from(total).is_err() {
            return Err(Error::internal("a segment of more than 2^31 entries"));
        }
        let mut offsets = vec![0i32; shape.nrows + 1];
        let mut columns = vec![C::default(); total];
        let mut stored = (values == StoredValues::Floats).then(|| vec![0f32; total]);
        let mut parts = Vec::with_capacity(stripes.len());
        {
            let mut before = 0usize;
            let mut offsets = &mut offsets[1..];
            let mut columns = &mut columns[..];
            let mut values = stored.as_deref_mut().unwrap_or_default();
            for ((stripe, &count), (from, to)) in
                stripes.iter().zip(&counts).zip(cursors.iter().zip(&ends))
            {
                let part = Part {
                    stripe,
                    from,
                    to,
                    first: first as u32,
                    before: before as i32,
                    offsets: take(&mut offsets, stripe.nrows()),
                    columns: take(&mut columns, count),
                    values: {
                        let length = if values.is_empty() { 0 } else { count };
                        take(&mut values, length)
                    },
                };
                parts.push(part);
                before += count;
            }
        }
        parts.into_par_iter().for_each(Part::fill);
        for (cursors, ends) in cursors.iter_mut().zip(ends) {
            *cursors = ends;
        }
        Ok(Self {
            offsets,
            columns,
            values: stored,
        })
    }

    /// Adds this segment's entries to its columns' statistics, in row order.
    fn add_statistics(&self, sums: &mut [f64]) {
        for (place, &column) in self.columns.iter().enumerate() {
            let value = self
                .values
                .as_ref()
                .map_or(1.0, |values| f64::from(values[place]));
            let first = STATISTICS * column.index();
            let sums = &mut sums[first..first + STATISTICS];
            sums[0] += 1.0;
            sums[1] += value;
            sums[2] += value.abs();
            sums[3] += value * value;
        }
    }
}

/// Where each row's entries left of column `end` stop.
fn row_ends(stripe: &Stripe, cursors: &[u32], end: u64, last: bool) -> Vec<u32> {
    let rows = cursors.iter().zip(&stripe.starts[1..]);
    if last {
        return rows.map(|(_, &row_end)| row_end).collect();
    }
    rows.map(|(&from, &row_end)| {
        let row = &stripe.cols[from as usize..row_end as usize];
        // Most rows have few entries in a segment: look near the front first.
        let near = row.iter().take(8).position(|&col| u64::from(col) >= end);
        let taken = near.unwrap_or_else(|| row.partition_point(|&col| u64::from(col) < end));
        from + taken as u32
    })
    .collect()
}

fn take<'a, T>(rest: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(count);
    *rest = tail;
    head
}

/// One stripe's share of a segment.
struct Part<'a, C> {
    stripe: &'a Stripe,
    from: &'a [u32],
    to: &'a [u32],
    first: u32,
    before: i32,
    offsets: &'a mut [i32],
    columns: &'a mut [C],
    values: &'a mut [f32],
}

impl<C: StoredColumn> Part<'_, C> {
    fn fill(self) {
        let mut next = 0;
        let rows = self.from.iter().zip(self.to).zip(self.offsets);
        for ((&from, &to), offset) in rows {
            let span = from as usize..to as usize;
            let target = next..next + span.len();
            let cols = &self.stripe.cols[span.clone()];
            for (column, &col) in self.columns[target.clone()].iter_mut().zip(cols) {
                *column = C::narrow(col - self.first);
            }
            if !self.values.is_empty() {
                match &self.stripe.values {
                    Some(values) => self.values[target].copy_from_slice(&values[span]),
                    None => self.values[target].fill(1.0),
                }
            }
            next += to as usize - from as usize;
            *offset = self.before + next as i32;
        }
    }
}
