//! Column norms of P S − Q diag(σ): how far left vectors are from what the operator makes of the
//! right ones.

use super::combine::{Workspace, add_product};
use super::tiles;
use crate::panel::Panel;
use crate::reduce::{chunk_count, chunk_rows, ordered_sum};
use crate::simd::vectorized;
use crate::small::Small;
use std::ops::Range;

/// Per column j, ‖(P S)ⱼ − σⱼ Qⱼ‖² in f64, for `p` n×l, `s` l×k, `q` n×k and k `sigma`.
///
/// # Panics
/// If shapes disagree.
pub fn difference_norms2(p: &Panel, s: &Small, q: &Panel, sigma: &[f64]) -> Vec<f64> {
    assert_eq!(p.nrows(), q.nrows(), "same rows");
    check_shapes(p.ncols(), s, q, sigma);
    let terms = [(p, s)];
    norms2(p.ncols(), q, sigma, |rows, workspace| {
        workspace.combine_rows(&terms, rows, s.ncols());
    })
}

/// [`difference_norms2`] for a P in f64, row-major, n×l.
///
/// # Panics
/// If shapes disagree.
pub fn difference_norms2_f64(p: &[f64], s: &Small, q: &Panel, sigma: &[f64]) -> Vec<f64> {
    assert_eq!(p.len(), q.nrows() * s.nrows(), "same rows");
    check_shapes(s.nrows(), s, q, sigma);
    let l = s.nrows();
    norms2(0, q, sigma, |rows, workspace| {
        let product = &mut workspace.product[..rows.len() * s.ncols()];
        product.fill(0.0);
        add_product(&p[rows.start * l..rows.end * l], rows.len(), s, product);
    })
}

fn check_shapes(l: usize, s: &Small, q: &Panel, sigma: &[f64]) {
    assert_eq!(l, s.nrows(), "inner dimensions agree");
    assert_eq!(s.ncols(), q.ncols(), "same columns");
    assert_eq!(sigma.len(), q.ncols(), "one sigma per column");
}

/// Column sums of (product − q σ)²; `fill` writes the product's rows, by way of terms of `width`.
fn norms2(
    width: usize,
    q: &Panel,
    sigma: &[f64],
    fill: impl Fn(Range<usize>, &mut Workspace) + Sync,
) -> Vec<f64> {
    let columns = q.ncols();
    if columns == 0 {
        return Vec::new();
    }
    ordered_sum(chunk_count(q.nrows()), columns, |chunk, sum| {
        let mut workspace = Workspace::new(width, columns);
        for rows in tiles(chunk_rows(chunk, q.nrows())) {
            fill(rows.clone(), &mut workspace);
            vectorized(
                #[inline(always)]
                || {
                    for (row, product) in rows.zip(workspace.product.chunks_exact(columns)) {
                        let entries = product.iter().zip(q.row(row)).zip(sigma);
                        for (sum, ((&product, &q), &sigma)) in sum.iter_mut().zip(entries) {
                            let difference = sigma.mul_add(-f64::from(q), product);
                            *sum = difference.mul_add(difference, *sum);
                        }
                    }
                },
            );
        }
    })
}
