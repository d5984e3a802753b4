//! What users call an entry that is refused.

use arrow::util::display::array_value_to_string;
use rankmill_common::operator::build_block::Names;
use rankmill_common::table::IdTable;
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::storage::id_rows;
use crate::storage::order::Order;
use crate::stripes::rows::RowError;

/// What is wrong, and with which entry.
pub(super) fn refuse(context: &TaskContext, names: &Names, error: &RowError) -> Error {
    match place(context, names, error) {
        Ok(place) => Error::invalid_input(format!("{place}: {}", error.flaw)),
        Err(lost) => lost,
    }
}

fn place(context: &TaskContext, names: &Names, error: &RowError) -> Result<String> {
    match names {
        Names::Matrix { rows, columns } => {
            let row = name(context, rows, error.row)?;
            let column = name(context, columns, error.col)?;
            Ok(format!("row {row}, column {column}"))
        }
        Names::Graph { vertices, order } => {
            let order = Order::open(context, order.as_ref(), vertices.count())?;
            let from = name(context, vertices, order.place(error.col))?;
            let to = name(context, vertices, order.place(error.row))?;
            Ok(format!("the edge from {from} to {to}"))
        }
    }
}

fn name(context: &TaskContext, ids: &IdTable, place: u32) -> Result<String> {
    let id = id_rows::take(context, ids, &[place])?;
    array_value_to_string(&id, 0).map_err(|e| Error::internal(e.to_string()))
}
