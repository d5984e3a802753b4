//! `combine`: Out = Σ Xᵢ Sᵢ on one range of rows, with the inner products that follow it.
//!
//! The one operator on tall matrices. Sums of partial products, Gram–Schmidt against a basis,
//! scaling by the inverse of a triangular factor and rotation to singular vectors are all linear
//! combinations; the inner products that the next step needs are taken while Out is at hand.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{Precision, RowRange, Shard, SmallMatrix, TallMatrix};

/// Parameters of `combine`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combine {
    /// Rows that this task makes.
    pub rows: RowRange,
    /// Columns of Out.
    pub ncols: u32,
    /// Out is their sum, accumulated in f64 in this order.
    pub terms: Vec<Term>,
    /// Precision of the products X · S within a few hundred rows; sums are in f64 either way.
    /// Single precision is for what is orthogonalized again, never for what a result is made of.
    pub arithmetic: Precision,
    /// Width of the stored numbers of Out.
    pub precision: Precision,
    /// Inner products with Out to take.
    pub products: Products,
    /// n × 1 f64 weights of the rows in [`Combined::rounding`]; absent, they are one.
    pub weights: Option<TallMatrix>,
}

/// One summand of a combination: `scale` · X · S.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// X.
    pub matrix: Source,
    /// S.
    pub coefficients: Coefficients,
    /// A factor, mostly 1 or −1.
    pub scale: f64,
}

/// Where the rows of a summand come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// From the store.
    Stored {
        /// The matrix.
        matrix: TallMatrix,
    },
    /// Standard normal numbers keyed by (seed, stream, row, column): regenerated anywhere.
    Gaussian {
        /// The job's seed.
        seed: u64,
        /// Which of the job's random matrices.
        stream: u32,
        /// Number of columns.
        ncols: u32,
    },
}

/// The small matrix of a summand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "coefficients", rename_all = "snake_case")]
pub enum Coefficients {
    /// S = I.
    Identity,
    /// S is rows `first_row ..` of a small matrix, as many as X has columns, and its leading
    /// columns, as many as Out has.
    Rows {
        /// Its parts, of one shape, which are added in order.
        parts: Vec<SmallMatrix>,
        /// First row to take.
        first_row: u32,
    },
}

/// Inner products taken with Out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "products", rename_all = "snake_case")]
pub enum Products {
    /// None.
    None,
    /// [X₀ X₁ …]ᵀ Out, stacked.
    With {
        /// X₀, X₁, …
        basis: Vec<TallMatrix>,
        /// Precision of the products within a few hundred rows.
        precision: Precision,
    },
    /// Outᵀ Out.
    Gram,
    /// The largest entry of each column.
    Extremes,
}

/// One shard of Out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combined {
    /// The shard.
    pub shard: Shard,
    /// This shard's part of the inner products.
    pub product: Option<SmallMatrix>,
    /// Per column: 2 × ncols f64, the largest magnitude (negative where the entry is) and its
    /// row. The first row counts where several are equally large.
    pub extremes: Option<SmallMatrix>,
    /// 1 × ncols: Σ over rows of weight · (Out − rounded Out)².
    pub rounding: SmallMatrix,
}

impl Combine {
    pub(super) fn memory(&self) -> u64 {
        let widest = self.terms.iter().map(|term| term.width(self.ncols)).max();
        let columns = 3 * u64::from(self.ncols) + u64::from(widest.unwrap_or(0));
        TASK_OVERHEAD + 8 * self.rows.count * columns
    }
}

impl Term {
    /// Columns of X, where Out has `ncols`.
    pub fn width(&self, ncols: u32) -> u32 {
        match &self.matrix {
            Source::Stored { matrix } => matrix.ncols,
            Source::Gaussian { .. } => ncols,
        }
    }
}
