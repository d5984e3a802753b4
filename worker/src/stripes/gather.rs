//! Gathers the entries of a block from all pieces and sorts them into stripes.
//!
//! Entries come in buckets of consecutive rows. A bucket that fits the cache is a stripe as it is;
//! a larger one is cut into stripes by a stable counting sort, in parallel over chunks of it. A
//! second such sort, by row, is within each stripe. Short rows are then sorted by comparison, long
//! ones by digits.

use std::ops::Range;

use rankmill_common::input::Duplicates;
use rayon::prelude::*;

use super::bucket::bucket_sizes;
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

/// What becomes of the entries.
pub(crate) struct Recipe<'a> {
    /// Row of the matrix that is the block's first.
    pub(crate) first_row: u64,
    pub(crate) duplicates: Duplicates,
    pub(crate) transforms: &'a [RowTransform<'a>],
}

/// Makes stripes of all rows of the block, of one bucket after the other; all entries have values
/// or none has.
///
/// Every entry must be in the rows of its bucket.
pub(crate) fn stripes(
    buckets: Vec<Bucket<'_>>,
    recipe: &Recipe<'_>,
) -> Result<Vec<Stripe>, RowError> {
    let buckets = join(buckets);
    let cut = |bucket: &Bucket<'_>| (!bucket.fits_a_stripe()).then(|| bucket.sort_by_stripe());
    let sorted: Vec<Option<Sorted>> = buckets.iter().map(cut).collect();
    let mut stripes = Vec::with_capacity(buckets.len());
    for (bucket, sorted) in buckets.into_iter().zip(&sorted) {
        match sorted {
            Some(sorted) => stripes.extend(sorted.buckets()),
            None => stripes.push(bucket),
        }
    }
    each_stripe(&stripes, recipe)
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

fn chunks<'a>(parts: &[Entries<'a>]) -> Vec<Entries<'a>> {
    let cut = |part: &Entries<'a>| {
        let part = *part;
        let spans = (0..part.rows.len()).step_by(CHUNK);
        spans.map(move |start| {
            let span = start..(start + CHUNK).min(part.rows.len());
            Entries {
                rows: &part.rows[span.clone()],
                cols: &part.cols[span.clone()],
                values: part.values.map(|values| &values[span]),
                codes: part.codes,
            }
        })
    };
    parts.iter().flat_map(cut).collect()
}

/// Entries by stripe, within a stripe in file order.
struct Sorted {
    /// Where the rows are that the entries are of.
    within: Range<usize>,
    /// Binary logarithm of the rows in a stripe.
    shift: u32,
    rows: Vec<u32>,
    cols: Vec<u32>,
    /// Absent where all are one.
    values: Option<Vec<f32>>,
    starts: Vec<usize>,
}

impl Sorted {
    fn buckets(&self) -> impl Iterator<Item = Bucket<'_>> {
        let spans = self.starts.windows(2).map(|pair| pair[0]..pair[1]);
        spans.enumerate().map(|(stripe, span)| {
            let first = self.within.start + (stripe << self.shift);
            Bucket {
                rows: first..(first + (1 << self.shift)).min(self.within.end),
                parts: vec![Entries {
                    rows: &self.rows[span.clone()],
                    cols: &self.cols[span.clone()],
                    values: self.values.as_ref().map(|values| &values[span]),
                    codes: None,
                }],
            }
        })
    }
}

impl Bucket<'_> {
    fn sort_by_stripe(&self) -> Sorted {
        let shift = rows_shift(self.rows.len() as u64, self.entries() as u64);
        let stripes = self.rows.len().div_ceil(1 << shift);
        let stripe_of = |row: u32| (row as usize - self.rows.start) >> shift;
        let chunks = chunks(&self.parts);
        let counts: Vec<Vec<usize>> = chunks
            .par_iter()
            .map(|chunk| {
                let mut counts = vec![0; stripes];
                chunk.each_row(|row| counts[stripe_of(row)] += 1);
                counts
            })
            .collect();
        let mut starts = vec![0];
        for size in bucket_sizes(&counts, stripes) {
            starts.push(starts[starts.len() - 1] + size);
        }
        let total = starts[stripes];
        let has_values = self.has_values();
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
                    let stripe = stripe_of(row);
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
            within: self.rows.clone(),
            shift,
            rows,
            cols,
            values,
            starts,
        }
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

    const RECIPE: Recipe<'static> = Recipe {
        first_row: 0,
        duplicates: Duplicates::Last,
        transforms: &[],
    };

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
        fn buckets_of_rows_make_the_rows_that_one_bucket_makes(
            entries in prop::collection::vec((0u32..30, 0u32..20), 0..400),
            piece in 1usize..200,
            cuts in prop::collection::btree_set(1usize..30, 0..5),
        ) {
            let all = pieces(&entries, piece, &(0..30));
            let one = vec![Bucket { rows: 0..30, parts: parts(&all) }];
            let one = stripes(one, &RECIPE).unwrap();
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let ranges = starts.zip(cuts.iter().copied().chain([30]));
            let owned: Vec<_> = ranges
                .map(|(start, end)| (start..end, pieces(&entries, piece, &(start..end))))
                .collect();
            let buckets = owned.iter().map(|(rows, columns)| Bucket {
                rows: rows.clone(),
                parts: parts(columns),
            });
            // As they come where they are large.
            let apart: Vec<_> = buckets.collect();
            prop_assert_eq!(rows(&each_stripe(&apart, &RECIPE).unwrap()), rows(&one));
            // Cut into stripes.
            let sorted: Vec<_> = apart.iter().map(Bucket::sort_by_stripe).collect();
            let cut: Vec<_> = sorted.iter().flat_map(Sorted::buckets).collect();
            prop_assert_eq!(rows(&each_stripe(&cut, &RECIPE).unwrap()), rows(&one));
            // Joined.
            prop_assert_eq!(rows(&stripes(apart, &RECIPE).unwrap()), rows(&one));
        }
    }

    #[test]
    fn only_a_bucket_of_too_many_entries_becomes_several_stripes() {
        let columns =
            [(0, LARGEST_BUCKET), (8, LARGEST_BUCKET + 1)].map(|(first, entries)| Columns {
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
        let made = stripes(buckets.collect(), &RECIPE).unwrap();
        assert_eq!(made.len(), 1 + 8);
        assert!(rows(&made).iter().all(|row| row.len() == 8));
    }
}
