//! `normal_multiply`, `gram` and `column_residuals`.

use rankmill_common::matrix::{BlockFormat, Precision, RowRange, TallMatrix};
use rankmill_common::operator::normal_multiply::{Certificate, Product};
use rankmill_common::operator::{ColumnResiduals, Gram, NormalMultiply, NormalProduct};

use crate::operator::support::*;
use crate::operator::{column_residuals, gram, normal_multiply};

const FORMATS: [BlockFormat; 2] = [BlockFormat::Sparse, BlockFormat::Dense];

struct Case {
    bench: Bench,
    a: Rows,
    x: Rows,
    mean: Option<Vec<f64>>,
}

impl Case {
    fn new(is_centred: bool) -> (Self, Rows) {
        let a: Rows = numbers(41, 8, 1)
            .iter()
            .map(|row| {
                row.iter()
                    .map(|x| if *x == 0.0 { 0.0 } else { x + 2.0 })
                    .collect()
            })
            .map(|row: Vec<f64>| row.iter().map(|&x| f64::from(x as f32)).collect())
            .collect();
        let (mean, shifted) = centred(&a);
        let operated = if is_centred { shifted } else { a.clone() };
        let case = Self {
            bench: Bench::new(),
            a,
            x: numbers(8, 5, 2),
            mean: is_centred.then_some(mean),
        };
        (case, operated)
    }

    fn mean(&self) -> Option<TallMatrix> {
        let mean = self.mean.as_ref()?;
        Some(self.bench.tall(&column(mean), Precision::Double, 3))
    }

    /// One task per `blocks_per_task` blocks of ten rows.
    fn multiply(&self, format: BlockFormat, product: Product) -> Vec<NormalProduct> {
        let blocks = self.bench.blocks(&self.a, format, 10);
        let tasks = blocks.chunks(3).enumerate();
        tasks
            .map(|(task, blocks)| {
                let parameters = NormalMultiply {
                    format,
                    blocks: blocks.to_vec(),
                    x: self.bench.tall(&self.x, Precision::Single, 3),
                    mean: self.mean(),
                    product,
                };
                let context = self.bench.attempt(&format!("multiply-{task}"));
                normal_multiply::run(&context, &parameters).unwrap()
            })
            .collect()
    }
}

fn add(parts: &[Rows]) -> Rows {
    let mut sum = parts[0].clone();
    for part in &parts[1..] {
        for (sum, part) in sum.iter_mut().flatten().zip(part.iter().flatten()) {
            *sum += part;
        }
    }
    sum
}

#[test]
fn a_normal_product_is_the_product_with_the_transpose() {
    for format in FORMATS {
        for is_centred in [false, true] {
            let (case, a) = Case::new(is_centred);
            let parts = case.multiply(format, Product::Discard);
            assert_eq!(parts.len(), 2);
            assert!(parts.iter().all(|part| part.certificate.is_none()));
            assert!(
                parts
                    .iter()
                    .all(|part| part.z.as_ref().unwrap().precision == Precision::Single)
            );
            let parts: Vec<_> = parts
                .iter()
                .map(|part| case.bench.read_tall(part.z.as_ref().unwrap()))
                .collect();
            let expected = times(&transposed(&a), &times(&a, &case.x));
            assert_close(&add(&parts), &expected, 2e-6);
        }
    }
}

#[test]
fn a_certified_product_knows_what_rounding_lost() {
    for format in FORMATS {
        for is_centred in [false, true] {
            let (case, a) = Case::new(is_centred);
            check_certified(&case, &a, &case.multiply(format, Product::Certify));
        }
    }
}

#[test]
fn a_product_that_is_certified_on_the_left_is_the_same_without_z() {
    for format in FORMATS {
        for is_centred in [false, true] {
            let (case, _) = Case::new(is_centred);
            let both = case.multiply(format, Product::Certify);
            let left = case.multiply(format, Product::CertifyLeft);
            assert_eq!(both.len(), left.len());
            for (both, left) in both.iter().zip(&left) {
                assert!(left.z.is_none());
                let (both, left) = (both.certificate.as_ref(), left.certificate.as_ref());
                let (both, left) = (both.unwrap(), left.unwrap());
                let digests = |c: &Certificate| {
                    let shards = c.y.iter().chain(&c.row_norms2);
                    let objects = shards.map(|shard| shard.object.digest);
                    let small = [c.gram.object.digest, c.rounding.object.digest];
                    objects.chain(small).collect::<Vec<_>>()
                };
                assert_eq!(digests(both), digests(left));
            }
        }
    }
}

