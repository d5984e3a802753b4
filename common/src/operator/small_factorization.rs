//! `small_factorization`: factorizations of matrices of a few hundred rows, in f64.
//!
//! Where an input comes in parts (one per task of the stage before), they are added in order.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::job::svd::Rank;
use crate::matrix::{SmallMatrix, TallMatrix};

/// Which factorization, of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "factorization", rename_all = "snake_case")]
pub enum SmallFactorization {
    /// A diagonal matrix. Makes `[diagonal]`.
    Diagonal {
        /// Its entries.
        values: Vec<f64>,
    },
    /// From G = WᵀW: P such that W P is orthonormal, and R with W = (W P) R. Directions of W
    /// shorter than `floor` are dropped. Makes `[P, R]`, nothing where no direction is left;
    /// `values` are the singular values of W.
    Orthonormalize {
        /// Parts of G.
        gram: Vec<SmallMatrix>,
        /// Length below which a direction is rounding noise.
        floor: f64,
    },
    /// One Rayleigh–Ritz step of block Lanczos with full orthogonalization. Makes `[T, S, P]`:
    /// the grown projection, its eigenvectors (by descending eigenvalue) and the transform that
    /// orthonormalizes the remainder (without P where the remainder is rounding noise: `rank` is
    /// 0). `values` are Ritz values, `residuals` their residual norms.
    RitzStep {
        /// The projected matrix before this step; absent in the first.
        projected: Option<SmallMatrix>,
        /// Parts of Basisᵀ AᵀA X for the newest block X: of its last rows, where those above are zero.
        coefficients: Vec<SmallMatrix>,
        /// Parts of the Gram matrix of what is left of AᵀA X.
        remainder_gram: Vec<SmallMatrix>,
        /// Length below which a direction of that remainder is noise, relative to ‖AᵀA‖.
        noise: f64,
        /// Directions outside the basis that there are: what the remainder has beyond them is noise,
        /// however long.
        room: u64,
        /// How many values and residuals to report.
        report: u32,
    },
    /// What the step after a Rayleigh–Ritz step would find, without its read of A: of the block
    /// that it would add, AᵀA projected on that block is all that is not known, and a multiple of
    /// the identity stands for it. Makes `[S]` where vectors are wanted, coefficients of the leading
    /// Ritz vectors in the basis and, below, in the remainder itself; nothing where the multiple is
    /// more than half of `smallest` (`rank` is 0). `values` are the eigenvalues of the grown matrix.
    RitzOutlook {
        /// The step that was taken.
        step: TakenStep,
        /// What is wanted of the one after it.
        wanted: Wanted,
    },
    /// Leading eigenpairs of AᵀA. Makes the tall matrix V and, where it is wanted, its product with
    /// AᵀA; `values` are eigenvalues, one more than V has columns where the matrix has more.
    GramEigenpairs {
        /// Parts of AᵀA.
        parts: Vec<SmallMatrix>,
        /// How many pairs.
        rank: Rank,
        /// ‖A‖²_F, for a rank by energy.
        frobenius2: f64,
        /// Seed of the start block, where the eigenpairs are found by iteration.
        seed: u64,
        /// Whether AᵀA V is wanted.
        product: bool,
    },
    /// From the Gram matrix of Y = A V: M and W such that U = Y M and V W are singular vectors.
    /// Makes `[M, W, σ, fill, keep]`; `fill` is diagonal with ones where a singular value is zero
    /// to rounding and U needs an arbitrary direction, `keep` has ones elsewhere. `values` are
    /// singular values, `rank` the number of those that are not zero to rounding.
    ProductSvd {
        /// Parts of YᵀY.
        gram: Vec<SmallMatrix>,
        /// How many components to keep.
        rank: Rank,
        /// ‖A‖²_F, for a rank by energy.
        frobenius2: f64,
    },
    /// From the Gram matrices of an all but orthonormal Q and of AᵀQ: M and N such that U = Q M and
    /// V = AᵀQ N are singular vectors of QQᵀA. Makes `[M, N, σ]` of as many components as are not
    /// zero to rounding, nothing where there are none; `values` are all singular values of QQᵀA.
    SketchSvd {
        /// Parts of QᵀQ.
        gram_q: Vec<SmallMatrix>,
        /// Parts of (AᵀQ)ᵀ(AᵀQ).
        gram_b: Vec<SmallMatrix>,
        /// How many components to keep.
        rank: Rank,
        /// ‖A‖²_F, for a rank by energy.
        frobenius2: f64,
    },
    /// The product of two matrices. Makes `[left · right]`.
    Multiply {
        /// Left factor.
        left: SmallMatrix,
        /// Right factor.
        right: SmallMatrix,
    },
}

/// What a factorization made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmallFactors {
    /// Small results, in the order that the variant names.
    pub matrices: Vec<SmallMatrix>,
    /// A tall result, where there is one.
    pub tall: Option<TallMatrix>,
    /// AᵀA times the tall result, in f64, where it was wanted.
    pub product: Option<TallMatrix>,
    /// Eigen-, Ritz or singular values, descending.
    pub values: Vec<f64>,
    /// Residual norms of the values, where they are known.
    pub residuals: Vec<f64>,
    /// Number of directions that are not rounding noise.
    pub rank: u32,
}

/// A Rayleigh–Ritz step, as far as the next one hangs on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenStep {
    /// T, the projected matrix.
    pub projected: SmallMatrix,
    /// Parts of the Gram matrix of the remainder.
    pub remainder_gram: Vec<SmallMatrix>,
    /// P, which orthonormalizes the remainder.
    pub transform: SmallMatrix,
    /// The smallest Ritz value that counts.
    pub smallest: f64,
    /// How many pairs.
    pub report: u32,
}

/// What is wanted of an eigenvalue problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Eigenvalues alone, for a fraction of the time.
    Values,
    /// Eigenvalues and eigenvectors.
    Pairs,
}

impl SmallFactorization {
    pub(super) fn memory(&self) -> u64 {
        let bytes = |parts: &[SmallMatrix]| -> u64 {
            parts.iter().map(|part| part.object.size).max().unwrap_or(0)
        };
        let widest = match self {
            Self::GramEigenpairs { parts, .. } => bytes(parts),
            Self::Diagonal { values } => 8 * (values.len() * values.len()) as u64,
            Self::Orthonormalize { gram, .. } | Self::ProductSvd { gram, .. } => bytes(gram),
            Self::RitzStep {
                projected,
                coefficients,
                ..
            } => {
                let width = coefficients.first().map_or(0, |part| part.ncols);
                let order = projected.as_ref().map_or(0, |t| t.nrows) + width;
                8 * u64::from(order) * u64::from(order)
            }
            Self::RitzOutlook { step, .. } => {
                let order = u64::from(step.projected.nrows) + u64::from(step.transform.ncols);
                8 * order * order
            }
            Self::SketchSvd { gram_q, .. } => bytes(gram_q),
            Self::Multiply { left, right } => left.object.size + right.object.size,
        };
        TASK_OVERHEAD + 6 * widest
    }
}

impl SmallFactors {
    /// The `index`-th small result.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Internal`] if the factorization made fewer.
    pub fn matrix(&self, index: usize) -> crate::Result<SmallMatrix> {
        self.matrices.get(index).cloned().ok_or_else(|| {
            crate::Error::internal(format!(
                "a factorization made {} matrices, number {index} is missing",
                self.matrices.len()
            ))
        })
    }
}
