//! Rows of a sparse block while it is being made: stripes of rows, worked on in parallel.
//!
//! A stripe holds some consecutive rows with ascending columns. Where stripes begin depends on
//! the block alone, and every sum is taken stripe by stripe in order, so no number depends on the
//! threads.

pub(crate) mod bucket;
pub(crate) mod gather;
pub(crate) mod rows;
mod sort;
pub(crate) mod write;

use rankmill_kernels::tall::sum_and_square;

/// Entries of a stripe, about.
const STRIPE_ENTRIES: usize = 1 << 16;

/// Consecutive rows of a block.
pub(crate) struct Stripe {
    /// Where each row starts in `cols`; one more than there are rows.
    pub(crate) starts: Vec<u32>,
    /// Columns, ascending within a row.
    pub(crate) cols: Vec<u32>,
    /// Values; absent where all are one.
    pub(crate) values: Option<Vec<f32>>,
}

/// Sums over a block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) nnz: u64,
    pub(crate) frobenius2: f64,
    pub(crate) row_nnz2: f64,
    pub(crate) sum: f64,
}

impl Stripe {
    /// Number of rows.
    pub(crate) fn nrows(&self) -> usize {
        self.starts.len() - 1
    }

    fn totals(&self) -> Totals {
        let nnz = self.cols.len() as f64;
        let (mut sum, mut frobenius2) = (nnz, nnz);
        if let Some(values) = &self.values {
            (sum, frobenius2) = sum_and_square(values);
        }
        let squares = self.starts.windows(2).map(|pair| {
            let length = f64::from(pair[1] - pair[0]);
            length * length
        });
        Totals {
            nnz: self.cols.len() as u64,
            frobenius2,
            row_nnz2: squares.sum(),
            sum,
        }
    }

    fn is_ones(&self) -> bool {
        self.values
            .as_ref()
            .is_none_or(|values| values.iter().all(|&value| value == 1.0))
    }
}

impl Totals {
    /// Adds up stripes in order.
    pub(crate) fn of(stripes: &[Stripe]) -> Self {
        use rayon::prelude::*;

        let parts: Vec<_> = stripes.par_iter().map(Stripe::totals).collect();
        parts.iter().fold(Self::default(), |total, part| Self {
            nnz: total.nnz + part.nnz,
            frobenius2: total.frobenius2 + part.frobenius2,
            row_nnz2: total.row_nnz2 + part.row_nnz2,
            sum: total.sum + part.sum,
        })
    }
}

/// Cuts `target` into one slice per chunk and bucket, of `counts[chunk][bucket]` items: buckets
/// follow one another, and within a bucket the chunks do. `[chunk][bucket]`.
pub(crate) fn shares<'a, T>(
    target: &'a mut [T],
    counts: &[impl AsRef<[usize]>],
    buckets: usize,
) -> Vec<Vec<&'a mut [T]>> {
    let mut shares: Vec<Vec<&mut [T]>> =
        counts.iter().map(|_| Vec::with_capacity(buckets)).collect();
    let mut rest = target;
    for bucket in 0..buckets {
        for (share, counts) in shares.iter_mut().zip(counts) {
            let (head, tail) = rest.split_at_mut(counts.as_ref()[bucket]);
            share.push(head);
            rest = tail;
        }
    }
    shares
}

/// Rows per stripe, as a power of two: about [`STRIPE_ENTRIES`], a few MiB at most.
pub(crate) fn rows_shift(nrows: u64, entries: u64) -> u32 {
    const MAX_STRIPES: u64 = 1 << 12;
    let stripes = (entries / STRIPE_ENTRIES as u64).clamp(1, MAX_STRIPES);
    let mut shift = 0;
    while nrows.div_ceil(1 << shift) > stripes {
        shift += 1;
    }
    shift
}
