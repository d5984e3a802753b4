//! Stable counting sort into buckets, in parallel over chunks of the input.

use rayon::prelude::*;

use super::shares;

/// Items that one task puts into their buckets.
const CHUNK: usize = 1 << 18;

/// Keys of every chunk in every bucket: `[chunk][bucket]`.
pub(crate) fn count_buckets<K: Sync>(
    keys: &[K],
    buckets: usize,
    bucket: impl Fn(&K) -> usize + Sync,
) -> Vec<Vec<usize>> {
    let count = |keys: &[K]| {
        let mut counts = vec![0; buckets];
        for key in keys {
            counts[bucket(key)] += 1;
        }
        counts
    };
    keys.par_chunks(CHUNK).map(count).collect()
}

/// `items` by the bucket of the key beside each, in their order within a bucket. `counts` are those
/// of [`count_buckets`].
pub(crate) fn sort_by_bucket<T: Copy + Default + Send + Sync, K: Sync>(
    items: &[T],
    keys: &[K],
    counts: &[Vec<usize>],
    bucket: impl Fn(&K) -> usize + Sync,
) -> Vec<T> {
    let buckets = counts.first().map_or(0, Vec::len);
    let mut sorted = vec![T::default(); items.len()];
    let slots = shares(&mut sorted, counts, buckets);
    let chunks = items.par_chunks(CHUNK).zip(keys.par_chunks(CHUNK));
    chunks.zip(slots).for_each(|((items, keys), mut slots)| {
        let mut next = vec![0; buckets];
        for (item, key) in items.iter().zip(keys) {
            let bucket = bucket(key);
            slots[bucket][next[bucket]] = *item;
            next[bucket] += 1;
        }
    });
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_are_sorted_by_bucket_and_keep_their_order(
            keys in prop::collection::vec(0u32..1000, 0..3_000), bits in 0u32..9,
        ) {
            let keys = keys.repeat(200);
            let bucket = |key: &u32| (key >> bits) as usize;
            let items: Vec<(u32, u32)> = keys.iter().copied().zip(0..).collect();
            let counts = count_buckets(&keys, 1 + (999 >> bits), bucket);
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| key >> bits);
            prop_assert_eq!(sort_by_bucket(&items, &keys, &counts, bucket), expected);
        }
    }
}
