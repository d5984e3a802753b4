//! Leading eigenpairs against the whole decomposition.

#![allow(clippy::unwrap_used)]

mod support;

use rankmill_kernels::{Small, leading_eigenpairs, symmetric_eigen};
use support::*;

/// Q diag(values) Qᵀ for Q a product of three reflections.
fn with_spectrum(values: &[f64], seed: u64) -> Small {
    let n = values.len();
    let mut draw = Draw::new(seed);
    let mut a = Small::diagonal(values);
    for _ in 0..3 {
        let v: Vec<f64> = (0..n).map(|_| f64::from(draw.signed())).collect();
        let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        a = reflect(&reflect(&a, &v, scale).transpose(), &v, scale);
    }
    Small::from_fn(n, n, |i, j| a.get(i.min(j), i.max(j)))
}

/// (I − scale·v vᵀ) a.
fn reflect(a: &Small, v: &[f64], scale: f64) -> Small {
    let n = v.len();
    let mut projection = vec![0.0; n];
    for (i, &vi) in v.iter().enumerate() {
        projection
            .iter_mut()
            .zip(a.row(i))
            .for_each(|(p, entry)| *p += vi * entry);
    }
    Small::from_fn(n, n, |i, j| a.get(i, j) - scale * v[i] * projection[j])
}

fn check(a: &Small, k: usize) {
    let n = a.nrows();
    let (values, vectors) = leading_eigenpairs(a, k, 1).unwrap();
    let (expected, _) = symmetric_eigen(a).unwrap();
    assert_eq!(
        (values.len(), vectors.nrows(), vectors.ncols()),
        (k.min(n), n, k.min(n))
    );
    let limit = 1e-11 * expected[0].max(1e-300);
    for (value, expected) in values.iter().zip(&expected) {
        assert!(
            (value - expected).abs() <= limit,
            "{value} instead of {expected}"
        );
    }
    let residual = a
        .matmul(&vectors)
        .add(&vectors.scale_columns(&values).scale(-1.0));
    for j in 0..values.len() {
        let norm = residual.column(j).iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(norm <= limit, "residual {norm:e} of pair {j}");
    }
    let defect = vectors
        .transposed_matmul(&vectors)
        .add(&Small::identity(k.min(n)).scale(-1.0));
    assert!(
        defect.frobenius() < 1e-11,
        "orthogonality {:e}",
        defect.frobenius()
    );
}

#[test]
fn small_orders_are_decomposed_whole() {
    check(&with_spectrum(&[3.0, 2.0, 1.0, 0.5], 1), 2);
    check(&with_spectrum(&[3.0, 2.0], 2), 5);
}

#[test]
fn a_decaying_spectrum_converges() {
    let values: Vec<f64> = (1..=1100).map(|i| 1.0 / f64::from(i)).collect();
    check(&with_spectrum(&values, 3), 20);
}

#[test]
fn exact_rank_deficiency_is_no_obstacle() {
    let mut values = vec![0.0; 1100];
    values[..5].copy_from_slice(&[9.0, 7.0, 5.0, 3.0, 1.0]);
    check(&with_spectrum(&values, 4), 20);
    check(&Small::zeros(1100, 1100), 10);
}

#[test]
fn clusters_and_flat_tails_are_resolved_or_decomposed_whole() {
    let cluster: Vec<f64> = (0..1100)
        .map(|i| {
            if i < 40 {
                1.0
            } else {
                0.5 - 1e-7 * f64::from(i)
            }
        })
        .collect();
    check(&with_spectrum(&cluster, 5), 20);
    let flat: Vec<f64> = (0..1100).map(|i| 1.0 - 1e-4 * f64::from(i)).collect();
    check(&with_spectrum(&flat, 6), 10);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let values: Vec<f64> = (0..1100).map(|i| 0.99f64.powi(i)).collect();
    let a = with_spectrum(&values, 7);
    same_on_any_pool(|| leading_eigenpairs(&a, 12, 3).unwrap());
}
