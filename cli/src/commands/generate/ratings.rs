//! Ratings with popular users and items and a low-rank taste.
//!
//! Positions 0..nnz are dealt to users by a capped Zipf law and shuffled. A user with d ratings
//! draws the j-th from the j-th of d equal shares of the item law, which never gives one item
//! more than half a share, so that pairs seldom repeat. Of two items drawn there, the one more
//! to the user's taste is rated. Taste is a product of ±1 vectors with falling weights.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rankmill_common::{Error, Result};
use rankmill_kernels::Philox;

use super::permutation::{Permutation, key, mix};
use super::table::{MOST_ROWS, Table};
use super::zipf::CappedZipf;

/// The largest share of the matrix that may hold entries.
const DENSEST: f64 = 0.25;
/// No user has more than this many times the mean number of ratings.
const BUSIEST: f64 = 100.0;
const MOST_RANK: u32 = 64;
const SCALE: f64 = 1.0 / 4_294_967_296.0;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RatingsArgs {
    /// Number of users
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows: u64,
    /// Number of items
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    cols: u64,
    /// Number of ratings
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    nnz: u64,
    /// Dimensions of taste
    #[arg(long, value_name = "R", default_value_t = 20)]
    rank: u32,
    /// Exponent of popularity; 0 makes everyone equal
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    zipf: f64,
    /// Type of the ids
    #[arg(long, value_name = "TYPE", default_value = "int64")]
    id_type: IdWidth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum IdWidth {
    Int32,
    Int64,
}

impl RatingsArgs {
    pub(super) fn table(self, seed: u64) -> Result<Ratings> {
        let cells = self.rows as f64 * self.cols as f64;
        if self.rows == 0 || self.cols == 0 || self.nnz == 0 {
            return Err(Error::invalid_input(
                "--rows, --cols and --nnz must be at least 1",
            ));
        }
        if self.rows.max(self.cols).max(self.nnz) > MOST_ROWS {
            return Err(Error::invalid_input(format!(
                "--rows, --cols and --nnz must be at most {MOST_ROWS}"
            )));
        }
        if self.nnz as f64 > cells * DENSEST {
            return Err(Error::invalid_input(format!(
                "--nnz {} fills more than a quarter of {} x {}: at most {} fit",
                self.nnz,
                self.rows,
                self.cols,
                (cells * DENSEST) as u64
            )));
        }
        if !(0.0..=4.0).contains(&self.zipf) {
            return Err(Error::invalid_input("--zipf must lie between 0 and 4"));
        }
        if self.rank == 0 || self.rank > MOST_RANK {
            let message = format!("--rank must lie between 1 and {MOST_RANK}");
            return Err(Error::invalid_input(message));
        }
        let most = i32::MAX as u64;
        if self.id_type == IdWidth::Int32 && self.rows.max(self.cols) > most {
            return Err(Error::invalid_input(format!(
                "ids above {most} need --id-type int64"
            )));
        }
        Ok(Ratings::new(&self, seed))
    }
}

/// The table `user, item, rating`.
#[derive(Debug)]
pub(super) struct Ratings {
    nnz: u64,
    id_type: IdWidth,
    users: CappedZipf,
    items: Vec<CappedZipf>,
    order: Permutation,
    user_ids: Permutation,
    item_ids: Permutation,
    taste: Taste,
    draws: Philox,
}

impl Ratings {
    fn new(args: &RatingsArgs, seed: u64) -> Self {
        let nnz = args.nnz as f64;
        let mean = nnz / args.rows as f64;
        let most = (args.cols as f64 * DENSEST).min((BUSIEST * mean).max(1.0));
        let users = CappedZipf::new(args.rows, args.zipf, most / nnz);
        let popular = 0.5 * args.rows as f64 / nnz;
        let items = (0..=bucket(u64::MAX))
            .map(|bucket| {
                let cap = popular.min(0.5 / largest_in(bucket));
                CappedZipf::new(args.cols, args.zipf, cap)
            })
            .collect();
        Self {
            users,
            items,
            order: Permutation::new(args.nnz, key(seed, 0)),
            user_ids: Permutation::new(args.rows, key(seed, 1)),
            item_ids: Permutation::new(args.cols, key(seed, 2)),
            taste: Taste::new(args.rank, key(seed, 3)),
            draws: Philox::new(key(seed, 4)),
            nnz: args.nnz,
            id_type: args.id_type,
        }
    }

    fn row(&self, index: u64) -> (u64, u64, f32) {
        let position = self.order.apply(index);
        let nnz = self.nnz as f64;
        let user = self.users.rank_at((position as f64 + 0.5) / nnz);
        let first_of = |user: u64| (nnz * self.users.share_below(user as f64)).round() as u64;
        let (first, end) = (first_of(user), first_of(user + 1));
        // At the border of two users rounding may disagree by one.
        let degree = end.saturating_sub(first).max(1);
        let slot = position.saturating_sub(first).min(degree - 1);

        let words = self.draws.block([index as u32, (index >> 32) as u32, 0, 0]);
        let law = &self.items[bucket(degree)];
        let draw = |word: u32| law.rank_at((slot as f64 + f64::from(word) * SCALE) / degree as f64);
        let (one, other) = (draw(words[0]), draw(words[1]));
        let (liked, disliked) = (self.taste.signal(user, one), self.taste.signal(user, other));
        let (item, signal) = if liked >= disliked {
            (one, liked)
        } else {
            (other, disliked)
        };
        let rating = self.taste.rating(user, item, signal, words[2]);
        (self.user_ids.apply(user), self.item_ids.apply(item), rating)
    }
}

impl Table for Ratings {
    fn schema(&self) -> SchemaRef {
        let id = match self.id_type {
            IdWidth::Int32 => DataType::Int32,
            IdWidth::Int64 => DataType::Int64,
        };
        Arc::new(Schema::new(vec![
            Field::new("user", id.clone(), false),
            Field::new("item", id, false),
            Field::new("rating", DataType::Float32, false),
        ]))
    }

    fn rows(&self) -> u64 {
        self.nnz
    }

    fn row_bytes(&self) -> u64 {
        20
    }

    fn repetitive(&self) -> bool {
        true
    }

    fn batch(&self, rows: Range<u64>) -> Result<RecordBatch> {
        let count = (rows.end - rows.start) as usize;
        let mut users = Vec::with_capacity(count);
        let mut items = Vec::with_capacity(count);
        let mut ratings = Vec::with_capacity(count);
        for (user, item, rating) in rows.map(|index| self.row(index)) {
            users.push(user as i64);
            items.push(item as i64);
            ratings.push(rating);
        }
        let ids = |ids: Vec<i64>| -> ArrayRef {
            match self.id_type {
                IdWidth::Int64 => Arc::new(Int64Array::from(ids)),
                IdWidth::Int32 => Arc::new(Int32Array::from_iter_values(
                    ids.into_iter().map(|id| id as i32),
                )),
            }
        };
        let columns = vec![
            ids(users),
            ids(items),
            Arc::new(Float32Array::from(ratings)),
        ];
        RecordBatch::try_new(self.schema(), columns).map_err(|e| Error::internal(e.to_string()))
    }
}

/// Users with about as many ratings share one item law: four buckets per power of two.
fn bucket(degree: u64) -> usize {
    if degree < 4 {
        return degree as usize;
    }
    let power = degree.ilog2();
    (4 * power - 4) as usize + ((degree >> (power - 2)) & 3) as usize
}

/// The largest degree of a bucket.
fn largest_in(bucket: usize) -> f64 {
    if bucket < 4 {
        return bucket.max(1) as f64;
    }
    let power = (bucket / 4 + 1) as i32;
    let quarter = (bucket % 4) as f64;
    libm::ldexp(5.0 + quarter, power - 2)
}

/// What users like: Σ w_c u_c v_c with u, v in {−1, 1} and w_c falling as c^-½.
#[derive(Debug)]
struct Taste {
    key: u64,
    mask: u64,
    /// Per byte of differing signs, the sum of its signed weights.
    sums: Vec<[f32; 256]>,
}

impl Taste {
    fn new(rank: u32, key: u64) -> Self {
        let weights: Vec<f64> = (0..rank)
            .map(|c| 1.0 / libm::sqrt(f64::from(c) + 1.0))
            .collect();
        let norm = libm::sqrt(weights.iter().map(|w| w * w).sum());
        let sums = weights
            .chunks(8)
            .map(|weights| {
                std::array::from_fn(|differing| {
                    let signed = weights.iter().enumerate().map(|(bit, weight)| {
                        let sign = if differing >> bit & 1 == 1 { -1.0 } else { 1.0 };
                        sign * weight / norm
                    });
                    signed.sum::<f64>() as f32
                })
            })
            .collect();
        Self {
            key,
            mask: u64::MAX >> (64 - rank),
            sums,
        }
    }

    /// How much the user likes the item; of variance one.
    #[inline]
    fn signal(&self, user: u64, item: u64) -> f32 {
        let differing = (self.user(user) ^ self.item(item)) & self.mask;
        let bytes = differing.to_le_bytes();
        let sums = self.sums.iter().zip(bytes);
        sums.map(|(sums, byte)| sums[usize::from(byte)]).sum()
    }

    #[inline]
    fn rating(&self, user: u64, item: u64, signal: f32, noise: u32) -> f32 {
        // Generosity of users and quality of items come from bits that taste leaves unused.
        let generosity = unit((mix(self.user(user)) >> 32) as u32);
        let quality = unit((mix(self.item(item)) >> 32) as u32);
        let score = 3.4 + 0.8 * signal + 0.4 * generosity + 0.4 * quality + 0.4 * unit(noise);
        score.round().clamp(1.0, 5.0)
    }

    #[inline]
    fn user(&self, user: u64) -> u64 {
        mix(mix(user ^ self.key).wrapping_add(1))
    }

    #[inline]
    fn item(&self, item: u64) -> u64 {
        mix(mix(item.wrapping_add(self.key)).wrapping_add(2))
    }
}

/// Uniform, of mean zero and variance one.
#[inline]
fn unit(word: u32) -> f32 {
    const WIDTH: f64 = 3.464_101_615_137_754_4;
    ((f64::from(word) * SCALE - 0.5) * WIDTH) as f32
}

#[cfg(test)]
#[path = "ratings_tests.rs"]
mod tests;
