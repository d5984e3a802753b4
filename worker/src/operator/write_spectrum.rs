//! The table of singular values, with what certifies each of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rankmill_common::operator::{Spectrum, WriteSpectrum};
use rankmill_common::{Error, Result};
use rankmill_kernels::Small;

use super::small_matrix::{self, read_row, read_row_sum};
use crate::context::TaskContext;
use crate::storage::result::Table;

/// Bytes of a row, about.
const ROW_BYTES: usize = 40;

pub(super) fn run(context: &TaskContext, parameters: &WriteSpectrum) -> Result<Spectrum> {
    let k = parameters.sigma.ncols as usize;
    let sigma = read_row(context, &parameters.sigma, k)?;
    let left = left_squares(context, parameters, k)?;
    let right = right_squares(context, parameters, &sigma)?;
    let residuals = relative_residuals(&sigma, &left, &right);
    let explained: Vec<f64> = sigma
        .iter()
        .map(|sigma| share(sigma * sigma, parameters.frobenius2))
        .collect();
    let squares: f64 = sigma.iter().map(|sigma| sigma * sigma).sum();
    let schema = schema();
    let batch = columns(&schema, &sigma, &explained, &residuals)?;
    let table = Table {
        output: &parameters.output,
        path: &parameters.path,
        schema: &schema,
        rows: k as u64,
        row_bytes: ROW_BYTES,
    };
    let file = table.write(context, |rows| {
        Ok(batch.slice(rows.start as usize, rows.count as usize))
    })?;
    Ok(Spectrum {
        file,
        residuals,
        pve: parameters
            .next_sigma
            .map_or(0.0, |next| share(largest(&right), next * next)),
        captured_energy: share(squares, parameters.frobenius2),
        values: sigma,
    })
}

/// ‖A v − σ u‖² per component: what was measured, and what rounding Y = A V, of which `left`
/// knows nothing, adds to it.
fn left_squares(context: &TaskContext, parameters: &WriteSpectrum, k: usize) -> Result<Vec<f64>> {
    if let Some(bound) = parameters.left_bound {
        return Ok(vec![bound; k]);
    }
    let mut squares = read_row_sum(context, &parameters.left, k)?;
    let Some(first) = parameters.product_rounding.first() else {
        return Ok(squares);
    };
    let width = first.ncols as usize;
    let rounding = read_row_sum(context, &parameters.product_rounding, width)?;
    match &parameters.rotation {
        None if width != k => {
            return Err(Error::internal(format!(
                "{width} columns of Y become {k} without a rotation"
            )));
        }
        None => squares
            .iter_mut()
            .zip(&rounding)
            .for_each(|(square, lost)| *square += lost),
        Some(rotation) => {
            let rotation = small_matrix::read(context, rotation)?;
            add_rounding(&mut squares, &rounding, &rotation, 1.0)?;
        }
    }
    Ok(squares)
}

/// ‖Aᵀu − σ v‖² per component. Where AᵀA V stands for AᵀY, Aᵀ takes what rounding Y lost to σ₁
/// times as much at most.
fn right_squares(
    context: &TaskContext,
    parameters: &WriteSpectrum,
    sigma: &[f64],
) -> Result<Vec<f64>> {
    let mut squares = read_row_sum(context, &parameters.right, sigma.len())?;
    let (Some(transform), Some(largest)) = (&parameters.right_transform, sigma.first()) else {
        return Ok(squares);
    };
    let transform = small_matrix::read(context, transform)?;
    let rounding = read_row_sum(context, &parameters.product_rounding, transform.nrows())?;
    add_rounding(&mut squares, &rounding, &transform, largest * largest)?;
    Ok(squares)
}

/// Adds `scale` times what rounding the columns of Y lost, as it comes through `transform`.
fn add_rounding(
    squares: &mut [f64],
    rounding: &[f64],
    transform: &Small,
    scale: f64,
) -> Result<()> {
    let (width, k) = (rounding.len(), squares.len());
    if transform.nrows() != width || transform.ncols() < k {
        return Err(Error::internal(format!(
            "a {} x {} transform for {width} columns of Y and {k} components",
            transform.nrows(),
            transform.ncols()
        )));
    }
    for (j, square) in squares.iter_mut().enumerate() {
        let lost = rounding.iter().enumerate();
        let lost: f64 = lost.map(|(l, lost)| lost * transform[(l, j)].powi(2)).sum();
        *square += scale * lost;
    }
    Ok(())
}

/// The larger of both residuals of each component, over σ₁.
fn relative_residuals(sigma: &[f64], left: &[f64], right: &[f64]) -> Vec<f64> {
    let first = sigma.first().copied().unwrap_or(0.0);
    let squares = left.iter().zip(right).map(|(left, right)| left.max(*right));
    squares
        .map(|square| share(square.max(0.0).sqrt(), first))
        .collect()
}

/// part / whole, or 0 of nothing.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.max(largest))
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("component", DataType::Int32, false),
        Field::new("value", DataType::Float64, false),
        Field::new("explained_variance_ratio", DataType::Float64, false),
        Field::new("residual", DataType::Float64, false),
    ]))
}

fn columns(
    schema: &SchemaRef,
    sigma: &[f64],
    explained: &[f64],
    residuals: &[f64],
) -> Result<RecordBatch> {
    let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let components = i32::try_from(sigma.len()).unwrap_or(i32::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(0..components)),
        floats(sigma),
        floats(explained),
        floats(residuals),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|e| Error::internal(e.to_string()))
}
