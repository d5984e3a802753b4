//! Checks a result against the truth: singular values, orthogonality, residuals, all in f64.

use std::path::Path;

use crate::input::Entries;
use crate::reference::Reference;
use crate::result::FactorFiles;

/// How far singular values may be from scipy's, relatively.
pub const VALUE_TOLERANCE: f64 = 1e-4;
/// How far factors may be from orthonormal.
pub const ORTHOGONALITY_TOLERANCE: f64 = 1e-5;
/// How far reported residuals may be from recomputed ones, relatively.
pub const RESIDUAL_TOLERANCE: f64 = 0.1;
/// Differences below this share of σ₁ are the rounding of f32 vectors, one unit in the last place.
pub const ROUNDING: f64 = 1e-7;

/// Everything that a result promises.
///
/// # Panics
///
/// If a promise is broken; the message names the matrix and the component.
pub fn check(reference: &Reference, folder: &Path) {
    let result = FactorFiles::read(folder);
    check_values(reference, &result);
    let name = &reference.name;
    for (side, factor) in [("left", &result.left), ("right", &result.right)] {
        let error = factor.orthogonality_error();
        assert!(
            error <= ORTHOGONALITY_TOLERANCE,
            "{name}: {side} is off by {error:.1e}"
        );
    }
    assert_eq!(result.manifest["convergence"]["converged"], true, "{name}");
    if reference.transform.is_none() {
        check_residuals(reference, &result);
    }
}

/// Singular values against the truth, and their order.
///
/// # Panics
///
/// If one is off.
pub fn check_values(reference: &Reference, result: &FactorFiles) {
    let name = &reference.name;
    let truth = &reference.singular_values;
    assert!(result.values.len() <= truth.len(), "{name}");
    assert!(
        result.values.is_sorted_by(|a, b| a >= b),
        "{name}: not descending"
    );
    for (i, (value, truth_i)) in result.values.iter().zip(truth).enumerate() {
        let allowed = (VALUE_TOLERANCE * truth_i).max(ROUNDING * truth[0] * 10.0);
        assert!(
            (value - truth_i).abs() <= allowed,
            "{name}: σ[{i}] is {value}, should be {truth_i} (off by {:.1e})",
            (value - truth_i).abs() / truth_i
        );
    }
}

/// Reported residuals against those of the vectors on disk.
fn check_residuals(reference: &Reference, result: &FactorFiles) {
    let entries = Entries::read(reference);
    let actual = residuals(&entries, result, reference.center);
    for (j, (reported, actual)) in result.residuals.iter().zip(actual).enumerate() {
        let allowed = (RESIDUAL_TOLERANCE * actual).max(ROUNDING);
        assert!(
            (reported - actual).abs() <= allowed,
            "{}: residual {j} is reported as {reported:.3e} and is {actual:.3e}",
            reference.name
        );
    }
}

/// The larger of ‖A v − σ u‖ and ‖Aᵀu − σ v‖ of each component, over σ₁, of the centred A where asked.
///
/// # Panics
///
/// If the factors lack an id of the matrix.
pub fn residuals(entries: &Entries, result: &FactorFiles, center: bool) -> Vec<f64> {
    let (left, right) = products(entries, result, center);
    let sigma1 = result.values[0].max(f64::MIN_POSITIVE);
    let of_component = |j: usize| {
        let norm = |product: &[f64], factor: &crate::result::Factor| {
            let rows = product
                .chunks_exact(factor.k)
                .zip(factor.vectors.chunks_exact(factor.k));
            let squares = rows.map(|(p, f)| (p[j] - result.values[j] * f[j]).powi(2));
            squares.sum::<f64>().sqrt() / sigma1
        };
        norm(&left, &result.left).max(norm(&right, &result.right))
    };
    (0..result.values.len()).map(of_component).collect()
}

/// A V and AᵀU, of the centred A where asked.
fn products(entries: &Entries, result: &FactorFiles, center: bool) -> (Vec<f64>, Vec<f64>) {
    let k = result.left.k;
    let (m, n) = (result.left.index.len(), result.right.index.len());
    let (mut left, mut right) = (vec![0.0; m * k], vec![0.0; n * k]);
    let mut mean = vec![0.0; n];
    for ((row, col), value) in &entries.values {
        let (i, j) = (result.left.index[row], result.right.index[col]);
        mean[j] += value / m as f64;
        for c in 0..k {
            left[i * k + c] += value * result.right.row(j)[c];
            right[j * k + c] += value * result.left.row(i)[c];
        }
    }
    if center {
        let sum = |factor: &crate::result::Factor, weights: Option<&[f64]>| {
            let mut sums = vec![0.0; k];
            for (i, row) in factor.vectors.chunks_exact(k).enumerate() {
                let weight = weights.map_or(1.0, |weights| weights[i]);
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, x)| *sum += weight * x);
            }
            sums
        };
        let mean_v = sum(&result.right, Some(&mean));
        let ones_u = sum(&result.left, None);
        left.chunks_exact_mut(k)
            .for_each(|row| row.iter_mut().zip(&mean_v).for_each(|(x, m)| *x -= m));
        for (row, mean) in right.chunks_exact_mut(k).zip(&mean) {
            row.iter_mut()
                .zip(&ones_u)
                .for_each(|(x, u)| *x -= mean * u);
        }
    }
    (left, right)
}
