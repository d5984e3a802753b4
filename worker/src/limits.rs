//! Measures what this machine can do at best, for people who want to know what bounds a job.

use std::time::Instant;

use rankmill_common::Result;
use rankmill_kernels::limits;

use crate::executor::compute_pool;

/// Bytes of the table that is copied and gathered from: larger than caches.
const TABLE_BYTES: usize = 256 << 20;
/// Columns of a gathered row: four cache lines.
const WIDTH: usize = 64;
/// Rows gathered.
const PICKS: usize = 1 << 20;
/// Rounds of multiply-adds: some 20 ms.
const ROUNDS: usize = 1 << 20;
/// Each limit is the best of so many.
const TRIES: usize = 3;

/// Limits of a machine, with a number of threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes per second of a copy, read and written ones counted.
    pub copy: f64,
    /// Bytes per second of random rows of 256 bytes from a table larger than caches.
    pub gather: f64,
    /// Fused multiply-adds on f32 in registers, as flops per second.
    pub flops: f64,
}

impl Limits {
    /// Measures them: about a second, and half a gigabyte of memory.
    ///
    /// # Errors
    ///
    /// `Internal` if the system refuses threads.
    pub fn measure(threads: usize) -> Result<Self> {
        Ok(compute_pool(threads)?.install(|| measure(threads.max(1))))
    }
}

fn measure(threads: usize) -> Limits {
    let numbers = TABLE_BYTES / size_of::<f32>();
    let source = vec![1f32; numbers];
    let mut target = vec![0f32; numbers];
    let copy = best(|| limits::copy(&source, &mut target));
    let picks = limits::random_rows(numbers / WIDTH, PICKS);
    let gather = best(|| {
        std::hint::black_box(limits::gather(&target, WIDTH, &picks));
    });
    let flops = best(|| {
        std::hint::black_box(limits::multiply_add(threads, ROUNDS));
    });
    Limits {
        copy: (2 * TABLE_BYTES) as f64 / copy,
        gather: (picks.len() * WIDTH * size_of::<f32>()) as f64 / gather,
        flops: limits::multiply_add_flops(threads, ROUNDS) / flops,
    }
}

/// Seconds of the fastest try.
fn best(mut work: impl FnMut()) -> f64 {
    let seconds = (0..TRIES).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
