//! Gathers the entries of a block from all pieces and sorts them into stripes.
//!
//! Two stable counting sorts: by stripe over everything, in parallel over chunks of the input, then
//! by row within each stripe, which fits the cache. Short rows are then sorted by comparison, long
//! ones by digits.

use std::ops::Range;

use rankmill_common::input::Duplicates;
use rayon::prelude::*;

use super::rows::{RowError, RowSink, RowTransform};
use super::{Stripe, rows_shift, shares, sort};

/// Entries sorted by one task.
const CHUNK: usize = 1 << 18;

/// Some entries of the block, in file order. Rows count from the block's first.
#[derive(Clone, Copy)]
pub(crate) struct Entries<'a> {
    pub(crate) rows: &'a [u32],
    pub(crate) cols: &'a [u32],
    /// Absent where all are one.
    pub(crate) values: Option<&'a [f32]>,
    /// What rows and columns stand for, where they are codes; then other blocks' entries may be
    /// among them.
    pub(crate) codes: Option<Codes<'a>>,
}

/// What codes stand for.
#[derive(Clone, Copy)]
pub(crate) struct Codes<'a> {
    /// The row of every row code.
    pub(crate) rows: &'a [u32],
    /// The column of every column code; absent where codes are columns.
    pub(crate) cols: Option<&'a [u32]>,
    /// Rows of the block.
    pub(crate) first_row: u32,
    pub(crate) nrows: u32,
}

impl Codes<'_> {
    /// The row within the block.
    fn row(&self, code: u32) -> Option<u32> {
        let row = self.rows[code as usize].wrapping_sub(self.first_row);
        (row < self.nrows).then_some(row)
    }
}

impl Entries<'_> {
    /// Calls `visit` with the row of each entry of the block.
    fn each_row(&self, mut visit: impl FnMut(u32)) {
        match self.codes {
            None => self.rows.iter().for_each(|&row| visit(row)),
            Some(codes) => {
                let rows = self.rows.iter().filter_map(|&row| codes.row(row));
                rows.for_each(visit);
            }
        }
    }

    /// Calls `visit` with the place among these of each entry of the block, its row and its column.
    fn each(&self, mut visit: impl FnMut(usize, u32, u32)) {
        let entries = self.rows.iter().zip(self.cols).enumerate();
        match self.codes {
            None => entries.for_each(|(place, (&row, &col))| visit(place, row, col)),
            Some(codes) => {
                let of_block = entries.filter_map(|(place, (&row, &col))| {
                    codes.row(row).map(|row| (place, row, col))
                });
                match codes.cols {
                    None => of_block.for_each(|(place, row, col)| visit(place, row, col)),
                    Some(cols) => {
                        of_block
                            .for_each(|(place, row, col)| visit(place, row, cols[col as usize]));
                    }
                }
            }
        }
    }
}

/// What becomes of the entries.
pub(crate) struct Recipe<'a> {
    /// Row of the matrix that is the block's first.
    pub(crate) first_row: u64,
    pub(crate) nrows: usize,
    /// Entries, at most: how many stripes there are.
    pub(crate) entries: u64,
    pub(crate) duplicates: Duplicates,
    pub(crate) transforms: &'a [RowTransform<'a>],
}

/// Makes stripes of all entries; all have values or none has.
///
/// Every row must be below `recipe.nrows`.
pub(crate) fn stripes(
    sources: &[Entries<'_>],
    recipe: &Recipe<'_>,
) -> Result<Vec<Stripe>, RowError> {
    let shift = rows_shift(recipe.nrows as u64, recipe.entries);
    let count = recipe.nrows.div_ceil(1 << shift);
    let chunks = chunks(sources);
    let has_values = sources.iter().any(|source| source.values.is_some());
    let sorted = sort_by_stripe(&chunks, shift, count, has_values);
    let stripes: Vec<Result<Stripe, RowError>> = (0..count)
        .into_par_iter()
        .map(|stripe| {
            let first = stripe << shift;
            let nrows = (recipe.nrows - first).min(1 << shift);
            let span = sorted.starts[stripe]..sorted.starts[stripe + 1];
            let keys = &sorted.keys[span.clone()];
            if has_values {
                valued_stripe(keys, &sorted.values[span], first, nrows, recipe)
            } else {
                ones_stripe(keys, first, nrows, recipe)
            }
        })
        .collect();
    // In order, so that the same error is found whatever the threads do.
    stripes.into_iter().collect()
}

fn chunks<'a>(sources: &[Entries<'a>]) -> Vec<Entries<'a>> {
    let cut = |source: &Entries<'a>| {
        let source = *source;
        let spans = (0..source.rows.len()).step_by(CHUNK);
        spans.map(move |start| {
            let span = start..(start + CHUNK).min(source.rows.len());
            Entries {
                rows: &source.rows[span.clone()],
                cols: &source.cols[span.clone()],
                values: source.values.map(|values| &values[span]),
                codes: source.codes,
            }
        })
    };
    sources.iter().flat_map(cut).collect()
}

