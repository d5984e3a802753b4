//! Dense kernels against the triple loop.

#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rankmill_kernels::{Centering, DenseBlock, MatrixBlock, Mean, Panel, Scratch, small};
use support::*;

#[derive(Debug)]
struct Case {
    values: Panel,
    dense: Rows,
    x: Panel,
}

impl Case {
    fn new(nrows: usize, ncols: usize, l: usize, seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        // Far from zero mean: what centering is for.
        let values = Panel::from_fn(nrows, ncols, |_, j| draw.signed() + j as f32);
        let dense = rows_of_panel(&values);
        Self {
            values,
            dense,
            x: draw.panel(ncols, l),
        }
    }

    fn block(&self) -> DenseBlock<'_> {
        let (nrows, ncols) = (self.values.nrows(), self.values.ncols());
        DenseBlock::new(nrows, ncols, [self.values.as_slice()])
    }

    fn product(&self, a: &Rows) -> Rows {
        times(a, &rows_of_panel(&self.x), self.x.ncols())
    }
}

fn cases() -> impl Strategy<Value = Case> {
    (1usize..70, 1usize..40, 1usize..=40, 0u64..1000)
        .prop_map(|(nrows, ncols, l, seed)| Case::new(nrows, ncols, l, seed))
}

fn check(case: &Case) {
    let block = case.block();
    block.validate().unwrap();
    let (m, n, l) = (block.nrows, block.ncols, case.x.ncols());
    let means = column_means(&case.dense, n);
    let product = Mean::product_with(&means, &case.x);
    let mean = Mean {
        columns: &means,
        product: &product,
    };
    let mut scratch = Scratch::new();
    for (mean, a) in [
        (None, case.dense.clone()),
        (Some(&mean), centered(&case.dense, &means)),
    ] {
        let y_exact = case.product(&a);
        let z_exact = times(&transposed(&a, n), &y_exact, l);

        let mut y = Panel::from_fn(m, l, |_, _| f32::NAN);
        block.multiply(&case.x, mean, &mut y, &mut scratch);
        assert_close(&rows_of_panel(&y), &y_exact, 1e-5);

        let mut z = Panel::new(n, l);
        assert!(
            block
                .normal_multiply(&case.x, mean, &mut z, &mut scratch)
                .is_none()
        );
        assert_close(&rows_of_panel(&z), &z_exact, 1e-5);

        let mut z = vec![0.0; n * l];
        let certified =
            block.certified_normal_multiply(&case.x, mean, Some(&mut z), &mut y, &mut scratch);
        assert_close(&rows_of_panel(&y), &y_exact, 1e-7);
        let written = rows_of_panel(&y);
        let z_written = times(&transposed(&a, n), &written, l);
        assert_close(&rows_of_f64(&z, n, l), &z_written, 1e-13);
        let gram = times(&transposed(&written, l), &written, l);
        assert_close(&rows_of_small(&certified.gram), &gram, 1e-13);
        assert_norms(&certified, &a, n);
        let mut alone = Panel::new(m, l);
        let certified =
            block.certified_normal_multiply(&case.x, mean, None, &mut alone, &mut scratch);
        assert_close(&rows_of_panel(&alone), &y_exact, 1e-7);
        let gram = times(
            &transposed(&rows_of_panel(&alone), l),
            &rows_of_panel(&alone),
            l,
        );
        assert_close(&rows_of_small(&certified.gram), &gram, 1e-13);
        assert_norms(&certified, &a, n);
        assert!(
            certified
                .rounding_error2
                .iter()
                .all(|lost| lost.is_finite())
        );

        let mut gram = vec![0.0; n * n];
        let columns = mean.map(|mean| mean.columns);
        assert_eq!(block.gram(columns, &mut gram), Centering::Complete);
        small::mirror_upper(&mut gram, n);
        assert_close(
            &rows_of_f64(&gram, n, n),
            &times(&transposed(&a, n), &a, n),
            1e-13,
        );
    }
    let y = Draw::new(9).panel(m, l);
    let mut z = Panel::new(n, l);
    block.multiply_transposed(&y, &mut z, &mut scratch);
    let expected = times(&transposed(&case.dense, n), &rows_of_panel(&y), l);
    assert_close(&rows_of_panel(&z), &expected, 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_agree_with_the_triple_loop(case in cases()) {
        check(&case);
    }

    #[test]
    fn sums_and_norms_agree_with_plain_loops(case in cases()) {
        let block = case.block();
        let mut sums = vec![1.0; block.ncols];
        block.column_sums(&mut sums);
        for (j, found) in sums.iter().enumerate() {
            let sum: f64 = case.dense.iter().map(|row| row[j]).sum();
            prop_assert!((found - 1.0 - sum).abs() < 1e-9);
        }
        let total: f64 = case.dense.iter().flatten().map(|x| x * x).sum();
        prop_assert!((block.frobenius2() - total).abs() <= 1e-12 * total);
    }
}

#[test]
fn shapes_beyond_one_tile_agree_too() {
    check(&Case::new(1100, 530, 17, 4));
    check(&Case::new(5000, 9, 3, 5));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let case = Case::new(4700, 300, 37, 6);
    let block = case.block();
    let means = column_means(&case.dense, 300);
    same_on_any_pool(|| {
        let product = Mean::product_with(&means, &case.x);
        let mean = Mean {
            columns: &means,
            product: &product,
        };
        let mut scratch = Scratch::new();
        let mut y = Panel::new(block.nrows, 37);
        let mut z = Panel::new(300, 37);
        let mut wide_z = vec![0.0; 300 * 37];
        let mut gram = vec![0.0; 300 * 300];
        block.normal_multiply(&case.x, Some(&mean), &mut z, &mut scratch);
        let certified =
            block.certified_normal_multiply(&case.x, None, Some(&mut wide_z), &mut y, &mut scratch);
        block.gram(Some(&means), &mut gram);
        let mut sums = vec![0.0; 300];
        block.column_sums(&mut sums);
        (z, wide_z, y, certified, gram, sums)
    });
}

#[test]
fn a_block_of_the_wrong_length_is_refused() {
    let rows = DenseBlock::BATCH_ROWS;
    let numbers = vec![0.0; 3 * rows + 6];
    let check = |nrows, parts: &[&[f32]]| {
        let parts = parts.iter().copied();
        DenseBlock::new(nrows, 3, parts).validate().is_ok()
    };
    assert!(check(rows + 2, &[&numbers]));
    assert!(check(
        rows + 2,
        &[&numbers[..3 * rows], &numbers[3 * rows..]]
    ));
    assert!(!check(rows + 2, &[&numbers[..6], &numbers[6..]]));
    assert!(!check(rows + 2, &[&numbers[1..]]));
    assert!(!check(rows + 1, &[&numbers]));
    assert!(!check(2, &[]));
    assert!(!check(0, &[&numbers]));
}
