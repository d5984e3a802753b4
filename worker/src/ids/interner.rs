//! Distinct byte strings, numbered in order of arrival.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A set of byte strings in one arena.
#[derive(Default)]
pub(super) struct Interner {
    numbers: HashTable<Slot>,
    hasher: DefaultHashBuilder,
    bytes: Vec<u8>,
    /// Where each string ends in `bytes`.
    ends: Vec<usize>,
}

/// A number and enough of its hash to grow the table and to pass most others by.
#[derive(Clone, Copy)]
struct Slot {
    number: u32,
    hash: u32,
}

impl Interner {
    /// The number of `id`, a new one if it is new.
    pub(super) fn intern(&mut self, id: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(id);
        let short = hash as u32;
        let (bytes, ends) = (&self.bytes, &self.ends);
        let found = self.numbers.find(spread(short), |slot| {
            slot.hash == short && get(bytes, ends, slot.number) == id
        });
        if let Some(slot) = found {
            return slot.number;
        }
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(id);
        self.ends.push(self.bytes.len());
        let slot = Slot {
            number,
            hash: short,
        };
        self.numbers
            .insert_unique(spread(short), slot, |slot| spread(slot.hash));
        number
    }

    /// Number of distinct strings.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
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
        get(&self.bytes, &self.ends, number)
    }
}

fn get<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}

/// The table looks at the lowest and the highest bits of a hash.
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
