//! Kernels on inputs shaped like those of the races, in flops (elements) and bytes per second,
//! beside what the machine can do at best, in one run: `cargo bench -p rankmill-kernels [-- GROUP]`.
//!
//! S: 200k×50k with 20 M Zipf nonzeros; D: dense 200k×512; graph: RMAT 18. `THREADS` sets the
//! threads [2]. Bytes are those gathered by index, or read in order where nothing is gathered.

mod inputs;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use inputs::OwnedBlock;
use rankmill_kernels::graph::{
    self, Increments, Kept, OutEdges, PageRankStep, PowerRows, PowerStep, Pushing, SeedEntry,
    StopAt, Workspace,
};
use rankmill_kernels::{
    DenseBlock, MatrixBlock, Panel, Scratch, gaussian_panel, leading_eigenpairs, limits, small,
    tall,
};
use rayon::ThreadPoolBuilder;

/// Columns of X: those of k = 64.
const L: usize = 96;
/// Columns per segment of the sparse matrix.
const SEGMENT: usize = 8192;

fn threads() -> usize {
    std::env::var("THREADS").map_or(2, |text| text.parse().expect("a number of threads"))
}

/// Sets the threads of all kernels; what is set first holds.
fn start_threads() {
    let _ = ThreadPoolBuilder::new()
        .num_threads(threads())
        .build_global();
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    start_threads();
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    (flops, bytes): (usize, usize),
    mut work: impl FnMut(),
) {
    group.throughput(Throughput::ElementsAndBytes {
        elements: flops as u64,
        bytes: bytes as u64,
    });
    group.bench_function(name, |bencher| bencher.iter(&mut work));
}

fn machine(criterion: &mut Criterion) {
    let mut group = group(criterion, "limits");
    let numbers = 64 << 20;
    let source = vec![1f32; numbers];
    let mut target = vec![0f32; numbers];
    bench(&mut group, "copy of 256 MiB", (1, 8 * numbers), || {
        limits::copy(&source, &mut target);
    });
    for (table, width) in [(4 << 20, 64), (64 << 20, 64), (64 << 20, 16)] {
        let picks = limits::random_rows(table / width, 1 << 20);
        let name = format!("gather {} B rows of {} MiB", 4 * width, table >> 18);
        let adds = picks.len() * width;
        bench(&mut group, &name, (adds, 4 * adds), || {
            black_box(limits::gather(&target[..table], width, &picks));
        });
    }
    let rounds = 1 << 18;
    let flops = limits::multiply_add_flops(threads(), rounds) as usize;
    bench(&mut group, "f32 multiply-add", (flops, 1), || {
        black_box(limits::multiply_add(threads(), rounds));
    });
    group.finish();
}

fn sparse(criterion: &mut Criterion) {
    let mut group = group(criterion, "sparse");
    let owned = OwnedBlock::ratings(200_000, 50_000, 100, SEGMENT);
    let block = owned.block();
    let mut x = Panel::new(block.ncols, L);
    gaussian_panel(1, 0, 0, &mut x);
    let mut y = Panel::new(block.nrows, L);
    let mut z = Panel::new(block.ncols, L);
    let mut scratch = Scratch::new();
    let (flops, bytes) = (2 * block.nnz() * L, 4 * block.nnz() * L);
    bench(&mut group, "A X", (flops, bytes), || {
        block.multiply(&x, None, &mut y, &mut scratch);
    });
    bench(&mut group, "AᵀY", (flops, bytes), || {
        block.multiply_transposed(&y, &mut z, &mut scratch);
    });
    bench(&mut group, "Aᵀ(A X)", (2 * flops, 2 * bytes), || {
        block.normal_multiply(&x, None, &mut z, &mut scratch);
    });
    let mut wide = vec![0.0; block.ncols * L];
    bench(
        &mut group,
        "Aᵀ(A X), certified",
        (2 * flops, 4 * bytes),
        || {
            block.certified_normal_multiply(&x, None, Some(&mut wide), &mut y, &mut scratch);
        },
    );
    group.finish();
}

fn dense(criterion: &mut Criterion) {
    let mut group = group(criterion, "dense");
    let (nrows, ncols) = (200_000, 512);
    let mut values = Panel::new(nrows, ncols);
    gaussian_panel(3, 0, 0, &mut values);
    let block = DenseBlock::new(nrows, ncols, [values.as_slice()]);
    let bytes = 4 * nrows * ncols;
    let mut gram = vec![0.0; ncols * ncols];
    let half = nrows * ncols * (ncols + 1);
    bench(&mut group, "AᵀA", (half, bytes), || {
        block.gram(None, &mut gram);
    });
    let mut x = Panel::new(ncols, L);
    gaussian_panel(1, 0, 0, &mut x);
    let mut z = Panel::new(ncols, L);
    let mut scratch = Scratch::new();
    let flops = 4 * nrows * ncols * L;
    bench(&mut group, "Aᵀ(A X)", (flops, bytes), || {
        block.normal_multiply(&x, None, &mut z, &mut scratch);
    });
    let mut wide = vec![0.0; ncols * L];
    let mut y = Panel::new(nrows, L);
    bench(&mut group, "Aᵀ(A X), certified", (flops, bytes), || {
        block.certified_normal_multiply(&x, None, Some(&mut wide), &mut y, &mut scratch);
    });
    bench(&mut group, "A X, certified", (flops / 2, bytes), || {
        block.certified_normal_multiply(&x, None, None, &mut y, &mut scratch);
    });
    group.finish();
}

