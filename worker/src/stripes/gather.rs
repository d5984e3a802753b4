//! Gathers the entries of a block from all pieces and sorts them into stripes.
//!
//! Two stable counting sorts: by stripe over everything, in parallel over chunks of the input, then
//! by row within each stripe, which fits the cache. Where entries come in buckets of few rows these
//! are the stripes, and the first sort goes. Short rows are then sorted by comparison, long ones by
//! digits.

use std::ops::Range;

use rankmill_common::input::Duplicates;
use rayon::prelude::*;

use super::rows::{RowError, RowSink, RowTransform};
use super::{STRIPE_ENTRIES, Stripe, rows_shift, shares, sort};

/// Entries sorted by one task.
const CHUNK: usize = 1 << 18;
/// Entries of the largest bucket that is a stripe as it is: a few MiB.
const LARGEST_BUCKET: usize = 1 << 20;

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

/// Entries of some consecutive rows of the block.
pub(crate) struct Bucket<'a> {
    /// The rows, counted from the block's first.
    pub(crate) rows: Range<usize>,
    /// The entries, in file order within each row.
    pub(crate) parts: Vec<Entries<'a>>,
}

/// Entries of the block, in file order within each row.
pub(crate) enum Sources<'a> {
    /// Of any rows.
    Mixed(Vec<Entries<'a>>),
    /// By rows: all of the block's, one bucket after the other.
    ByRows(Vec<Bucket<'a>>),
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
pub(crate) fn stripes(sources: Sources<'_>, recipe: &Recipe<'_>) -> Result<Vec<Stripe>, RowError> {
    match sources {
        Sources::ByRows(buckets) if buckets.iter().all(Bucket::fits_a_stripe) => {
            each_stripe(&join(buckets), recipe)
        }
        Sources::ByRows(buckets) => {
            let parts = buckets.into_iter().flat_map(|bucket| bucket.parts);
            stripes(Sources::Mixed(parts.collect()), recipe)
        }
        Sources::Mixed(sources) => {
            let shift = rows_shift(recipe.nrows as u64, recipe.entries);
            let sorted = sort_by_stripe(&chunks(&sources), shift, recipe.nrows);
            each_stripe(&sorted.buckets(shift, recipe.nrows), recipe)
        }
    }
}

fn each_stripe(buckets: &[Bucket<'_>], recipe: &Recipe<'_>) -> Result<Vec<Stripe>, RowError> {
    let has_values = buckets.iter().any(Bucket::has_values);
    let stripe = |bucket| {
        if has_values {
            valued_stripe(bucket, recipe)
        } else {
            ones_stripe(bucket, recipe)
        }
    };
    let stripes: Vec<_> = buckets.par_iter().map(stripe).collect();
    // In order, so that the same error is found whatever the threads do.
    stripes.into_iter().collect()
}

/// Joins neighbours that are less than a stripe.
fn join(buckets: Vec<Bucket<'_>>) -> Vec<Bucket<'_>> {
    let mut joined: Vec<Bucket<'_>> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        match joined.last_mut() {
            Some(last) if last.entries() + bucket.entries() <= STRIPE_ENTRIES => {
                last.rows.end = bucket.rows.end;
                last.parts.extend(bucket.parts);
            }
            Some(_) | None => joined.push(bucket),
        }
    }
    joined
}

impl Bucket<'_> {
    /// How many there are, those of other blocks among them.
    fn entries(&self) -> usize {
        self.parts.iter().map(|part| part.rows.len()).sum()
    }

    fn fits_a_stripe(&self) -> bool {
        self.entries() <= LARGEST_BUCKET
    }

    fn has_values(&self) -> bool {
        self.parts.iter().any(|part| part.values.is_some())
    }

    /// Where each row starts once entries are sorted by row.
    fn row_starts(&self) -> Vec<u32> {
        let mut starts = vec![0u32; self.rows.len() + 1];
        for part in &self.parts {
            part.each_row(|row| starts[row as usize - self.rows.start + 1] += 1);
        }
        for row in 0..self.rows.len() {
            starts[row + 1] += starts[row];
        }
        starts
    }

    /// The entries sorted by row, made of a column and the value at a place of a part.
    fn by_row<E: Copy + Default>(
        &self,
        starts: &[u32],
        entry: impl Fn(&Entries<'_>, usize, u32) -> E,
    ) -> Vec<E> {
        let mut next = starts.to_vec();
        let mut sorted = vec![E::default(); starts.last().map_or(0, |&end| end as usize)];
        for part in &self.parts {
            part.each(|place, row, col| {
                let slot = &mut next[row as usize - self.rows.start];
                sorted[*slot as usize] = entry(part, place, col);
                *slot += 1;
            });
        }
        sorted
    }
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
    rows: Vec<u32>,
    cols: Vec<u32>,
    /// Absent where all are one.
    values: Option<Vec<f32>>,
    starts: Vec<usize>,
}

impl Sorted {
    fn buckets(&self, shift: u32, nrows: usize) -> Vec<Bucket<'_>> {
        let spans = self.starts.windows(2).map(|pair| pair[0]..pair[1]);
        let bucket = |(stripe, span): (usize, Range<usize>)| Bucket {
            rows: stripe << shift..((stripe + 1) << shift).min(nrows),
            parts: vec![Entries {
                rows: &self.rows[span.clone()],
                cols: &self.cols[span.clone()],
                values: self.values.as_ref().map(|values| &values[span]),
                codes: None,
            }],
        };
        spans.enumerate().map(bucket).collect()
    }
}

fn sort_by_stripe(chunks: &[Entries<'_>], shift: u32, nrows: usize) -> Sorted {
    let stripes = nrows.div_ceil(1 << shift);
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
    let has_values = chunks.iter().any(|chunk| chunk.values.is_some());
    let (mut rows, mut cols) = (vec![0u32; total], vec![0u32; total]);
    let mut values = has_values.then(|| vec![0f32; total]);
    let row_parts = shares(&mut rows, &counts, stripes);
    let col_parts = shares(&mut cols, &counts, stripes);
    let value_parts = match &mut values {
        Some(values) => shares(values, &counts, stripes),
        None => chunks.iter().map(|_| Vec::new()).collect(),
    };
    let parts = row_parts.into_iter().zip(col_parts).zip(value_parts);
    let parts: Vec<_> = parts.collect();
    chunks
        .par_iter()
        .zip(parts)
        .for_each(|(chunk, ((mut rows, mut cols), mut values))| {
            let mut next = vec![0usize; stripes];
            chunk.each(|place, row, col| {
                let stripe = (row >> shift) as usize;
                let target = next[stripe];
                next[stripe] += 1;
                rows[stripe][target] = row;
                cols[stripe][target] = col;
                if has_values {
                    values[stripe][target] = chunk.values.map_or(1.0, |values| values[place]);
                }
            });
        });
    Sorted {
        rows,
        cols,
        values,
        starts,
    }
}

fn row_span(starts: &[u32], row: usize) -> Range<usize> {
    starts[row] as usize..starts[row + 1] as usize
}

fn valued_stripe(bucket: &Bucket<'_>, recipe: &Recipe<'_>) -> Result<Stripe, RowError> {
    let starts = bucket.row_starts();
    let mut entries = bucket.by_row(&starts, |part, place, col| {
        (col, part.values.map_or(1.0, |values| values[place]))
    });
    let mut spare = Vec::new();
    let mut sink = sink(bucket, entries.len(), recipe);
    for row in 0..bucket.rows.len() {
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

fn ones_stripe(bucket: &Bucket<'_>, recipe: &Recipe<'_>) -> Result<Stripe, RowError> {
    let starts = bucket.row_starts();
    let mut cols = bucket.by_row(&starts, |_, _, col| col);
    let mut distinct = recipe.transforms.is_empty();
    let mut spare = Vec::new();
    for row in 0..bucket.rows.len() {
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
    let mut sink = sink(bucket, cols.len(), recipe);
    for row in 0..bucket.rows.len() {
        let row = cols[row_span(&starts, row)].iter().map(|&col| (col, 1.0));
        match recipe.transforms {
            [] => sink.push_as_it_is(row, recipe.duplicates)?,
            _ => sink.push(row, recipe.duplicates)?,
        }
    }
    Ok(sink.finish())
}

fn sink<'a>(bucket: &Bucket<'_>, entries: usize, recipe: &Recipe<'a>) -> RowSink<'a> {
    let first_row = recipe.first_row + bucket.rows.start as u64;
    RowSink::new(first_row, bucket.rows.len(), entries, recipe.transforms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Row, column, and as value its place.
    type Triplets = [(u32, u32)];

    struct Columns {
        rows: Vec<u32>,
        cols: Vec<u32>,
        values: Vec<f32>,
    }

    /// The entries of some rows in pieces of up to `piece` entries of all.
    fn pieces(entries: &Triplets, piece: usize, rows: &Range<usize>) -> Vec<Columns> {
        let pieces = (0..).zip(entries).collect::<Vec<(u16, _)>>();
        let of_piece = |entries: &[(u16, &(u32, u32))]| {
            let inside = entries
                .iter()
                .filter(|(_, (row, _))| rows.contains(&(*row as usize)));
            Columns {
                rows: inside.clone().map(|(_, (row, _))| *row).collect(),
                cols: inside.clone().map(|(_, (_, col))| *col).collect(),
                values: inside.map(|(place, _)| f32::from(*place)).collect(),
            }
        };
        pieces.chunks(piece).map(of_piece).collect()
    }

    impl Columns {
        fn entries(&self) -> Entries<'_> {
            Entries {
                rows: &self.rows,
                cols: &self.cols,
                values: Some(&self.values),
                codes: None,
            }
        }
    }

    fn parts(columns: &[Columns]) -> Vec<Entries<'_>> {
        columns.iter().map(Columns::entries).collect()
    }

    fn recipe(nrows: usize, entries: usize) -> Recipe<'static> {
        Recipe {
            first_row: 0,
            nrows,
            entries: entries as u64,
            duplicates: Duplicates::Last,
            transforms: &[],
        }
    }

    fn rows(stripes: &[Stripe]) -> Vec<Vec<(u32, f32)>> {
        let row = |stripe: &Stripe, row| {
            let span = row_span(&stripe.starts, row);
            let values = stripe.values.as_ref().map(|values| &values[span.clone()]);
            let cols = stripe.cols[span].iter().copied();
            cols.zip(values.unwrap_or_default().iter().copied())
                .collect()
        };
        let rows = stripes
            .iter()
            .map(|stripe| (0..stripe.nrows()).map(move |at| row(stripe, at)));
        rows.flatten().collect()
    }

    proptest! {
        #[test]
        fn buckets_of_rows_make_the_rows_that_mixed_entries_make(
            entries in prop::collection::vec((0u32..30, 0u32..20), 0..400),
            piece in 1usize..200,
            cuts in prop::collection::btree_set(1usize..30, 0..5),
        ) {
            let recipe = recipe(30, entries.len());
            let all = pieces(&entries, piece, &(0..30));
            let mixed = stripes(Sources::Mixed(parts(&all)), &recipe).unwrap();
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let ranges = starts.zip(cuts.iter().copied().chain([30]));
            let owned: Vec<_> = ranges
                .map(|(start, end)| (start..end, pieces(&entries, piece, &(start..end))))
                .collect();
            let buckets = owned.iter().map(|(rows, columns)| Bucket {
                rows: rows.clone(),
                parts: parts(columns),
            });
            let by_rows = stripes(Sources::ByRows(buckets.collect()), &recipe).unwrap();
            prop_assert_eq!(rows(&by_rows), rows(&mixed));
        }
    }

    #[test]
    fn a_bucket_of_too_many_entries_becomes_several_stripes() {
        let entries = LARGEST_BUCKET + 1;
        let columns = [0, 8].map(|first| Columns {
            rows: (0..8)
                .cycle()
                .map(|row| first + row)
                .take(entries)
                .collect(),
            cols: (0..64).cycle().take(entries).collect(),
            values: vec![1.0; entries],
        });
        let buckets = columns
            .iter()
            .zip([0..8, 8..16])
            .map(|(columns, rows)| Bucket {
                rows,
                parts: parts(std::slice::from_ref(columns)),
            });
        let made = stripes(Sources::ByRows(buckets.collect()), &recipe(16, 2 * entries)).unwrap();
        assert_eq!(made.len(), 16);
        assert!(rows(&made).iter().all(|row| row.len() == 8));
    }
}
