//! `column_residuals`: ‖P S − Q diag(σ)‖² per column, over one range of rows.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{RowRange, SmallMatrix, TallMatrix};

/// Parameters of `column_residuals`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnResiduals {
    /// Rows that this task covers.
    pub rows: RowRange,
    /// P: Y = A V, or Z = AᵀA V.
    pub product: TallMatrix,
    /// S: its leading columns, as many as Q has.
    pub transform: SmallMatrix,
    /// Q: U, or V.
    pub factor: TallMatrix,
    /// σ as a 1 × k matrix.
    pub sigma: SmallMatrix,
}

/// Partial squared norms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidualParts {
    /// 1 × k.
    pub squared_norms: SmallMatrix,
}

impl ColumnResiduals {
    pub(super) fn memory(&self) -> u64 {
        let columns = 2 * u64::from(self.product.ncols) + u64::from(self.factor.ncols);
        TASK_OVERHEAD + 8 * self.rows.count * columns
    }
}
