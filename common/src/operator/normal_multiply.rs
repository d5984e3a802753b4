//! `normal_multiply`: Z = Aᵀ(A X) over some blocks, two products from one read of A.
//!
//! With a mean μ the matrix is A − 1μᵀ, never formed. A certifying product works in f64, keeps
//! Y = A X and measures what rounding Y to f32 lost.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::matrix::{BlockFormat, BlockRef, Shard, SmallMatrix, TallMatrix};

/// Most bytes of Y = A X that the kernels hold at a time where it is not kept: the `PANEL_BYTES` of
/// their sparse products.
const PANEL_BYTES: u64 = 16 << 20;

/// Parameters of `normal_multiply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalMultiply {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The blocks, in row order.
    pub blocks: Vec<BlockRef>,
    /// X, ncols × l, f32.
    pub x: TallMatrix,
    /// μ as an ncols × 1 f64 matrix, where the columns are centred.
    pub mean: Option<TallMatrix>,
    /// What to do with Y = A X.
    pub product: Product,
}

/// What becomes of Y = A X.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// Y never leaves the worker; arithmetic in f32.
    Discard,
    /// Y is kept and certified; arithmetic in f64.
    Certify,
    /// As `Certify`, without Z: whoever knows AᵀA knows Aᵀ(A X).
    CertifyLeft,
}

/// Z and what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormalProduct {
    /// This task's part of Aᵀ(A X), ncols × l, where it was asked for. Where the product is
    /// certified it is f64, and is Aᵀ times the *rounded* Y.
    pub z: Option<TallMatrix>,
    /// Where the product is certified.
    pub certificate: Option<Certificate>,
}

/// What a certifying product keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Y rounded to f32, one shard per block; rows count from the start of the matrix.
    pub y: Vec<Shard>,
    /// YᵀY of the rounded Y, l × l.
    pub gram: SmallMatrix,
    /// 1 × l: Σ over rows of (Y − rounded Y)².
    pub rounding: SmallMatrix,
    /// Squared norm of every row of A (centred if A is), one shard per block, n × 1 f64.
    pub row_norms2: Vec<Shard>,
    /// This task's part of the squared norms of the columns of A (centred if A is), ncols × 1.
    pub column_norms2: TallMatrix,
    /// Their sum; zero in logs of builds that did not take it.
    #[serde(default)]
    pub frobenius2: f64,
}

impl NormalMultiply {
    pub(super) fn memory(&self) -> u64 {
        let width = u64::from(self.x.ncols);
        let tall = self.x.nrows * width;
        let largest = self
            .blocks
            .iter()
            .map(|block| block.object.size)
            .max()
            .unwrap_or(0);
        let tallest = self
            .blocks
            .iter()
            .map(|block| block.nrows)
            .max()
            .unwrap_or(0);
        // Discard: X and Z, each once more where the kernel pads or copies them, and a panel of Y.
        // Certify: Z also in f64, X where it is padded, and a block's Y.
        match self.product {
            Product::Discard => {
                let rows = 4 * width.next_multiple_of(16) * tallest;
                TASK_OVERHEAD + 16 * tall + largest + rows.min(PANEL_BYTES)
            }
            Product::Certify | Product::CertifyLeft => {
                TASK_OVERHEAD + 24 * tall + largest + 12 * width * tallest
            }
        }
    }
}