/// Entries by stripe, within a stripe in file order.
struct Sorted {
    /// Row in the upper half, column in the lower.
    keys: Vec<u64>,
    values: Vec<f32>,
    starts: Vec<usize>,
}

fn sort_by_stripe(chunks: &[Entries<'_>], shift: u32, stripes: usize, has_values: bool) -> Sorted {
    let counts: Vec<Vec<usize>> = chunks
        .par_iter()
        .map(|chunk| {
            let mut counts = vec![0; stripes];
            chunk.each_row(|row| counts[(row >> shift) as usize] += 1);
            counts
        })
        .collect();
    let mut starts = vec![0; stripes + 1];
    for stripe in 0..stripes {
        let count: usize = counts.iter().map(|counts| counts[stripe]).sum();
        starts[stripe + 1] = starts[stripe] + count;
    }
    let total = starts[stripes];
    let mut keys = vec![0u64; total];
    let mut values = vec![0f32; if has_values { total } else { 0 }];
    let key_parts = shares(&mut keys, &counts, stripes);
    let value_parts = if has_values {
        shares(&mut values, &counts, stripes)
    } else {
        chunks.iter().map(|_| Vec::new()).collect()
    };
    chunks.par_iter().zip(key_parts).zip(value_parts).for_each(
        |((chunk, mut keys), mut values)| {
            let mut next = vec![0usize; stripes];
            chunk.each(|place, row, col| {
                let stripe = (row >> shift) as usize;
                let target = next[stripe];
                next[stripe] += 1;
                keys[stripe][target] = u64::from(row) << 32 | u64::from(col);
                if has_values {
                    values[stripe][target] = chunk.values.map_or(1.0, |values| values[place]);
                }
            });
        },
    );
    Sorted {
        keys,
        values,
        starts,
    }
}

/// Where each row starts in a stripe sorted by row.
fn row_starts(keys: &[u64], first: usize, nrows: usize) -> Vec<u32> {
    let mut starts = vec![0u32; nrows + 1];
    for &key in keys {
        starts[(key >> 32) as usize - first + 1] += 1;
    }
    for row in 0..nrows {
        starts[row + 1] += starts[row];
    }
    starts
}

fn row_span(starts: &[u32], row: usize) -> Range<usize> {
    starts[row] as usize..starts[row + 1] as usize
}

fn valued_stripe(
    keys: &[u64],
    values: &[f32],
    first: usize,
    nrows: usize,
    recipe: &Recipe<'_>,
) -> Result<Stripe, RowError> {
    let starts = row_starts(keys, first, nrows);
    let mut next = starts.clone();
    let mut entries = vec![(0u32, 0f32); keys.len()];
    for (&key, &value) in keys.iter().zip(values) {
        let slot = &mut next[(key >> 32) as usize - first];
        entries[*slot as usize] = (key as u32, value);
        *slot += 1;
    }
    drop(next);
    let mut spare = Vec::new();
    let first_row = recipe.first_row + first as u64;
    let mut sink = RowSink::new(first_row, nrows, keys.len(), recipe.transforms);
    for row in 0..nrows {
        let row = &mut entries[row_span(&starts, row)];
        sort::by_column(row, &mut spare);
        let row = row.iter().copied();
        match recipe.transforms {
            [] => sink.push_as_it_is(row, recipe.duplicates)?,
            _ => sink.push(row, recipe.duplicates)?,
        }
    }
    Ok(sink.finish())
}

fn ones_stripe(
    keys: &[u64],
    first: usize,
    nrows: usize,
    recipe: &Recipe<'_>,
) -> Result<Stripe, RowError> {
    let starts = row_starts(keys, first, nrows);
    let mut next = starts.clone();
    let mut cols = vec![0u32; keys.len()];
    for &key in keys {
        let slot = &mut next[(key >> 32) as usize - first];
        cols[*slot as usize] = key as u32;
        *slot += 1;
    }
    drop(next);
    let mut distinct = recipe.transforms.is_empty();
    let mut spare = Vec::new();
    for row in 0..nrows {
        let row = &mut cols[row_span(&starts, row)];
        sort::by_column(row, &mut spare);
        distinct &= row.windows(2).all(|pair| pair[0] != pair[1]);
    }
    if distinct {
        return Ok(Stripe {
            starts,
            cols,
            values: None,
        });
    }
    let first_row = recipe.first_row + first as u64;
    let mut sink = RowSink::new(first_row, nrows, keys.len(), recipe.transforms);
    for row in 0..nrows {
        let row = cols[row_span(&starts, row)].iter().map(|&col| (col, 1.0));
        match recipe.transforms {
            [] => sink.push_as_it_is(row, recipe.duplicates)?,
            _ => sink.push(row, recipe.duplicates)?,
        }
    }
    Ok(sink.finish())
}
