//! What the machine can do at best: the work behind the limits that a profile and the benches
//! compare kernels with. The caller holds the clock.

use rayon::prelude::*;

use crate::random::Philox;
use crate::simd::vectorized;

/// Rows gathered by one thread at a time.
const CHUNK_ROWS: usize = 1 << 14;
/// Numbers copied by one thread at a time.
const CHUNK_NUMBERS: usize = 1 << 18;
/// Independent sums of [`multiply_add`]: enough to keep two units of the widest vectors busy.
const LANES: usize = 256;

/// Copies `source` to `target`: 8 bytes of traffic per number.
///
/// # Panics
/// If their lengths differ.
pub fn copy(source: &[f32], target: &mut [f32]) {
    assert_eq!(source.len(), target.len(), "as many as there is room for");
    let parts = target.par_chunks_mut(CHUNK_NUMBERS);
    parts
        .zip(source.par_chunks(CHUNK_NUMBERS))
        .for_each(|(target, source)| target.copy_from_slice(source));
}

/// `count` rows of a table of `rows`, each as likely as any other.
pub fn random_rows(rows: usize, count: usize) -> Vec<u32> {
    let philox = Philox::new(1);
    (0..count.div_ceil(4) as u32)
        .into_par_iter()
        .flat_map_iter(|block| philox.block([block, 0, 0, 0]))
        .map(|word| ((u64::from(word) * rows as u64) >> 32) as u32)
        .collect()
}

/// Adds up the rows of `table` (row-major, `width` columns) that `picks` name. Returns the sum of
/// what was added, so that nothing is left out as unused.
///
/// # Panics
/// If a pick lies outside the table.
pub fn gather(table: &[f32], width: usize, picks: &[u32]) -> f32 {
    let chunk = |picks: &[u32]| -> f32 {
        vectorized(
            #[inline(always)]
            || {
                let mut sums = vec![0f32; width];
                for &pick in picks {
                    let row = &table[pick as usize * width..][..width];
                    for (sum, &number) in sums.iter_mut().zip(row) {
                        *sum += number;
                    }
                }
                sums.iter().sum()
            },
        )
    };
    let parts: Vec<f32> = picks.par_chunks(CHUNK_ROWS).map(chunk).collect();
    parts.iter().sum()
}

/// `rounds` fused multiply-adds on each of 256 sums in registers, by each of `workers`:
/// 512 flops a round and worker.
pub fn multiply_add(workers: usize, rounds: usize) -> f32 {
    let work = |worker: usize| -> f32 {
        vectorized(
            #[inline(always)]
            || {
                let mut sums = [worker as f32; LANES];
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = sum.mul_add(0.999_9, 1e-3);
                    }
                }
                sums.iter().sum()
            },
        )
    };
    let parts: Vec<f32> = (0..workers).into_par_iter().map(work).collect();
    parts.iter().sum()
}

/// Flops of [`multiply_add`].
pub fn multiply_add_flops(workers: usize, rounds: usize) -> f64 {
    (2 * LANES * workers * rounds) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picked_row_is_added() {
        let table: Vec<f32> = (0..40).map(|number| number as f32).collect();
        let picks = random_rows(10, 100_000);
        let mut sums = [0f64; 10];
        for &pick in &picks {
            sums[pick as usize] += 1.0;
        }
        assert!(
            sums.iter()
                .all(|&count| (9_000.0..11_000.0).contains(&count))
        );
        let some = &picks[..1000];
        let expected: f32 = some
            .iter()
            .map(|&pick| {
                (0..4)
                    .map(|column| table[pick as usize * 4 + column])
                    .sum::<f32>()
            })
            .sum();
        assert_eq!(gather(&table, 4, some), expected);
    }

    #[test]
    fn a_copy_is_a_copy() {
        let source: Vec<f32> = (0..300_000).map(|number| number as f32).collect();
        let mut target = vec![0.0; source.len()];
        copy(&source, &mut target);
        assert_eq!(source, target);
    }

    #[test]
    fn sums_approach_their_fixed_point() {
        // x = 0.9999 x + 0.001 at x = 10.
        let sum = multiply_add(2, 200_000);
        assert!((f64::from(sum) / 512.0 - 10.0).abs() < 0.1, "{sum}");
    }
}
