//! How fast ingest is. Not a test: `cargo test --release -- --ignored --nocapture ingest_rate`.

use std::time::Instant;

use arrow::array::{Float32Array, Int32Array, StringArray};

use super::*;

const ROWS: u64 = 16_000_000;

fn mixed(i: u64) -> u64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 27)
}

/// Skewed like items are: squares of uniform numbers.
fn skewed(x: u64, count: u64) -> u64 {
    let unit = (x >> 11) as f64 / (1u64 << 53) as f64;
    (unit * unit * count as f64) as u64
}

fn rate(name: &str, columns: &[(&str, ArrayRef)], value: bool) {
    let workshop = Workshop::new();
    let path = workshop.parquet("a.parquet", columns, 1 << 20);
    let input = triplets(&path, value);
    for threads in [1, 2] {
        let started = Instant::now();
        let (inspection, built) = in_pool(threads, || {
            let started = Instant::now();
            let inspection = workshop.inspect(&input).expect("inspection");
            (
                started.elapsed(),
                (inspection, workshop.ingest(&input, COARSE).expect("ingest")),
            )
        });
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{name}, {threads} threads: {seconds:.2} s, {:.1} M/s (inspect {inspection:?}, {} blocks)",
            ROWS as f64 / seconds / 1e6,
            built.1.blocks.len()
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn ingest_rate_of_integer_pairs() {
    let rows = (0..ROWS).map(|i| skewed(mixed(2 * i), 1_000_000) as i32);
    let cols = (0..ROWS).map(|i| skewed(mixed(2 * i + 1), 100_000) as i32);
    let rows: ArrayRef = Arc::new(Int32Array::from_iter_values(rows));
    let cols: ArrayRef = Arc::new(Int32Array::from_iter_values(cols));
    rate(
        "int32 pairs",
        &[("r", Arc::clone(&rows)), ("c", Arc::clone(&cols))],
        false,
    );
    let values = Float32Array::from_iter_values((0..ROWS).map(|i| (mixed(i) % 5) as f32 + 1.0));
    rate(
        "int32 triplets",
        &[("r", rows), ("c", cols), ("v", Arc::new(values))],
        true,
    );
}

#[test]
#[ignore = "a measurement"]
fn ingest_rate_of_string_pairs() {
    let rows = (0..ROWS).map(|i| format!("user-{:010}", skewed(mixed(2 * i), 1_000_000)));
    let cols = (0..ROWS).map(|i| format!("B{:09}", skewed(mixed(2 * i + 1), 100_000)));
    let rows: ArrayRef = Arc::new(StringArray::from_iter_values(rows));
    let cols: ArrayRef = Arc::new(StringArray::from_iter_values(cols));
    rate("string pairs", &[("r", rows), ("c", cols)], false);
}
