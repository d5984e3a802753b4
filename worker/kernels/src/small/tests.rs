#![allow(clippy::unwrap_used)]

use super::*;

fn random(nrows: usize, ncols: usize, seed: u64) -> Small {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    Small::from_fn(nrows, ncols, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// Triple loop: shares nothing with [`Small::matmul`].
fn naive_product(a: &Small, b: &Small) -> Small {
    Small::from_fn(a.nrows(), b.ncols(), |i, j| {
        (0..a.ncols()).map(|k| a.get(i, k) * b.get(k, j)).sum()
    })
}

fn assert_close(a: &Small, b: &Small, tolerance: f64) {
    assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()));
    let worst = a
        .add(&b.scale(-1.0))
        .as_slice()
        .iter()
        .fold(0.0, |m: f64, x| m.max(x.abs()));
    assert!(worst <= tolerance, "worst difference {worst:e}");
}

#[test]
fn products_agree_with_the_triple_loop() {
    for (m, k, n) in [(1, 1, 1), (3, 5, 2), (40, 70, 33), (0, 3, 2)] {
        let (a, b) = (random(m, k, 1), random(k, n, 2));
        assert_close(&a.matmul(&b), &naive_product(&a, &b), 1e-12);
        assert_close(
            &a.transpose().transposed_matmul(&b),
            &naive_product(&a, &b),
            1e-12,
        );
    }
}

#[test]
fn stacking_and_cutting_are_inverse() {
    let (a, b) = (random(4, 3, 1), random(4, 2, 2));
    let wide = a.hstack(&b);
    assert_eq!(wide.submatrix(0..4, 0..3), a);
    assert_eq!(wide.submatrix(0..4, 3..5), b);
    let tall = a.transpose().vstack(&b.transpose());
    assert_eq!(tall, wide.transpose());
}

#[test]
fn eigenvalues_descend_and_vectors_diagonalize() {
    for n in [1, 2, 17, 90] {
        let half = random(n, n, n as u64);
        let a = half.add(&half.transpose());
        let (values, vectors) = symmetric_eigen(&a).unwrap();
        for (alone, value) in symmetric_eigenvalues(&a).unwrap().iter().zip(&values) {
            assert!((alone - value).abs() <= 1e-12 * values[0].abs().max(1.0));
        }
        assert!(values.is_sorted_by(|x, y| x >= y));
        let rebuilt = naive_product(&vectors.scale_columns(&values), &vectors.transpose());
        assert_close(&rebuilt, &a, 1e-12 * n as f64);
        let gram = naive_product(&vectors.transpose(), &vectors);
        assert_close(&gram, &Small::identity(n), 1e-12);
    }
}

#[test]
fn cholesky_rebuilds_its_matrix_and_its_inverse_is_one() {
    let half = random(30, 30, 5);
    let a = naive_product(&half.transpose(), &half).add(&Small::identity(30));
    let r = cholesky(&a).unwrap();
    assert_close(&naive_product(&r.transpose(), &r), &a, 1e-12);
    let inverse = upper_inverse(&r).unwrap();
    assert_close(&naive_product(&r, &inverse), &Small::identity(30), 1e-12);
}

#[test]
fn cholesky_names_the_pivot_that_fails() {
    let a = Small::diagonal(&[1.0, 2.0, -1.0, 3.0]);
    assert_eq!(
        cholesky(&a),
        Err(SmallError::NotPositiveDefinite { index: 2 })
    );
}

#[test]
fn svd_rebuilds_wide_and_tall_matrices() {
    for (m, n) in [(6, 9), (9, 6), (1, 4), (0, 3)] {
        let a = random(m, n, 3);
        let Svd { u, values, v } = svd(&a).unwrap();
        assert!(values.is_sorted_by(|x, y| x >= y));
        assert_close(
            &naive_product(&u.scale_columns(&values), &v.transpose()),
            &a,
            1e-13,
        );
    }
}

#[test]
fn bad_input_is_named() {
    let mut a = Small::identity(3);
    a.set(1, 2, f64::NAN);
    let expected = SmallError::NotFinite { row: 1, column: 2 };
    assert_eq!(symmetric_eigen(&a).unwrap_err(), expected);
    assert_eq!(symmetric_eigenvalues(&a).unwrap_err(), expected);
    assert_eq!(cholesky(&a).unwrap_err(), expected);
    assert_eq!(svd(&a).unwrap_err(), expected);
    let wide = Small::zeros(2, 3);
    assert_eq!(
        cholesky(&wide).unwrap_err(),
        SmallError::NotSquare { nrows: 2, ncols: 3 }
    );
    let singular = Small::diagonal(&[1.0, 0.0]);
    assert_eq!(
        upper_inverse(&singular).unwrap_err(),
        SmallError::Singular { index: 1 }
    );
}

#[test]
fn graded_columns_are_orthonormalized_without_loss() {
    let grades: Vec<f64> = (0..12).map(|j| 10f64.powi(-j)).collect();
    let w = random(60, 12, 9).scale_columns(&grades);
    let result = scaled_rank_revealing_orthonormalizer(&naive_product(&w.transpose(), &w), 1e-14);
    let Orthonormalizer {
        transform,
        factor,
        rank,
    } = result.unwrap();
    assert_eq!(rank, 12);
    let q = naive_product(&w, &transform);
    assert_close(
        &naive_product(&q.transpose(), &q),
        &Small::identity(12),
        1e-13,
    );
    assert_close(&naive_product(&q, &factor), &w, 1e-13);
}

#[test]
fn dependent_columns_are_dropped() {
    let independent = random(50, 4, 11);
    let w = independent.hstack(&naive_product(&independent, &random(4, 3, 12)));
    let result = scaled_rank_revealing_orthonormalizer(&naive_product(&w.transpose(), &w), 1e-12);
    let Orthonormalizer {
        transform,
        factor,
        rank,
    } = result.unwrap();
    assert_eq!(rank, 4);
    let q = naive_product(&w, &transform);
    assert_close(
        &naive_product(&q.transpose(), &q),
        &Small::identity(4),
        1e-10,
    );
    assert_close(&naive_product(&q, &factor), &w, 1e-6);
}

#[test]
fn a_direction_at_the_floor_is_dropped_and_one_above_it_stays() {
    let gram = Small::diagonal(&[4.0, 1.0, 0.25]);
    let rank = |floor| {
        scaled_rank_revealing_orthonormalizer(&gram, floor)
            .unwrap()
            .rank
    };
    assert_eq!(rank(0.4), 3);
    assert_eq!(rank(0.5), 2);
    assert_eq!(rank(1.5), 1);
    assert_eq!(rank(3.0), 0);
    assert_eq!(
        scaled_rank_revealing_orthonormalizer(&Small::zeros(0, 0), 0.0)
            .unwrap()
            .rank,
        0
    );
}

#[test]
fn empty_matrices_have_empty_factorizations() {
    let empty = Small::zeros(0, 0);
    assert_eq!(symmetric_eigen(&empty), Ok((Vec::new(), empty.clone())));
    assert_eq!(symmetric_eigenvalues(&empty), Ok(Vec::new()));
    assert_eq!(cholesky(&empty), Ok(empty.clone()));
    let found = svd(&Small::zeros(3, 0)).unwrap();
    assert_eq!((found.u.nrows(), found.values.len()), (3, 0));
    let found = scaled_rank_revealing_orthonormalizer(&empty, 0.0).unwrap();
    assert_eq!(found.rank, 0);
}
