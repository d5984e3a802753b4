//! Distinct byte strings, numbered in order of arrival.
//!
//! They are held as Arrow's views are: sixteen bytes each, with the length in front and, of strings up
//! to twelve bytes, the whole string behind it. Such an id is hashed, compared and kept without a look
//! at any other memory.

use std::hash::BuildHasher;

use arrow::array::make_view;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Longest string that a view holds.
const INLINE: usize = 12;

/// A set of byte strings.
#[derive(Default)]
pub(super) struct Interner {
    numbers: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    /// By number.
    views: Vec<View>,
    /// Strings that no view holds, one after the other.
    long: Vec<u8>,
}

/// The length in 4 bytes, lowest first, then the string, padded with zeros, or the place in `long`
/// in the last 8.
type View = [u8; 16];

/// A number and enough of its hash to grow the table and to pass most others by.
#[derive(Clone, Copy)]
struct Slot {
    number: u32,
    hash: u32,
}

impl Interner {
    /// The number of `id`, a new one if it is new.
    pub(super) fn intern(&mut self, id: &[u8]) -> u32 {
        if id.len() <= INLINE {
            return self.intern_short(make_view(id, 0, 0).to_le_bytes());
        }
        let hash = self.hasher.hash_one(id) as u32;
        let (views, long) = (&self.views, &self.long);
        let known = |slot: &Slot| slot.hash == hash && get(views, long, slot.number) == id;
        if let Some(slot) = self.numbers.find(spread(hash), known) {
            return slot.number;
        }
        let mut view = View::default();
        view[..4].copy_from_slice(&(id.len() as u32).to_le_bytes());
        view[8..].copy_from_slice(&(self.long.len() as u64).to_le_bytes());
        self.long.extend_from_slice(id);
        self.insert(hash, view)
    }

    /// The number of an id given as an Arrow view, `id` where that does not hold it.
    pub(super) fn intern_view<'a>(&mut self, view: u128, id: impl FnOnce() -> &'a [u8]) -> u32 {
        if view as u32 as usize <= INLINE {
            self.intern_short(view.to_le_bytes())
        } else {
            self.intern(id())
        }
    }

    #[inline]
    fn intern_short(&mut self, view: View) -> u32 {
        let hash = self.hasher.hash_one(u128::from_le_bytes(view)) as u32;
        let views = &self.views;
        let known = |slot: &Slot| slot.hash == hash && views[slot.number as usize] == view;
        match self.numbers.find(spread(hash), known) {
            Some(slot) => slot.number,
            None => self.insert(hash, view),
        }
    }

    fn insert(&mut self, hash: u32, view: View) -> u32 {
        let number = self.views.len() as u32;
        self.views.push(view);
        let slot = Slot { number, hash };
        self.numbers
            .insert_unique(spread(hash), slot, |slot| spread(slot.hash));
        number
    }

    /// Number of distinct strings.
    pub(super) fn len(&self) -> usize {
        self.views.len()
    }

    /// Bytes with which all strings begin.
    pub(super) fn shared_prefix(&self) -> usize {
        let Some(first) = (self.len() > 0).then(|| self.get(0)) else {
            return 0;
        };
        (1..self.len() as u32).fold(first.len(), |shared, number| {
            let pairs = first[..shared].iter().zip(self.get(number));
            pairs.take_while(|(a, b)| a == b).count()
        })
    }

    /// The string with this number.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        get(&self.views, &self.long, number)
    }
}

fn get<'a>(views: &'a [View], long: &'a [u8], number: u32) -> &'a [u8] {
    let view = &views[number as usize];
    let [l0, l1, l2, l3, .., p0, p1, p2, p3, p4, p5, p6, p7] = *view;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length <= INLINE {
        return &view[4..4 + length];
    }
    let place = u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]) as usize;
    &long[place..place + length]
}

/// The table looks at the lowest and the highest bits of a hash.
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use arrow::array::StringViewArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_strings_have_one_number_however_they_come(
            ids in prop::collection::vec("[ab\u{0}]{0,3}|[ab]{10,16}", 0..200), views in any::<bool>(),
        ) {
            let array = StringViewArray::from_iter_values(&ids);
            let mut interner = Interner::default();
            let mut numbers = HashMap::new();
            for (row, id) in ids.iter().enumerate() {
                let number = if views {
                    interner.intern_view(array.views()[row], || array.value(row).as_bytes())
                } else {
                    interner.intern(id.as_bytes())
                };
                let next = numbers.len() as u32;
                prop_assert_eq!(number, *numbers.entry(id).or_insert(next));
                prop_assert_eq!(interner.get(number), id.as_bytes());
            }
            prop_assert_eq!(interner.len(), numbers.len());
        }
    }
}
