//! `column_sums`: sums of the columns of some blocks, in f64, block by block in order.
//!
//! Columns of sparse blocks may have any number of entries: hubs' out-strengths are such sums, which
//! the bounds of PageRank rely on. So they are compensated.

use rankmill_common::matrix::{BlockFormat, Precision, RowRange, TallMatrix};
use rankmill_common::operator::column_sums::{ColumnSums, ColumnSumsParts};
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::{block, tall};

pub(crate) fn run(context: &TaskContext, operator: &ColumnSums) -> Result<ColumnSumsParts> {
    let mut sums = vec![0.0; operator.ncols as usize];
    let mut lost = match operator.format {
        BlockFormat::Sparse => vec![0.0; sums.len()],
        BlockFormat::Dense => Vec::new(),
    };
    for block in &operator.blocks {
        context.check_cancelled()?;
        let open = block::open(context, operator.format, operator.ncols, block)?;
        match operator.format {
            BlockFormat::Sparse => open
                .sparse()
                .map_err(Error::internal)?
                .compensated_column_sums(&mut sums, &mut lost),
            BlockFormat::Dense => open.block()?.as_matrix().column_sums(&mut sums),
        }
    }
    drop(lost);
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
