//! The normal product in f64, for the last read of A.

use super::DenseBlock;
use super::multiply::{add_transposed_product, product};
use super::normal::panels;
use crate::block::{Certified, Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::tall::{round, widen};

pub(super) fn certified_normal_multiply(
    block: &DenseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    mut z: Option<&mut [f64]>,
    y: &mut Panel,
    scratch: &mut Scratch,
) -> Certified {
    let (n, l) = (block.ncols, x.ncols());
    let z_len = z.as_deref().map_or(n * l, <[f64]>::len);
    assert_eq!(z_len, n * l, "z is columns of A by columns of x");
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    let mut wide_x = vec![0.0; n * l];
    widen(x.as_slice(), &mut wide_x);
    let mut rounding_error2 = vec![0.0; l];
    for rows in panels(block.nrows) {
        let centered: &mut [f64] = scratch_slice(&mut scratch.x, rows.len() * n);
        block.centered_rows(&rows, mean.map(|mean| mean.columns), centered);
        let exact: &mut [f64] = scratch_slice(&mut scratch.y, rows.len() * l);
        product(centered, n, &wide_x, l, exact);
        let rounded = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        let lost = round(exact, l, rounded, l);
        rounding_error2
            .iter_mut()
            .zip(lost)
            .for_each(|(sum, lost)| *sum += lost);
        // Z belongs to the Y that is kept: what certifies U must be the product with that U.
        if let Some(z) = z.as_deref_mut() {
            widen(rounded, exact);
            add_transposed_product(centered, n, exact, l, z);
        }
    }
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2,
        column_sums: None,
    }
}
