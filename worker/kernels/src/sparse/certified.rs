//! The normal product in f64, for the last read of A: what certifies the answer.

use super::distances::squared_norms;
use super::normal::{add_column_sums, panels};
use super::phases::{gather_panel, pad, scatter_panel};
use super::tiles::{self, Tiles};
use super::{SparseBlock, padded};
use crate::block::{Certified, Mean, Scratch, scratch_slice};
use crate::panel::Panel;
use crate::tall::round;

pub(super) fn certified_normal_multiply(
    block: &SparseBlock,
    x: &Panel,
    mean: Option<&Mean>,
    z: Option<&mut [f64]>,
    y: &mut Panel,
    scratch: &mut Scratch,
) -> Certified {
    let l = x.ncols();
    let z_len = block.ncols * l;
    assert_eq!(
        z.as_deref().map_or(z_len, <[f64]>::len),
        z_len,
        "z is columns of A by columns of x"
    );
    assert_eq!(
        (y.nrows(), y.ncols()),
        (block.nrows, l),
        "y is rows of A by columns of x"
    );
    let stride = padded(l);
    let mut init = vec![0.0; stride];
    if let Some(mean) = mean {
        let products = mean.product.iter().map(|product| -product);
        init.iter_mut()
            .zip(products)
            .for_each(|(init, product)| *init = product);
    }
    let mut column_sums = mean.map(|_| vec![0.0; l]);
    let mut rounding_error2 = vec![0.0; l];
    let x = if l == stride {
        x.as_slice()
    } else {
        let wide: &mut [f32] = scratch_slice(&mut scratch.x, x.nrows() * stride);
        pad(x.as_slice(), l, stride, wide);
        wide
    };
    let memory = scratch_slice(&mut scratch.z, tiles::entries(block, l));
    let mut owned = z.map(|z| Tiles::load(block, z, l, memory));
    for rows in panels(block.nrows, stride * size_of::<f64>()) {
        let exact: &mut [f64] = scratch_slice(&mut scratch.y, rows.len() * stride);
        gather_panel(block, rows.clone(), x, &init, exact);
        let rounded = &mut y.as_mut_slice()[rows.start * l..rows.end * l];
        let lost = round(exact, stride, rounded, l);
        rounding_error2
            .iter_mut()
            .zip(lost)
            .for_each(|(sum, lost)| *sum += lost);
        // Z belongs to the Y that is kept: what certifies U must be the product with that U.
        let kept: &[f32] = if l == stride {
            rounded
        } else {
            let wide = &mut bytemuck::cast_slice_mut(exact)[..rows.len() * stride];
            pad(rounded, l, stride, wide);
            wide
        };
        if let Some(owned) = &mut owned {
            scatter_panel(block, &rows, kept, stride, &mut owned.tiles);
        }
        if let Some(sums) = &mut column_sums {
            add_column_sums(kept, stride, sums);
        }
    }
    if let Some(owned) = owned {
        owned.store();
    }
    let (row_norms2, column_norms2) = squared_norms(block, mean.map(|mean| mean.columns));
    Certified {
        gram: crate::tall::gram(y),
        rounding_error2,
        column_sums,
        row_norms2,
        column_norms2,
    }
}
