//! Factorizations that are none: diagonal matrices and products.

use rankmill_common::{Error, Result};
use rankmill_kernels::Small;

/// diag(values).
pub(super) fn diagonal(values: &[f64]) -> Small {
    let order = values.len();
    Small::from_fn(order, order, |i, j| if i == j { values[i] } else { 0.0 })
}

/// left · right.
pub(super) fn multiply(left: &Small, right: &Small) -> Result<Small> {
    if left.ncols() != right.nrows() {
        return Err(Error::internal(format!(
            "a matrix of {} columns is multiplied by one of {} rows",
            left.ncols(),
            right.nrows()
        )));
    }
    Ok(left.matmul(right))
}