fn tall_matrices(criterion: &mut Criterion) {
    let mut group = group(criterion, "tall");
    let n = 200_000;
    let (mut a, mut b) = (Panel::new(n, L), Panel::new(n, L));
    bench(&mut group, "gaussian numbers", (n * L, 4 * n * L), || {
        gaussian_panel(1, 0, 0, &mut a);
    });
    gaussian_panel(1, 1, 0, &mut b);
    let (flops, bytes) = (2 * n * L * L, 4 * n * L);
    let s = tall::cross(&a, &b);
    bench(&mut group, "XᵀX", (flops / 2, bytes), || {
        black_box(tall::gram(&a));
    });
    bench(&mut group, "XᵀY", (flops, 2 * bytes), || {
        black_box(tall::cross(&a, &b));
    });
    let mut out = Panel::new(n, L);
    bench(&mut group, "X S + Y T", (2 * flops, 3 * bytes), || {
        tall::combine(&[(&a, &s), (&b, &s)], &mut out);
    });
    group.finish();
}

fn small_matrices(criterion: &mut Criterion) {
    let mut group = group(criterion, "small");
    let n = 512;
    let mut a = Panel::new(4 * n, n);
    gaussian_panel(5, 0, 0, &mut a);
    let gram = tall::gram(&a);
    let cube = n * n * n;
    bench(&mut group, "64 of 512 eigenpairs", (cube, 1), || {
        black_box(leading_eigenpairs(&gram, 64, 1).expect("eigenpairs"));
    });
    bench(&mut group, "512 eigenpairs", (cube, 1), || {
        black_box(small::symmetric_eigen(&gram).expect("eigenpairs"));
    });
    group.finish();
}

fn graphs(criterion: &mut Criterion) {
    let mut group = group(criterion, "graph");
    let owned = OwnedBlock::rmat(18);
    let block = owned.block();
    page_rank(&mut group, &block);
    power::<f32>(&mut group, &block, "f32");
    power::<f64>(&mut group, &block, "f64");
    push(&mut group, &block);
    group.finish();
}

type Block<'a> = rankmill_kernels::SparseBlock<'a>;

fn page_rank(group: &mut BenchmarkGroup<'_, WallTime>, block: &Block<'_>) {
    let n = block.nrows;
    let mut strengths = vec![0.0; n];
    block.column_sums(&mut strengths);
    let inverse = graph::inverse_strengths(&strengths);
    let mut x = vec![1.0 / n as f64; n];
    let (mut scaled, mut next) = (vec![0.0; n], vec![0.0; n]);
    let dangling = graph::scale(&x, &inverse, &mut scaled);
    bench(
        group,
        "PageRank step",
        (2 * block.nnz(), 8 * block.nnz()),
        || {
            let step = PageRankStep {
                damping: 0.85,
                share: (0.15 + 0.85 * dangling) / n as f64,
                self_loops: false,
                inverse: &inverse,
                scaled: &scaled,
            };
            black_box(graph::page_rank_step(block, &step, &mut x, &mut next));
        },
    );
}

fn power<A: Kept>(group: &mut BenchmarkGroup<'_, WallTime>, block: &Block<'_>, number: &str) {
    let (n, width) = (block.nrows, 32);
    let mut strengths = vec![0.0; n];
    block.column_sums(&mut strengths);
    let inverse = graph::inverse_strengths(&strengths);
    let (mut moved, mut next) = (Increments::default(), Increments::default());
    moved.clear(n * width);
    next.clear(n * width);
    let (mut left, mut estimate) = (vec![A::default(); n * width], vec![A::default(); n * width]);
    let seeds: Vec<SeedEntry> = (0..width as u32)
        .map(|column| SeedEntry {
            vertex: column,
            column,
            weight: 1.0,
        })
        .collect();
    let rows = PowerRows {
        next: moved.as_mut_slice(),
        left: &mut left,
        estimate: &mut estimate,
    };
    graph::place_seeds(&seeds, &inverse, width, rows);
    let zeros = vec![0.0; width];
    let numbers = block.nnz() * width;
    let name = format!("step of 32 sources, kept in {number}");
    bench(group, &name, (2 * numbers, 2 * numbers), || {
        let step = PowerStep {
            damping: 0.85,
            width,
            anew: &zeros,
            share: &zeros,
            self_loops: false,
            seeds: &seeds,
            inverse: &inverse,
            unit: 1.0,
            moved: moved.as_slice(),
            count: false,
            omega: None,
        };
        let rows = PowerRows {
            next: next.as_mut_slice(),
            left: &mut left,
            estimate: &mut estimate,
        };
        black_box(A::power_step(block, 0, &step, rows));
        std::mem::swap(&mut moved, &mut next);
    });
}

/// The transposed graph will do: its vertices have the same kind of neighbours.
fn push(group: &mut BenchmarkGroup<'_, WallTime>, block: &Block<'_>) {
    let views = [block.clone()];
    let graph = OutEdges::new(&views);
    let mut workspace = Workspace::new(graph.vertices());
    let pushing = Pushing {
        damping: 0.85,
        self_loops: false,
        tol: 1e-2,
        stop: StopAt::Bound,
        top_k: 100,
        max_edges: u64::MAX,
        spread: f64::INFINITY,
    };
    let place = |index| index;
    let source = [((graph.vertices() / 1000) as u32, 1.0)];
    let edges = workspace.push(&graph, &source, &pushing, &place).edges as usize;
    bench(group, "push to 1e-2", (2 * edges, 16 * edges), || {
        black_box(workspace.push(&graph, &source, &pushing, &place));
    });
}

criterion_group!(
    benches,
    machine,
    sparse,
    dense,
    tall_matrices,
    small_matrices,
    graphs
);
criterion_main!(benches);
