//! Rows of a tall matrix where they lie: in pieces, of either precision, never copied as a whole.

use super::widen;
use crate::simd::vectorized;
use std::ops::Range;

/// Entries of consecutive rows, row-major.
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// Of 32 bits.
    Single(&'a [f32]),
    /// Of 64 bits.
    Double(&'a [f64]),
}

impl<'a> Entries<'a> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(entries) => entries.len(),
            Self::Double(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries `range`.
    pub fn slice(&self, range: Range<usize>) -> Entries<'a> {
        match self {
            Self::Single(entries) => Self::Single(&entries[range]),
            Self::Double(entries) => Self::Double(&entries[range]),
        }
    }
}

/// Consecutive rows of `ncols` numbers each, in pieces that follow one another.
#[derive(Clone, Debug)]
pub struct RowsView<'a> {
    ncols: usize,
    /// The first row of each piece, and its entries.
    pieces: Vec<(usize, Entries<'a>)>,
    nrows: usize,
}

impl<'a> RowsView<'a> {
    /// No rows yet.
    pub fn new(ncols: usize) -> Self {
        Self {
            ncols,
            pieces: Vec::new(),
            nrows: 0,
        }
    }

    /// Appends whole rows.
    ///
    /// # Panics
    /// If `entries` are no whole rows.
    pub fn push(&mut self, entries: Entries<'a>) {
        if self.ncols == 0 {
            return;
        }
        assert_eq!(entries.len() % self.ncols, 0, "whole rows");
        if !entries.is_empty() {
            self.pieces.push((self.nrows, entries));
            self.nrows += entries.len() / self.ncols;
        }
    }

    /// Number of rows.
    pub fn nrows(&self) -> usize {
        self.nrows
    }

    /// Number of columns.
    pub fn ncols(&self) -> usize {
        self.ncols
    }

    /// Calls `visit` with the place in `rows` and the entries of each piece of them.
    fn for_each_piece(&self, rows: &Range<usize>, mut visit: impl FnMut(usize, Entries<'a>)) {
        let l = self.ncols;
        let after = self
            .pieces
            .partition_point(|(first, _)| *first <= rows.start);
        for (first, entries) in &self.pieces[after.saturating_sub(1)..] {
            let end = first + entries.len() / l;
            let (from, to) = (rows.start.max(*first), rows.end.min(end));
            if from >= to {
                break;
            }
            let part = entries.slice((from - first) * l..(to - first) * l);
            visit((from - rows.start) * l, part);
        }
    }

    /// Rows `rows` in f64.
    pub(super) fn copy_wide(&self, rows: &Range<usize>, target: &mut [f64]) {
        self.for_each_piece(rows, |at, entries| match entries {
            Entries::Single(entries) => widen(entries, &mut target[at..at + entries.len()]),
            Entries::Double(entries) => {
                target[at..at + entries.len()].copy_from_slice(entries);
            }
        });
    }

    /// Rows `rows` in f32: where they lie, if they lie so, and otherwise copied to `target`.
    pub(super) fn narrow<'b>(&self, rows: &Range<usize>, target: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        let mut in_place = None;
        self.for_each_piece(rows, |at, entries| match entries {
            Entries::Single(entries) if entries.len() == rows.len() * self.ncols => {
                in_place = Some(entries);
            }
            Entries::Single(entries) => {
                target[at..at + entries.len()].copy_from_slice(entries);
            }
            Entries::Double(entries) => narrow(entries, &mut target[at..at + entries.len()]),
        });
        match in_place {
            Some(entries) => entries,
            None => &target[..rows.len() * self.ncols],
        }
    }

    /// acc += scale · rows `rows`.
    pub(super) fn add_scaled(&self, rows: &Range<usize>, scale: f64, acc: &mut [f64]) {
        self.for_each_piece(rows, |at, entries| {
            let acc = &mut acc[at..at + entries.len()];
            vectorized(
                #[inline(always)]
                || match entries {
                    Entries::Single(entries) => {
                        for (acc, &x) in acc.iter_mut().zip(entries) {
                            *acc = scale.mul_add(f64::from(x), *acc);
                        }
                    }
                    Entries::Double(entries) => {
                        for (acc, &x) in acc.iter_mut().zip(entries) {
                            *acc = scale.mul_add(x, *acc);
                        }
                    }
                },
            );
        });
    }
}

/// `narrow` = `wide` in f32.
pub(super) fn narrow(wide: &[f64], narrow: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (narrow, &wide) in narrow.iter_mut().zip(wide) {
                *narrow = wide as f32;
            }
        },
    );
}
