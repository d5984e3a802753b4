//! `write_scores`: one Parquet file of `id`, `score`, in the order of the ids.

use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use rankmill_common::operator::{WriteScores, WrittenFile};
use rankmill_common::{Error, Result};

use super::tall_matrix;
use crate::context::TaskContext;
use crate::storage::id_rows;
use crate::storage::order::Order;
use crate::storage::result::Table;

/// Bytes of a row, about.
const ROW_BYTES: usize = 64;

pub(crate) fn run(context: &TaskContext, operator: &WriteScores) -> Result<WrittenFile> {
    let scores = tall_matrix::read_column(context, &operator.scores)?;
    let order = Order::open(context, operator.order.as_ref(), operator.scores.nrows)?;
    let ids = id_rows::read(context, &operator.ids, operator.places)?;
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", id_rows::data_type(&operator.ids), false),
        Field::new("score", DataType::Float64, false),
    ]));
    let table = Table {
        output: &operator.output,
        path: &operator.path,
        schema: &schema,
        rows: operator.places.count,
        row_bytes: ROW_BYTES,
    };
    table.write(context, |rows| {
        let first = operator.places.start + rows.start;
        let values: Vec<f64> = (first..first + rows.count)
            .map(|place| scores[order.index(place as u32) as usize])
            .collect();
        let ids = ids.slice(rows.start as usize, rows.count as usize);
        RecordBatch::try_new(
            Arc::clone(&schema),
            vec![ids, Arc::new(Float64Array::from(values))],
        )
        .map_err(|e| Error::internal(e.to_string()))
    })
}
