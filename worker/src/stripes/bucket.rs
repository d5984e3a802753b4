//! Stable counting sort into buckets, in parallel over chunks of the input.
//!
//! A chunk is sorted within the cache, then copied where it belongs run by run: entry by entry it
//! would meet a page of its own in every bucket, and address translation holds fewer.

use rayon::prelude::*;

use super::shares;

/// Items that are sorted within the cache.
pub(crate) const CHUNK: usize = 1 << 15;

/// Items and the key beside each.
pub(crate) type Chunk<'a, T, K> = (&'a [T], &'a [K]);

/// Cuts items into chunks, as [`count_buckets`] cuts their keys.
pub(crate) fn chunks<'a, T, K>(items: &'a [T], keys: &'a [K]) -> Vec<Chunk<'a, T, K>> {
    items.chunks(CHUNK).zip(keys.chunks(CHUNK)).collect()
}

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

/// Keys of all chunks in each of `buckets` buckets.
pub(crate) fn bucket_sizes(counts: &[impl AsRef<[usize]>], buckets: usize) -> Vec<usize> {
    let size = |bucket: usize| counts.iter().map(|counts| counts.as_ref()[bucket]).sum();
    (0..buckets).map(size).collect()
}

/// Items by the bucket of their key, in their order within a bucket. `counts` says how many of each
/// chunk are in every bucket.
pub(crate) fn sort_by_bucket<T: Copy + Default + Send + Sync, K: Sync>(
    chunks: &[Chunk<'_, T, K>],
    counts: &[impl AsRef<[usize]>],
    bucket: impl Fn(&K) -> usize + Sync,
) -> Vec<T> {
    let buckets = counts.first().map_or(0, |counts| counts.as_ref().len());
    let total = chunks.iter().map(|(items, _)| items.len()).sum();
    let mut sorted = vec![T::default(); total];
    let slots = shares(&mut sorted, counts, buckets);
    let work = chunks.par_iter().zip(slots);
    work.for_each_init(Vec::new, |of_chunk, (&(items, keys), slots)| {
        let mut next = Vec::with_capacity(buckets);
        let mut start = 0;
        for slot in &slots {
            next.push(start);
            start += slot.len();
        }
        of_chunk.resize(items.len(), T::default());
        for (item, key) in items.iter().zip(keys) {
            let place = &mut next[bucket(key)];
            of_chunk[*place] = *item;
            *place += 1;
        }
        let mut rest = &of_chunk[..];
        for slot in slots {
            let (run, others) = rest.split_at(slot.len());
            slot.copy_from_slice(run);
            rest = others;
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
            let buckets = 1 + (999 >> bits);
            let counts = count_buckets(&keys, buckets, bucket);
            let sizes = bucket_sizes(&counts, buckets);
            prop_assert_eq!(sizes.iter().sum::<usize>(), items.len());
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| key >> bits);
            prop_assert_eq!(sort_by_bucket(&chunks(&items, &keys), &counts, bucket), expected);
        }
    }
}
