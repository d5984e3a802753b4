//! Measures the kernels on inputs shaped like the benchmarks: `throughput [s|m|d|tall|eigen]…`.
//!
//! S: 200k×50k with 20 M Zipf nonzeros; M: 1M×200k with 100 M; D: dense 200k×512. Environment:
//! `THREADS` (2), `WIDTH` (columns per segment, 8192), `L` (columns of X, 80).

use rankmill_kernels::{
    Columns, DenseBlock, MatrixBlock, Panel, Philox, Scratch, Segment, SparseBlock, gaussian_panel,
    leading_eigenpairs, small, tall,
};
use rayon::prelude::*;
use std::time::Instant;

fn main() {
    let threads = setting("THREADS", 2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    pool.expect("a pool").install(|| {
        if run("s") {
            sparse("S", 200_000, 50_000, 100);
        }
        if run("m") {
            sparse("M", 1_000_000, 200_000, 100);
        }
        if run("d") {
            dense(200_000, 512);
        }
        if run("tall") {
            tall_matrices(200_000);
        }
        if run("eigen") {
            eigen();
        }
    });
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Best of five, and what it is in GFLOP/s.
fn report(name: &str, flops: f64, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!(
        "{name:<40} {:9.1} ms {:8.1} GFLOP/s",
        1e3 * best,
        flops / best / 1e9
    );
}

/// Sorted distinct Zipf columns of every row, most popular first.
fn zipf_rows(nrows: usize, ncols: usize, per_row: usize) -> Vec<Vec<u32>> {
    let philox = Philox::new(1);
    let draw = |row: usize| {
        let mut columns: Vec<u32> = (0..per_row.div_ceil(4) as u32)
            .flat_map(|block| philox.block([row as u32, block, 0, 0]))
            .map(|word| {
                let unit = f64::from(word) / 4_294_967_296.0;
                // The inverse distribution of popularity falling as rank^(-3/4).
                (unit.powi(4) * ncols as f64) as u32
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    };
    (0..nrows).into_par_iter().map(draw).collect()
}

struct OwnedSegment {
    offsets: Vec<i32>,
    columns: Vec<u16>,
    values: Vec<f32>,
}

fn segments(rows: &[Vec<u32>], ncols: usize, width: usize) -> Vec<OwnedSegment> {
    let first_columns: Vec<usize> = (0..ncols).step_by(width).collect();
    let cut = |&first: &usize| {
        let mut segment = OwnedSegment {
            offsets: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
        };
        for row in rows {
            let start = row.partition_point(|&column| (column as usize) < first);
            let end = row.partition_point(|&column| (column as usize) < first + width);
            for &column in &row[start..end] {
                segment.columns.push((column as usize - first) as u16);
                segment.values.push(1.0 + (column % 5) as f32);
            }
            segment.offsets.push(segment.columns.len() as i32);
        }
        segment
    };
    first_columns.par_iter().map(cut).collect()
}

fn sparse(name: &str, nrows: usize, ncols: usize, per_row: usize) {
    let (width, l) = (setting("WIDTH", 8192), setting("L", 80));
    let owned = segments(&zipf_rows(nrows, ncols, per_row), ncols, width);
    let segments = owned.iter().enumerate().map(|(index, segment)| Segment {
        first_column: index * width,
        width: width.min(ncols - index * width),
        offsets: &segment.offsets,
        columns: Columns::U16(&segment.columns),
        values: Some(&segment.values),
    });
    let block = SparseBlock {
        nrows,
        ncols,
        segments: segments.collect(),
    };
    block.validate().expect("a valid block");
    let shares: Vec<usize> = block
        .segments
        .iter()
        .map(|segment| 100 * segment.nnz() / block.nnz())
        .collect();
    println!(
        "{name}: nnz {} in segments of {width}, shares in % {shares:?}, l {l}",
        block.nnz()
    );
    let flops = 2.0 * block.nnz() as f64 * l as f64;
    let mut x = Panel::new(ncols, l);
    gaussian_panel(1, 0, 0, &mut x);
    let (mut y, mut z) = (Panel::new(nrows, l), Panel::new(ncols, l));
    let mut scratch = Scratch::new();
    report("  multiply", flops, || {
        block.multiply(&x, None, &mut y, &mut scratch);
    });
    report("  multiply_transposed", flops, || {
        block.multiply_transposed(&y, &mut z, &mut scratch);
    });
    report("  normal_multiply", 2.0 * flops, || {
        block.normal_multiply(&x, None, &mut z, &mut scratch);
    });
    let mut wide_z = vec![0.0; ncols * l];
    report("  certified_normal_multiply", 2.0 * flops, || {
        block.certified_normal_multiply(&x, None, &mut wide_z, &mut y, &mut scratch);
    });
    report("  frobenius2", 2.0 * block.nnz() as f64, || {
        std::hint::black_box(block.frobenius2());
    });
    let mut sums = vec![0.0; ncols];
    report("  column_sums", block.nnz() as f64, || {
        block.column_sums(&mut sums);
    });
}

fn dense(nrows: usize, ncols: usize) {
    let l = setting("L", 80);
    let mut values = Panel::new(nrows, ncols);
    gaussian_panel(3, 0, 0, &mut values);
    let block = DenseBlock {
        nrows,
        ncols,
        values: values.as_slice(),
    };
    println!("D: {nrows}x{ncols}, l {l}");
    let mut gram = vec![0.0; ncols * ncols];
    let means = vec![0.01; ncols];
    let symmetric = nrows as f64 * ncols as f64 * ncols as f64;
    report("  gram (half of 2mn² counted)", symmetric, || {
        block.gram(None, &mut gram);
    });
    report("  gram, centered", symmetric, || {
        block.gram(Some(&means), &mut gram);
    });
    let mut x = Panel::new(ncols, l);
    gaussian_panel(1, 0, 0, &mut x);
    let (mut z, mut y) = (Panel::new(ncols, l), Panel::new(nrows, l));
    let mut scratch = Scratch::new();
    let flops = 2.0 * nrows as f64 * ncols as f64 * l as f64;
    report("  multiply", flops, || {
        block.multiply(&x, None, &mut y, &mut scratch);
    });
    report("  normal_multiply", 2.0 * flops, || {
        block.normal_multiply(&x, None, &mut z, &mut scratch);
    });
    let mut wide_z = vec![0.0; ncols * l];
    report("  certified_normal_multiply", 2.0 * flops, || {
        block.certified_normal_multiply(&x, None, &mut wide_z, &mut y, &mut scratch);
    });
    report("  frobenius2", 2.0 * (nrows * ncols) as f64, || {
        std::hint::black_box(block.frobenius2());
    });
}

fn tall_matrices(n: usize) {
    let l = setting("L", 80);
    println!("tall: {n}x{l}");
    let (mut a, mut b) = (Panel::new(n, l), Panel::new(n, l));
    report(
        "  gaussian_panel (GFLOP/s: G entries/s)",
        (n * l) as f64,
        || {
            gaussian_panel(1, 0, 0, &mut a);
        },
    );
    gaussian_panel(1, 1, 0, &mut b);
    let flops = 2.0 * n as f64 * (l * l) as f64;
    let s = tall::cross(&a, &b);
    report("  gram (half counted)", flops / 2.0, || {
        std::hint::black_box(tall::gram(&a));
    });
    report("  cross", flops, || {
        std::hint::black_box(tall::cross(&a, &b));
    });
    let mut out = Panel::new(n, l);
    report("  combine of two", 2.0 * flops, || {
        tall::combine(&[(&a, &s), (&b, &s)], &mut out);
    });
    report("  combine_with_rounding of two", 2.0 * flops, || {
        tall::combine_with_rounding(&[(&a, &s), (&b, &s)], None, &mut out);
    });
    let sigma = vec![1.0; l];
    report("  difference_norms2", flops, || {
        std::hint::black_box(tall::difference_norms2(&a, &s, &b, &sigma));
    });
}

fn eigen() {
    for n in [1024, 2048] {
        let mut a = Panel::from_fn(n, n, |_, _| 0.0);
        gaussian_panel(5, 0, 0, &mut a);
        for i in 0..n {
            let scale = 1.0 / (1.0 + i as f32).sqrt();
            a.row_mut(i).iter_mut().for_each(|entry| *entry *= scale);
        }
        let gram = tall::gram(&a);
        println!("eigen: n {n}");
        report("  leading 64", 0.0, || {
            leading_eigenpairs(&gram, 64, 1).expect("eigenpairs");
        });
        if n <= 2048 {
            report("  all", 0.0, || {
                small::symmetric_eigen(&gram).expect("eigenpairs");
            });
        }
    }
}
