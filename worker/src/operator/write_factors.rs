//! One Parquet file of a factor: `id` in the users' own type, `vector` as they like to read it.
//!
//! Signs are decided here and nowhere else: each component is flipped so that its largest entry
//! in the left factor is positive. Both factors are given the same extremes, so U Σ Vᵀ stays.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use rankmill_common::matrix::SmallMatrix;
use rankmill_common::operator::{WriteFactors, WrittenFile};
use rankmill_common::{Error, Result};

use super::small_matrix;
use crate::context::TaskContext;
use crate::storage::id_rows;
use crate::storage::result::{self, Table};
use crate::storage::tall::TallRows;

pub(super) fn run(context: &TaskContext, parameters: &WriteFactors) -> Result<WrittenFile> {
    let k = parameters.factor.ncols;
    let negative = negative_columns(context, &parameters.extremes, k as usize)?;
    let ids = id_rows::read(context, &parameters.ids, parameters.rows)?;
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", id_rows::data_type(&parameters.ids), false),
        Field::new("vector", result::vector_type(k)?, false),
    ]));
    let table = Table {
        output: &parameters.output,
        path: &parameters.path,
        schema: &schema,
        rows: parameters.rows.count,
        row_bytes: size_of::<f32>() * k as usize,
    };
    let factor = TallRows::open(context, &parameters.factor, parameters.rows)?;
    table.write(context, |rows| {
        let ids = ids.slice(rows.start as usize, rows.count as usize);
        let mut numbers = factor.copy_f32(rows);
        flip(&mut numbers, &negative);
        let columns = vec![ids, result::vectors(k, numbers)?];
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(e.to_string()))
    })
}

/// Whether the largest entry of each column of the left factor is negative. The first part, and
/// within it the first row, counts where several entries are equally large.
fn negative_columns(
    context: &TaskContext,
    extremes: &[SmallMatrix],
    k: usize,
) -> Result<Vec<bool>> {
    let mut largest = vec![0.0_f64; k];
    for part in extremes {
        if part.ncols as usize != k {
            return Err(Error::internal(format!(
                "extremes of {} columns for a factor of {k}",
                part.ncols
            )));
        }
        let part = small_matrix::read(context, part)?;
        for (largest, &entry) in largest.iter_mut().zip(part.row(0)) {
            if entry.abs() > largest.abs() {
                *largest = entry;
            }
        }
    }
    Ok(largest.into_iter().map(|entry| entry < 0.0).collect())
}

/// Negates columns; a zero stays a positive zero.
fn flip(entries: &mut [f32], negative: &[bool]) {
    if !negative.contains(&true) {
        return;
    }
    for row in entries.chunks_exact_mut(negative.len()) {
        for (entry, negative) in row.iter_mut().zip(negative) {
            if *negative {
                *entry = 0.0 - *entry;
            }
        }
    }
}
