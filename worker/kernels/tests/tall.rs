//! Operations on tall matrices against plain f64 loops.

#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rankmill_kernels::{Panel, Small, tall};
use support::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn gram_and_cross_agree_with_the_triple_loop(
        n in 0usize..700, p in 1usize..40, q in 1usize..40, seed in 0u64..1000,
    ) {
        let mut draw = Draw::new(seed);
        let (a, b) = (draw.panel(n, p), draw.panel(n, q));
        let (wide_a, wide_b) = (rows_of_panel(&a), rows_of_panel(&b));
        let expected = times(&transposed(&wide_a, p), &wide_b, q);
        assert_close(&rows_of_small(&tall::cross(&a, &b)), &expected, 1e-13);
        let gram = tall::gram(&a);
        assert_close(&rows_of_small(&gram), &times(&transposed(&wide_a, p), &wide_a, p), 1e-13);
        prop_assert_eq!(&gram, &gram.transpose());
    }

    #[test]
    fn sums_of_any_length_agree_with_plain_loops(n in 0usize..200, seed in 0u64..1000) {
        let entries = Draw::new(seed).panel(n, 1);
        let wide: Vec<f64> = entries.as_slice().iter().map(|&x| f64::from(x)).collect();
        let (sum, square) = tall::sum_and_square(entries.as_slice());
        prop_assert!((sum - wide.iter().sum::<f64>()).abs() <= 1e-12);
        prop_assert!((square - wide.iter().map(|x| x * x).sum::<f64>()).abs() <= 1e-12);
    }

    #[test]
    fn combine_rounds_the_exact_combination_once(
        n in 0usize..700, p in 1usize..30, q in 1usize..30, columns in 1usize..30,
        weighted in any::<bool>(), seed in 0u64..1000,
    ) {
        let mut draw = Draw::new(seed);
        let (x1, x2) = (draw.panel(n, p), draw.panel(n, q));
        let (s1, s2) = (draw.small(p, columns), draw.small(q, columns));
        let weights: Vec<f64> = (0..n).map(|_| draw.unit()).collect();
        let weights = weighted.then_some(weights.as_slice());
        let first = times(&rows_of_panel(&x1), &rows_of_small(&s1), columns);
        let second = times(&rows_of_panel(&x2), &rows_of_small(&s2), columns);
        let mut out = Panel::new(n, columns);
        let terms = [(&x1, &s1), (&x2, &s2)];
        let lost = tall::combine_with_rounding(&terms, weights, &mut out);
        let mut expected = vec![0.0; columns];
        for i in 0..n {
            for j in 0..columns {
                let exact = first[i][j] + second[i][j];
                let written = f64::from(out.row(i)[j]);
                prop_assert!((written - exact).abs() <= 6e-8 * exact.abs() + 1e-14);
                expected[j] += weights.map_or(1.0, |w| w[i]) * (exact - written).powi(2);
            }
        }
        for (lost, expected) in lost.iter().zip(&expected) {
            prop_assert!((lost - expected).abs() <= 1e-5 * expected + 1e-24);
        }
        let mut plain = Panel::new(n, columns);
        tall::combine(&terms, &mut plain);
        prop_assert_eq!(plain, out);
    }

    #[test]
    fn difference_norms_agree_with_plain_loops(
        n in 0usize..700, l in 1usize..30, k in 1usize..20, seed in 0u64..1000,
    ) {
        let mut draw = Draw::new(seed);
        let (p, s, q) = (draw.panel(n, l), draw.small(l, k), draw.panel(n, k));
        let sigma: Vec<f64> = (0..k).map(|_| draw.unit()).collect();
        let product = times(&rows_of_panel(&p), &rows_of_small(&s), k);
        let found = tall::difference_norms2(&p, &s, &q, &sigma);
        let wide: Vec<f64> = p.as_slice().iter().map(|&x| f64::from(x)).collect();
        prop_assert_eq!(&tall::difference_norms2_f64(&wide, &s, &q, &sigma), &found);
        for j in 0..k {
            let expected: f64 = (0..n)
                .map(|i| (product[i][j] - sigma[j] * f64::from(q.row(i)[j])).powi(2))
                .sum();
            prop_assert!((found[j] - expected).abs() <= 1e-12 * (1.0 + expected));
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let mut draw = Draw::new(8);
    let (a, b) = (draw.panel(20_000, 30), draw.panel(20_000, 13));
    let (s, t) = (draw.small(30, 7), draw.small(13, 7));
    same_on_any_pool(|| {
        let mut out = Panel::new(20_000, 7);
        let lost = tall::combine_with_rounding(&[(&a, &s), (&b, &t)], None, &mut out);
        let norms = tall::difference_norms2(&a, &s, &out, &[0.5; 7]);
        (tall::gram(&a), tall::cross(&a, &b), out, lost, norms)
    });
}

#[test]
fn products_deeper_than_one_tile_are_complete() {
    let mut draw = Draw::new(9);
    let (x, s) = (draw.panel(40, 1100), draw.small(1100, 3));
    let mut out = Panel::new(40, 3);
    tall::combine(&[(&x, &s)], &mut out);
    let expected = times(&rows_of_panel(&x), &rows_of_small(&s), 3);
    assert_close(&rows_of_panel(&out), &expected, 1e-7);
}

#[test]
fn extremes_go_to_the_lowest_row_of_a_tie() {
    let mut a = Panel::new(9000, 3);
    a.row_mut(8999)[0] = -2.0;
    a.row_mut(8000)[0] = 2.0;
    a.row_mut(17)[1] = -3.0;
    a.row_mut(18)[1] = 3.0;
    let found = same_on_any_pool(|| tall::column_extremes(&a));
    let extreme = |magnitude, row, negative| tall::Extreme {
        magnitude,
        row,
        negative,
    };
    assert_eq!(
        found,
        [
            extreme(2.0, 8000, false),
            extreme(3.0, 17, true),
            extreme(0.0, 0, false)
        ]
    );
}

#[test]
fn accumulate_adds_in_double_precision() {
    let mut sum = vec![1.0; 200_000];
    tall::accumulate(&mut sum, &vec![1e-9; 200_000]);
    assert!(sum.iter().all(|&x| x == 1.0 + f64::from(1e-9f32)));
}

#[test]
fn matrices_without_columns_or_rows_are_allowed() {
    let none = Panel::new(5, 0);
    assert_eq!(tall::gram(&none), Small::zeros(0, 0));
    assert_eq!(tall::cross(&none, &Panel::new(5, 2)), Small::zeros(0, 2));
    assert_eq!(tall::gram(&Panel::new(0, 2)), Small::zeros(2, 2));
    let mut out = Panel::new(5, 2);
    tall::combine(&[(&none, &Small::zeros(0, 2))], &mut out);
    assert_eq!(out, Panel::new(5, 2));
    assert_eq!(tall::column_extremes(&Panel::new(0, 2)).len(), 2);
}
