//! `column_sums`: sums of the columns of some blocks, in f64, block by block in order.

use rankmill_common::Result;
use rankmill_common::matrix::{Precision, RowRange, TallMatrix};
use rankmill_common::operator::column_sums::{ColumnSums, ColumnSumsParts};

use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::{block, tall};

pub(crate) fn run(context: &TaskContext, operator: &ColumnSums) -> Result<ColumnSumsParts> {
    let mut sums = vec![0.0; operator.ncols as usize];
    for block in &operator.blocks {
        context.check_cancelled()?;
        let open = block::open(context, operator.format, operator.ncols, block)?;
        open.block()?.as_matrix().column_sums(&mut sums);
    }
    let rows = RowRange {
        start: 0,
        count: operator.ncols,
    };
    let shard = tall::write(context, "sums.arrow", rows, 1, Numbered::Double(sums))?;
    Ok(ColumnSumsParts {
        sums: TallMatrix {
            nrows: operator.ncols,
            ncols: 1,
            precision: Precision::Double,
            shards: vec![shard],
        },
    })
}
