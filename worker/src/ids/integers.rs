//! Codes for columns of integers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

/// An integer that can be an id.
pub(crate) trait Integer: Copy + Ord + Send + Sync {
    /// Maps onto u64 such that the order stays.
    fn key(self) -> u64;

    /// Undoes [`Self::key`].
    fn from_key(key: u64) -> Self;
}

macro_rules! integer {
    ($($signed:ty => $unsigned:ty),+) => {$(
        impl Integer for $signed {
            fn key(self) -> u64 {
                (i64::from(self) as u64) ^ (1 << 63)
            }

            fn from_key(key: u64) -> Self {
                (key ^ (1 << 63)) as i64 as Self
            }
        }

        impl Integer for $unsigned {
            fn key(self) -> u64 {
                u64::from(self)
            }

            fn from_key(key: u64) -> Self {
                key as Self
            }
        }
    )+};
}

integer!(i8 => u8, i16 => u16, i32 => u32, i64 => u64);

/// Codes, distinct ids in ascending order, and rows per id.
pub(super) struct Encoded<T> {
    pub(super) codes: Vec<u32>,
    pub(super) ids: Vec<T>,
    pub(super) counts: Vec<u32>,
}

/// Replaces integers by codes.
pub(super) fn encode<T: Integer>(slices: &[&[T]]) -> Encoded<T> {
    let rows: usize = slices.iter().map(|slice| slice.len()).sum();
    let lowest = slices.iter().filter_map(|slice| slice.iter().min()).min();
    let highest = slices.iter().filter_map(|slice| slice.iter().max()).max();
    let (Some(&lowest), Some(&highest)) = (lowest, highest) else {
        return Encoded {
            codes: Vec::new(),
            ids: Vec::new(),
            counts: Vec::new(),
        };
    };
    // A table over the whole range beats hashing as long as it is not much larger than the column.
    let range = highest.key() - lowest.key();
    if range < (2 * rows as u64).max(1 << 16) {
        by_table(slices, rows, lowest.key(), range as usize + 1)
    } else {
        by_hash(slices, rows)
    }
}

fn by_table<T: Integer>(slices: &[&[T]], rows: usize, lowest: u64, range: usize) -> Encoded<T> {
    let place = |id: T| (id.key() - lowest) as usize;
    let mut table = vec![0u32; range];
    for slice in slices {
        for &id in *slice {
            table[place(id)] += 1;
        }
    }
    let (mut ids, mut counts) = (Vec::new(), Vec::new());
    for (offset, slot) in table.iter_mut().enumerate() {
        if *slot > 0 {
            counts.push(*slot);
            *slot = ids.len() as u32;
            ids.push(T::from_key(lowest + offset as u64));
        }
    }
    let mut codes = Vec::with_capacity(rows);
    for slice in slices {
        codes.extend(slice.iter().map(|&id| table[place(id)]));
    }
    Encoded { codes, ids, counts }
}

fn by_hash<T: Integer>(slices: &[&[T]], rows: usize) -> Encoded<T> {
    let hasher = DefaultHashBuilder::default();
    let mut numbers: HashTable<u32> = HashTable::new();
    let mut arrived: Vec<T> = Vec::new();
    let mut arrived_counts: Vec<u32> = Vec::new();
    let mut codes = Vec::with_capacity(rows);
    for slice in slices {
        for &id in *slice {
            let hash = hasher.hash_one(id.key());
            let number = match numbers.find(hash, |&number| arrived[number as usize] == id) {
                Some(&number) => number,
                None => {
                    let number = arrived.len() as u32;
                    arrived.push(id);
                    arrived_counts.push(0);
                    numbers.insert_unique(hash, number, |&number| {
                        hasher.hash_one(arrived[number as usize].key())
                    });
                    number
                }
            };
            arrived_counts[number as usize] += 1;
            codes.push(number);
        }
    }
    drop(numbers);
    let mut order: Vec<(T, u32)> = arrived
        .into_iter()
        .enumerate()
        .map(|(number, id)| (id, number as u32))
        .collect();
    order.par_sort_unstable();
    let mut rank = vec![0u32; order.len()];
    for (code, &(_, number)) in order.iter().enumerate() {
        rank[number as usize] = code as u32;
    }
    for code in &mut codes {
        *code = rank[*code as usize];
    }
    Encoded {
        codes,
        counts: order
            .iter()
            .map(|&(_, number)| arrived_counts[number as usize])
            .collect(),
        ids: order.into_iter().map(|(id, _)| id).collect(),
    }
}
