//! ‖P S − Q diag(σ)‖² per column, over one range of rows, in f64.

use rankmill_common::operator::{ColumnResiduals, ResidualParts};
use rankmill_common::{Error, Result};
use rankmill_kernels::tall::{difference_norms2, difference_norms2_f64};

use super::small_matrix;
use super::tall_matrix::Rows;
use crate::context::TaskContext;
use crate::storage::tall;

pub(super) fn run(context: &TaskContext, parameters: &ColumnResiduals) -> Result<ResidualParts> {
    let ColumnResiduals {
        rows,
        product,
        transform,
        factor,
        sigma,
    } = parameters;
    let k = factor.ncols as usize;
    if transform.nrows != product.ncols || transform.ncols < factor.ncols {
        return Err(Error::internal(format!(
            "a product of {} columns is turned into {k} by a {} x {} matrix",
            product.ncols, transform.nrows, transform.ncols
        )));
    }
    let s = small_matrix::read(context, transform)?.submatrix(0..product.ncols as usize, 0..k);
    let sigma = small_matrix::read_row(context, sigma, k)?;
    let q = tall::share_panel(context, factor, *rows)?;
    let squared_norms = match Rows::read(context, product, *rows)? {
        Rows::Single(p) => difference_norms2(&p, &s, &q, &sigma),
        Rows::Double(p) => difference_norms2_f64(&p, &s, &q, &sigma),
    };
    Ok(ResidualParts {
        squared_norms: small_matrix::write_row(context, "squared-norms", &squared_norms)?,
    })
}
