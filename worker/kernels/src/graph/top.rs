//! The best few of many scores, ties by place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A vertex among the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The vertex.
    pub index: u32,
    /// Its place among the ids, which decides between equal scores.
    pub place: u32,
    /// Its score.
    pub score: f64,
}

/// The `limit` best of the scores offered so far: larger ones, then lower places.
#[derive(Clone, Debug)]
pub struct Top {
    limit: usize,
    heap: BinaryHeap<Reverse<Entry>>,
}

/// Ordered by score, then by place from behind. Bits of positive numbers are ordered as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    score: u64,
    behind: u32,
    index: u32,
}

impl Top {
    /// None so far.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            heap: BinaryHeap::new(),
        }
    }

    /// Scores below this need not be offered.
    #[inline]
    pub fn threshold(&self) -> f64 {
        if self.heap.len() < self.limit {
            return 0.0;
        }
        self.heap
            .peek()
            .map_or(f64::INFINITY, |Reverse(entry)| f64::from_bits(entry.score))
    }

    /// Offers a positive score; others are passed by.
    #[inline]
    pub fn offer(&mut self, ranked: Ranked) {
        if ranked.score > 0.0 {
            self.insert(Entry {
                score: ranked.score.to_bits(),
                behind: !ranked.place,
                index: ranked.index,
            });
        }
    }

    /// Offers everything that `other` has kept.
    pub fn merge(&mut self, other: Self) {
        for Reverse(entry) in other.heap {
            self.insert(entry);
        }
    }

    fn insert(&mut self, entry: Entry) {
        if self.heap.len() < self.limit {
            self.heap.push(Reverse(entry));
        } else if let Some(mut least) = self.heap.peek_mut()
            && least.0 < entry
        {
            *least = Reverse(entry);
        }
    }

    /// Best first.
    pub fn into_sorted(self) -> Vec<Ranked> {
        let sorted = self.heap.into_sorted_vec();
        sorted
            .into_iter()
            .map(|Reverse(entry)| Ranked {
                index: entry.index,
                place: !entry.behind,
                score: f64::from_bits(entry.score),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_what_a_sort_would_keep(
            scores in prop::collection::vec(0u32..6, 0..60),
            limit in 1usize..12,
            cut in 0usize..60,
        ) {
            let ranked = |place: usize| Ranked {
                index: place as u32 + 100,
                place: place as u32,
                score: f64::from(scores[place]) / 8.0,
            };
            let (mut front, mut back) = (Top::new(limit), Top::new(limit));
            for place in 0..scores.len() {
                if place < cut { front.offer(ranked(place)) } else { back.offer(ranked(place)) }
            }
            front.merge(back);
            let mut expected: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] > 0).collect();
            expected.sort_by_key(|&i| (std::cmp::Reverse(scores[i]), i));
            expected.truncate(limit);
            let expected: Vec<Ranked> = expected.into_iter().map(ranked).collect();
            prop_assert_eq!(front.into_sorted(), expected);
        }
    }
}
