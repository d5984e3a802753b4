//! Sparse kernels against plain loops on the densified block.

#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rankmill_kernels::{
    BlockError, Centering, Columns, MatrixBlock, Mean, Panel, Scratch, Segment, SparseBlock, small,
};
use support::*;

/// What each test checks a block with.
#[derive(Debug)]
struct Case {
    owned: OwnedBlock,
    dense: Rows,
    x: Panel,
    l: usize,
    seed: u64,
}

impl Case {
    fn new(nrows: usize, widths: &[usize], l: usize, binary: bool, seed: u64) -> Self {
        let owned = OwnedBlock::random(nrows, widths, 0.3, binary, seed);
        let dense = rows_of(&owned.densified(), nrows, owned.ncols);
        let x = Draw::new(seed + 1).panel(owned.ncols, l);
        Self {
            owned,
            dense,
            x,
            l,
            seed,
        }
    }

    fn means(&self) -> Vec<f64> {
        column_means(&self.dense, self.owned.ncols)
    }

    fn product(&self, a: &Rows) -> Rows {
        times(a, &rows_of_panel(&self.x), self.l)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let widths = prop::collection::vec(0usize..12, 1..5);
    (1usize..60, widths, 1usize..=70, any::<bool>(), 0u64..1000)
        .prop_map(|(nrows, widths, l, binary, seed)| Case::new(nrows, &widths, l, binary, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn multiply_agrees_with_the_triple_loop(case in cases()) {
        let block = case.owned.block();
        block.validate().unwrap();
        let (means, mut scratch) = (case.means(), Scratch::new());
        let product = Mean::product_with(&means, &case.x);
        let mean = Mean { columns: &means, product: &product };
        let mut y = Panel::from_fn(block.nrows, case.l, |_, _| f32::NAN);
        block.multiply(&case.x, None, &mut y, &mut scratch);
        assert_close(&rows_of_panel(&y), &case.product(&case.dense), 1e-5);
        block.multiply(&case.x, Some(&mean), &mut y, &mut scratch);
        let expected = case.product(&centered(&case.dense, &means));
        assert_close(&rows_of_panel(&y), &expected, 1e-5);
    }

    #[test]
    fn multiply_transposed_adds_to_what_is_there(case in cases()) {
        let block = case.owned.block();
        let mut draw = Draw::new(case.seed + 2);
        let y = draw.panel(block.nrows, case.l);
        let mut z = draw.panel(block.ncols, case.l);
        let before = rows_of_panel(&z);
        block.multiply_transposed(&y, &mut z, &mut Scratch::new());
        let mut expected = times(
            &transposed(&case.dense, block.ncols), &rows_of_panel(&y), case.l);
        for (row, before) in expected.iter_mut().zip(&before) {
            row.iter_mut().zip(before).for_each(|(entry, before)| *entry += before);
        }
        assert_close(&rows_of_panel(&z), &expected, 1e-5);
    }

    #[test]
    fn normal_multiply_is_both_products_and_its_sums_complete_the_centering(case in cases()) {
        let block = case.owned.block();
        let (n, l) = (block.ncols, case.l);
        // Not the exact means: then the correction by the column sums is not zero.
        let means: Vec<f64> = case.means().iter().map(|mean| mean + 0.25).collect();
        let product = Mean::product_with(&means, &case.x);
        let mut scratch = Scratch::new();
        let mut z = Panel::new(n, l);
        prop_assert!(block.normal_multiply(&case.x, None, &mut z, &mut scratch).is_none());
        let expected = times(&transposed(&case.dense, n), &case.product(&case.dense), l);
        assert_close(&rows_of_panel(&z), &expected, 1e-5);

        let mean = Mean { columns: &means, product: &product };
        let mut z = Panel::new(n, l);
        let sums = block.normal_multiply(&case.x, Some(&mean), &mut z, &mut scratch).unwrap();
        let mut found = rows_of_panel(&z);
        for (row, mean) in found.iter_mut().zip(&means) {
            row.iter_mut().zip(&sums).for_each(|(entry, sum)| *entry -= mean * sum);
        }
        let a = centered(&case.dense, &means);
        let expected = times(&transposed(&a, n), &case.product(&a), l);
        assert_close(&found, &expected, 2e-5);
    }

    #[test]
    fn the_certified_product_is_exact_to_double_precision(case in cases()) {
        let block = case.owned.block();
        let (n, l) = (block.ncols, case.l);
        let means = case.means();
        let product = Mean::product_with(&means, &case.x);
        let mean = Mean { columns: &means, product: &product };
        let mut z = vec![0.5; n * l];
        let mut y = Panel::new(block.nrows, l);
        let mut scratch = Scratch::new();
        let certified =
            block.certified_normal_multiply(&case.x, Some(&mean), Some(&mut z), &mut y, &mut scratch);
        let exact = case.product(&centered(&case.dense, &means));
        assert_close(&rows_of_panel(&y), &exact, 1e-7);
        let written = rows_of_panel(&y);
        let mut expected = times(&transposed(&case.dense, n), &written, l);
        expected.iter_mut().flatten().for_each(|entry| *entry += 0.5);
        assert_close(&rows_of_f64(&z, n, l), &expected, 1e-13);
        let gram = times(&transposed(&written, l), &written, l);
        assert_close(&rows_of_small(&certified.gram), &gram, 1e-13);
        assert_norms(&certified, &centered(&case.dense, &means), n);
        let plain = block.certified_normal_multiply(&case.x, None, None, &mut y, &mut scratch);
        assert_norms(&plain, &case.dense, n);
        for j in 0..l {
            let lost: f64 = (0..block.nrows).map(|i| (exact[i][j] - written[i][j]).powi(2)).sum();
            prop_assert!((certified.rounding_error2[j] - lost).abs() <= 1e-6 * lost + 1e-24);
            let sum: f64 = written.iter().map(|row| row[j]).sum();
            let found = certified.column_sums.as_ref().unwrap()[j];
            prop_assert!((found - sum).abs() <= 1e-11);
        }
    }

    #[test]
    fn gram_sums_and_norms_agree_with_plain_loops(case in cases()) {
        let block = case.owned.block();
        let n = block.ncols;
        let mut gram = vec![0.0; n * n];
        prop_assert_eq!(block.gram(None, &mut gram), Centering::Complete);
        prop_assert_eq!(block.gram(Some(&case.means()), &mut gram), Centering::LeftToCaller);
        small::mirror_upper(&mut gram, n);
        gram.iter_mut().for_each(|entry| *entry *= 0.5);
        let expected = times(&transposed(&case.dense, n), &case.dense, n);
        assert_close(&rows_of_f64(&gram, n, n), &expected, 1e-13);

        let (mut exact, mut lost) = (vec![0.0; n], vec![0.0; n]);
        block.compensated_column_sums(&mut exact, &mut lost);
        for (j, (sum, lost)) in exact.iter().zip(&lost).enumerate() {
            // Of numbers whose sum is exact in f64, nothing is lost.
            let expected: f64 = case.dense.iter().map(|row| row[j]).sum();
            prop_assert!((sum + lost - expected).abs() < 1e-14 * (1.0 + expected.abs()));
        }
        let mut sums = vec![1.0; n];
        block.column_sums(&mut sums);
        for j in 0..n {
            let sum: f64 = case.dense.iter().map(|row| row[j]).sum();
            prop_assert!((sums[j] - 1.0 - sum).abs() < 1e-12);
        }
        let total: f64 = case.dense.iter().flatten().map(|x| x * x).sum();
        prop_assert!((block.frobenius2() - total).abs() < 1e-10);
    }

    #[test]
    fn vectors_give_the_bits_of_the_scalar_loop(case in cases()) {
        let block = case.owned.block();
        let mut scratch = Scratch::new();
        let mut z = Panel::new(block.ncols, case.l);
        let mut y = Panel::new(block.nrows, case.l);
        block.multiply(&case.x, None, &mut y, &mut scratch);
        block.normal_multiply(&case.x, None, &mut z, &mut scratch);
        let (expected_y, expected_z) = scalar_twin(&case);
        prop_assert_eq!(y, expected_y);
        prop_assert_eq!(z, expected_z);
    }
}

/// Y and Z by one fused multiply-add after the other: columns ascending, rows ascending.
fn scalar_twin(case: &Case) -> (Panel, Panel) {
    let (m, n, l) = (case.owned.nrows, case.owned.ncols, case.l);
    let dense = case.owned.densified();
    let (mut y, mut z) = (Panel::new(m, l), Panel::new(n, l));
    for i in 0..m {
        for j in (0..n).filter(|j| dense[i * n + j] != 0.0) {
            for t in 0..l {
                let sum = dense[i * n + j].mul_add(case.x.row(j)[t], y.row(i)[t]);
                y.row_mut(i)[t] = sum;
            }
        }
        for j in (0..n).filter(|j| dense[i * n + j] != 0.0) {
            for t in 0..l {
                let sum = dense[i * n + j].mul_add(y.row(i)[t], z.row(j)[t]);
                z.row_mut(j)[t] = sum;
            }
        }
    }
    (y, z)
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for l in [1, 37, 80, 150] {
        let case = Case::new(9000, &[5, 0, 3, 4], l, false, 77);
        let block = case.owned.block();
        let means = case.means();
        same_on_any_pool(|| {
            let product = Mean::product_with(&means, &case.x);
            let mean = Mean {
                columns: &means,
                product: &product,
            };
            let mut scratch = Scratch::new();
            let mut y = Panel::new(block.nrows, l);
            let mut z = Panel::new(block.ncols, l);
            let mut wide_z = vec![0.0; block.ncols * l];
            let mut gram = vec![0.0; block.ncols * block.ncols];
            block.multiply(&case.x, Some(&mean), &mut y, &mut scratch);
            block.multiply_transposed(&y, &mut z, &mut scratch);
            let sums = block.normal_multiply(&case.x, Some(&mean), &mut z, &mut scratch);
            let certified = block.certified_normal_multiply(
                &case.x,
                Some(&mean),
                Some(&mut wide_z),
                &mut y,
                &mut scratch,
            );
            block.gram(None, &mut gram);
            (y, z, wide_z, sums, certified, gram, block.frobenius2())
        });
    }
}

#[test]
fn long_blocks_pass_over_several_panels() {
    let case = Case::new(60_000, &[3, 2], 33, false, 5);
    let block = case.owned.block();
    let mut z = Panel::new(block.ncols, case.l);
    block.normal_multiply(&case.x, None, &mut z, &mut Scratch::new());
    let expected = times(
        &transposed(&case.dense, 5),
        &case.product(&case.dense),
        case.l,
    );
    assert_close(&rows_of_panel(&z), &expected, 1e-4);
}

#[test]
fn validation_names_what_is_wrong() {
    let mut owned = OwnedBlock::random(4, &[6, 5], 0.9, false, 3);
    assert_eq!(owned.block().validate(), Ok(()));
    owned.segments[1].width = 2;
    let error = owned.block().validate().unwrap_err();
    assert!(
        matches!(
            error,
            BlockError::ColumnOutOfRange {
                segment: 1,
                width: 2,
                ..
            }
        ),
        "{error}"
    );
    owned.segments[1].first_column = 5;
    let error = owned.block().validate().unwrap_err();
    assert!(
        matches!(error, BlockError::SegmentRange { segment: 1, .. }),
        "{error}"
    );
    owned.segments[0].offsets[2] = -1;
    let error = owned.block().validate().unwrap_err();
    assert_eq!(error, BlockError::OffsetOrder { segment: 0, row: 1 });
    owned.segments[0].offsets[2] = i32::MAX;
    assert!(matches!(
        owned.block().validate(),
        Err(BlockError::OffsetOrder { .. })
    ));
    owned.segments[0].offsets.pop();
    let error = owned.block().validate().unwrap_err();
    assert_eq!(
        error,
        BlockError::OffsetCount {
            segment: 0,
            found: 4,
            nrows: 4
        }
    );
    let owned = OwnedBlock::random(4, &[6], 0.9, false, 3);
    let mut block = owned.block();
    let columns = block.segments[0].columns.len();
    block.segments[0].values = Some(&[1.0]);
    let error = block.validate().unwrap_err();
    assert_eq!(
        error,
        BlockError::ValueCount {
            segment: 0,
            values: 1,
            columns
        }
    );
    block.segments[0].columns = Columns::U16(&[]);
    assert!(block.segments[0].columns.is_empty());
}

#[test]
fn small_weights_of_a_hub_are_summed_whatever_the_large_one() {
    // Added to the large one by itself, each of the small ones is rounded away.
    let (large, small, count) = (2.0f32.powi(30), 0.49 * 2.0f32.powi(-22), 100_000);
    let offsets: Vec<i32> = (0..=count).collect();
    let columns = vec![0u32; count as usize];
    let mut values = vec![small; count as usize];
    values[0] = large;
    let block = |rows: std::ops::Range<usize>| SparseBlock {
        nrows: rows.len(),
        ncols: 1,
        segments: vec![Segment {
            first_column: 0,
            width: 1,
            offsets: &offsets[rows.start..=rows.end],
            columns: Columns::U32(&columns),
            values: Some(&values),
        }],
    };
    let (mut sums, mut lost) = ([0.0], [0.0]);
    for rows in [0..30_000, 30_000..100_000] {
        block(rows).compensated_column_sums(&mut sums, &mut lost);
    }
    let exact = f64::from(large) + f64::from(count - 1) * f64::from(small);
    assert!(
        (sums[0] - exact).abs() <= f64::EPSILON * exact,
        "{} {exact}",
        sums[0]
    );
}
