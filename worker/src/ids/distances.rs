//! One column of integer ids in a range that is known before: each becomes its distance from the
//! lowest id when it is read, so that ids as they were decoded need no memory.

use arrow::array::{ArrayRef, AsArray};
use rankmill_common::table::IdRange;
use rankmill_common::{Error, Result};

use super::column::drop_items;
use super::integers::Integer;
use super::with_integer_type;

/// What stands for an id outside the range; no narrow range is so wide.
const OUTSIDE: u32 = u32::MAX;

/// A column being gathered.
pub(crate) struct Distances {
    range: IdRange,
    gathered: Vec<u32>,
}

impl Distances {
    /// An empty column, with room for `rows` ids.
    ///
    /// # Errors
    ///
    /// `Internal` for a range of 2³² − 1 ids or more.
    pub(crate) fn new(range: IdRange, rows: usize) -> Result<Self> {
        if range.span >= u64::from(OUTSIDE) {
            let message = format!("distances within {} ids", range.span);
            return Err(Error::internal(message));
        }
        Ok(Self {
            range,
            gathered: Vec::with_capacity(rows),
        })
    }

    /// Ids in the range.
    pub(crate) fn span(&self) -> u64 {
        self.range.span
    }

    /// Appends a batch. Nulls are appended as some distance or other, perhaps outside the range;
    /// the caller drops those rows.
    pub(crate) fn push(&mut self, array: &ArrayRef) -> Result<()> {
        let IdRange { lowest, span } = self.range;
        with_integer_type!(array.data_type(), T => {
            let distances = array.as_primitive::<T>().values().iter().map(|id| {
                let distance = id.key().wrapping_sub(lowest);
                if distance < span { distance as u32 } else { OUTSIDE }
            });
            self.gathered.extend(distances);
            Ok(())
        }, Err(Error::internal(format!("distances between {}", array.data_type()))))
    }

    /// Drops some rows, given ascending.
    pub(crate) fn drop_rows(&mut self, dropped: &[u32]) {
        drop_items(&mut self.gathered, dropped);
    }

    /// The distances; errs with the row of the first id outside the range.
    pub(crate) fn finish(self) -> std::result::Result<Vec<u32>, usize> {
        // The largest is found in vectors, its place is not, and is seldom asked for.
        if self.gathered.iter().max() != Some(&OUTSIDE) {
            return Ok(self.gathered);
        }
        let outside = |&distance: &u32| distance == OUTSIDE;
        Err(self.gathered.iter().position(outside).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn column(ids: &[&[i64]]) -> Distances {
        let range = IdRange::between((-3i64).key(), 5i64.key());
        let mut column = Distances::new(range, 0).unwrap();
        for batch in ids {
            let array: ArrayRef = Arc::new(Int64Array::from(batch.to_vec()));
            column.push(&array).unwrap();
        }
        column
    }

    #[test]
    fn distances_count_from_the_lowest_id() {
        assert_eq!(column(&[&[-3, 5], &[0]]).finish(), Ok(vec![0, 8, 3]));
        assert_eq!(column(&[]).finish(), Ok(vec![]));
    }

    #[test]
    fn the_first_row_outside_is_named_unless_it_was_dropped() {
        let mut column = column(&[&[0, -4], &[6, 1, i64::MIN]]);
        column.drop_rows(&[1]);
        assert_eq!(column.finish(), Err(1));
    }

    #[test]
    fn rows_outside_may_be_dropped() {
        let mut column = column(&[&[0, -4], &[6, 1, i64::MIN]]);
        column.drop_rows(&[1, 2, 4]);
        assert_eq!(column.finish(), Ok(vec![3, 4]));
    }

    #[test]
    fn a_range_that_leaves_no_distance_to_spare_is_refused() {
        assert!(Distances::new(IdRange::between(0, u64::from(u32::MAX) - 1), 0).is_err());
    }
}
