//! Sorts the entries of a row by column, keeping the order of those of one column.

/// Rows shorter than this are sorted by comparison.
const SHORT: usize = 1 << 9;

/// Bits of one digit.
const DIGIT: u32 = 11;

/// Something with a column.
pub(super) trait Entry: Copy + Default {
    /// Its column.
    fn column(&self) -> u32;

    /// Sorts a short row.
    fn sort(row: &mut [Self]);
}

impl Entry for u32 {
    fn column(&self) -> u32 {
        *self
    }

    fn sort(row: &mut [Self]) {
        row.sort_unstable();
    }
}

impl Entry for (u32, f32) {
    fn column(&self) -> u32 {
        self.0
    }

    fn sort(row: &mut [Self]) {
        row.sort_by_key(Self::column);
    }
}

/// Sorts `row`. Long rows are sorted digit by digit, from the lowest: with columns of 22 bits each
/// entry moves twice, where comparisons would move it for every doubling of the row.
pub(super) fn by_column<E: Entry>(row: &mut [E], spare: &mut Vec<E>) {
    if row.len() < SHORT {
        E::sort(row);
        return;
    }
    let highest = row.iter().map(E::column).max().unwrap_or(0);
    let bits = u32::BITS - highest.leading_zeros();
    spare.clear();
    spare.resize(row.len(), E::default());
    for shift in (0..bits).step_by(DIGIT as usize) {
        let digit = |entry: &E| (entry.column() >> shift) as usize & ((1 << DIGIT) - 1);
        let mut next = [0u32; 1 << DIGIT];
        for entry in &*row {
            next[digit(entry)] += 1;
        }
        let mut start = 0;
        for slot in &mut next {
            start += std::mem::replace(slot, start);
        }
        for entry in &*row {
            let slot = &mut next[digit(entry)];
            spare[*slot as usize] = *entry;
            *slot += 1;
        }
        row.copy_from_slice(spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_of_any_length_are_sorted_and_equal_columns_keep_their_order(
            cols in prop::collection::vec(prop_oneof![0u32..40, 0u32..5_000_000, 0u32..], 0..2_000),
        ) {
            let mut row: Vec<(u32, f32)> = (0u16..)
                .zip(&cols)
                .map(|(place, &col)| (col, f32::from(place)))
                .collect();
            let mut expected = row.clone();
            expected.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            by_column(&mut row, &mut Vec::new());
            prop_assert_eq!(row, expected);
        }
    }
}
