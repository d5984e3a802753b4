//! Sums over row chunks that come out the same for any number of threads.

use rayon::prelude::*;

/// Chunks whose partial sums are in memory at once.
const WAVE: usize = 32;

/// Rows of a tall matrix whose partial sum is formed by one task. Part of the definition of every
/// chunked sum: changing it changes results in their last bits.
pub(crate) const CHUNK_ROWS: usize = 4096;

/// Row range of chunk `chunk` of `nrows` rows.
pub(crate) fn chunk_rows(chunk: usize, nrows: usize) -> std::ops::Range<usize> {
    let start = chunk * CHUNK_ROWS;
    start..(start + CHUNK_ROWS).min(nrows)
}

/// Number of chunks of `nrows` rows.
pub(crate) fn chunk_count(nrows: usize) -> usize {
    nrows.div_ceil(CHUNK_ROWS)
}

/// Σ over chunks of a vector of length `len`, added in chunk order.
///
/// `partial` fills a zeroed vector for one chunk.
pub(crate) fn ordered_sum(
    chunks: usize,
    len: usize,
    partial: impl Fn(usize, &mut [f64]) + Sync,
) -> Vec<f64> {
    let mut total = vec![0.0; len];
    for wave in (0..chunks).step_by(WAVE) {
        let partials: Vec<Vec<f64>> = (wave..chunks.min(wave + WAVE))
            .into_par_iter()
            .map(|chunk| {
                let mut sum = vec![0.0; len];
                partial(chunk, &mut sum);
                sum
            })
            .collect();
        add_in_order(&mut total, &partials);
    }
    total
}

/// Σ of `partials`, vectors of length `len`, in index order.
pub(crate) fn fold_in_order(partials: &[Vec<f64>], len: usize) -> Vec<f64> {
    let mut total = vec![0.0; len];
    add_in_order(&mut total, partials);
    total
}

fn add_in_order(total: &mut [f64], partials: &[Vec<f64>]) {
    for sum in partials {
        for (total, part) in total.iter_mut().zip(sum) {
            *total += part;
        }
    }
}