fn check_certified(case: &Case, a: &Rows, parts: &[NormalProduct]) {
    let bench = &case.bench;
    let certificates: Vec<&Certificate> = parts
        .iter()
        .map(|part| part.certificate.as_ref().unwrap())
        .collect();
    let shards = |of: fn(&Certificate) -> &Vec<_>| certificates.iter().flat_map(move |c| of(c));
    let y: Rows = shards(|certificate| &certificate.y)
        .flat_map(|shard| bench.read_shard(shard, 5, Precision::Single))
        .collect();
    let exact = times(a, &case.x);
    assert_close(&y, &exact, 1e-7);

    let z: Vec<_> = parts
        .iter()
        .map(|part| bench.read_tall(part.z.as_ref().unwrap()))
        .collect();
    assert!(
        parts
            .iter()
            .all(|part| part.z.as_ref().unwrap().precision == Precision::Double)
    );
    assert_close(&add(&z), &times(&transposed(a), &y), 1e-13);

    let gram: Vec<_> = certificates
        .iter()
        .map(|c| bench.read_small(&c.gram))
        .collect();
    assert_close(&add(&gram), &times(&transposed(&y), &y), 1e-13);
    let lost: Vec<f64> = (0..5)
        .map(|j| (0..y.len()).map(|i| (exact[i][j] - y[i][j]).powi(2)).sum())
        .collect();
    let rounding: Vec<_> = certificates
        .iter()
        .map(|c| bench.read_small(&c.rounding))
        .collect();
    assert_close(&add(&rounding), &vec![lost], 1e-6);

    let norms: Rows = shards(|certificate| &certificate.row_norms2)
        .flat_map(|shard| bench.read_shard(shard, 1, Precision::Double))
        .collect();
    let squares = |rows: &Rows| -> Vec<f64> {
        rows.iter()
            .map(|row| row.iter().map(|x| x * x).sum())
            .collect()
    };
    assert_close(&norms, &column(&squares(a)), 1e-13);
    let norms: Vec<_> = certificates
        .iter()
        .map(|certificate| bench.read_tall(&certificate.column_norms2))
        .collect();
    assert_close(&add(&norms), &column(&squares(&transposed(a))), 1e-12);
}

#[test]
fn a_normal_product_has_the_same_bytes_for_any_number_of_threads() {
    let digests: Vec<_> = [1, 2, 5]
        .iter()
        .map(|&threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let (case, _) = Case::new(true);
                let mut parts = case.multiply(BlockFormat::Sparse, Product::Discard);
                parts.extend(case.multiply(BlockFormat::Sparse, Product::Certify));
                let shards = parts
                    .iter()
                    .flat_map(|part| &part.z.as_ref().unwrap().shards);
                shards.map(|shard| shard.object.digest).collect::<Vec<_>>()
            })
        })
        .collect();
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn a_gram_matrix_is_the_sum_over_tasks() {
    for format in FORMATS {
        for is_centred in [false, true] {
            let (case, a) = Case::new(is_centred);
            let blocks = case.bench.blocks(&case.a, format, 10);
            let parts: Vec<_> = blocks
                .chunks(2)
                .enumerate()
                .map(|(task, blocks)| {
                    let parameters = Gram {
                        format,
                        blocks: blocks.to_vec(),
                        ncols: 8,
                        mean: case.mean(),
                    };
                    let context = case.bench.attempt(&format!("gram-{task}"));
                    let part = gram::run(&context, &parameters).unwrap();
                    case.bench.read_small(&part.gram)
                })
                .collect();
            assert_close(&add(&parts), &times(&transposed(&a), &a), 1e-13);
        }
    }
}

#[test]
fn column_residuals_are_taken_over_their_rows_only() {
    let bench = Bench::new();
    let (p, q) = (numbers(30, 4, 3), numbers(30, 2, 4));
    let s = numbers(4, 3, 5);
    let sigma = vec![1.5, 0.25];
    let leading: Rows = s.iter().map(|row| row[..2].to_vec()).collect();
    let product = times(&p, &leading);
    let expected: Vec<f64> = (0..2)
        .map(|j| {
            let rows = 7..25;
            rows.map(|i: usize| (product[i][j] - sigma[j] * q[i][j]).powi(2))
                .sum()
        })
        .collect();
    for precision in [Precision::Single, Precision::Double] {
        let parameters = ColumnResiduals {
            rows: RowRange {
                start: 7,
                count: 18,
            },
            product: bench.tall(&p, precision, 11),
            transform: bench.small(&s),
            factor: bench.tall(&q, Precision::Single, 9),
            sigma: bench.small(&vec![sigma.clone()]),
        };
        let context = bench.attempt(&format!("residuals-{precision:?}"));
        let parts = column_residuals::run(&context, &parameters).unwrap();
        assert_close(
            &bench.read_small(&parts.squared_norms),
            &vec![expected.clone()],
            1e-13,
        );
    }
}
