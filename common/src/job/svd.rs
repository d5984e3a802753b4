//! Truncated SVD and PCA: parameters, defaults, validation.

use serde::{Deserialize, Serialize};

use crate::input::{InputSpec, Layout};
use crate::job::OutputSpec;
use crate::{Error, Result};

/// A truncated singular value decomposition A ≈ U Σ Vᵀ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SvdSpec {
    /// What A is.
    pub input: InputSpec,
    /// Where U, Σ and V go.
    pub output: OutputSpec,
    /// How many components.
    pub rank: Rank,
    /// Columns that one product with A multiplies; none leaves it to the method.
    pub block_width: Option<u32>,
    /// The iteration stops when the estimated relative error of every squared singular value is
    /// below a fifth of it; that of the singular values is then below a tenth.
    pub tol: f64,
    /// Most reads of A, the last one (for U and residuals) included.
    pub max_reads: u32,
    /// How the factorization is found.
    pub method: Method,
    /// Whether column means are subtracted, implicitly.
    pub centering: Centering,
    /// Seed of the random test matrix.
    pub seed: u64,
    /// What happens when the tolerance is not met within `max_reads`.
    pub convergence: Convergence,
}

/// How many components to compute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rank", rename_all = "snake_case")]
pub enum Rank {
    /// Exactly `k`.
    Fixed {
        /// Number of components.
        k: u32,
    },
    /// As few as hold `fraction` of ‖A‖²_F, at most `at_most`.
    Energy {
        /// Wanted share of ‖A‖²_F, between 0 and 1.
        fraction: f64,
        /// Limit on the number of components.
        at_most: u32,
    },
}

impl Rank {
    /// The largest number of components that this can ask for.
    pub fn limit(self) -> u32 {
        match self {
            Self::Fixed { k } => k,
            Self::Energy { at_most, .. } => at_most,
        }
    }
}

/// How the factorization is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The cheaper of `gram` and `lanczos`, by the estimate.
    #[default]
    Auto,
    /// Randomized block Lanczos on AᵀA.
    Lanczos,
    /// AᵀA in f64 from one read, for matrices of few columns.
    Gram,
    /// Shifted subspace iteration: one block of memory, more reads.
    Subspace,
    /// One read of A, no iteration.
    Sketch,
}

impl Method {
    /// The word that people write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Lanczos => "lanczos",
            Self::Gram => "gram",
            Self::Subspace => "subspace",
            Self::Sketch => "sketch",
        }
    }
}

/// Whether column means are subtracted from A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Centering {
    /// A as it is.
    #[default]
    None,
    /// A − 1μᵀ, never formed.
    Columns,
}

/// What happens when the tolerance is not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convergence {
    /// The result is written and the manifest says so.
    #[default]
    Report,
    /// The result is written, the manifest says so and the command fails.
    Require,
}

/// Defaults, in one place for the command line, job files and documentation.
pub mod defaults {
    /// Columns of a block that is wider than the rank of `k`: half as many again, between 32 and 64
    /// more. On flat spectra a block of 1.5 k takes one read of A less than one of k + 10
    /// (docs/decisions/0007-block-width.md).
    pub fn wide_block(k: u32) -> u32 {
        k.saturating_add(k.div_ceil(2).clamp(32, 64))
    }

    /// Columns of a block of block Lanczos for a rank of `k`: three quarters of it, in vectors of 16
    /// (docs/decisions/0015-narrow-blocks.md).
    pub fn krylov_block(k: u32) -> u32 {
        in_vectors(k - k / 4)
    }

    /// The same for a large sparse matrix: half of the rank
    /// (docs/decisions/0016-blocks-of-half-the-rank.md).
    pub fn large_krylov_block(k: u32) -> u32 {
        in_vectors(k.div_ceil(2))
    }

    fn in_vectors(columns: u32) -> u32 {
        columns.checked_next_multiple_of(16).unwrap_or(columns)
    }

    /// Estimated relative error at which the iteration stops, times five.
    pub const TOL: f64 = 1e-3;
    /// Most reads of A.
    pub const MAX_READS: u32 = 32;
    /// Most components where only `--energy` is given.
    pub const ENERGY_LIMIT: u32 = 256;
    /// Seed of the test matrix.
    pub const SEED: u64 = 0;
}

/// The widest iteration block; beyond it the small dense factorizations would dominate.
pub const MAX_BLOCK_WIDTH: u32 = 4096;

/// Rank that block Lanczos sets out for where the rank follows from the energy.
const ENERGY_RANK: u32 = 64;
/// Products that block Lanczos takes where a block has 1.5 times as many columns as the rank.
const WIDE_STEPS: u32 = 6;
/// Products that it takes where a block has three quarters as many.
const NARROW_STEPS: u32 = 8;
/// Products that it takes where a block has half as many.
const HALF_STEPS: u32 = 10;
/// Entries from which a sparse matrix is large: below, reads are cheap and few of them are preferred.
const MANY_ENTRIES: u64 = 1 << 22;

/// The most columns for which AᵀA is formed.
pub const MAX_GRAM_COLUMNS: u64 = 8192;

/// The block of block Lanczos, and how many products with it spectra that decay slowly take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KrylovBlock {
    /// Columns.
    pub width: u32,
    /// Products.
    pub steps: u32,
}

impl KrylovBlock {
    fn of(rank: u32, width: u32) -> Self {
        let steps = if width > rank {
            WIDE_STEPS
        } else if width < defaults::krylov_block(rank) {
            HALF_STEPS
        } else {
            NARROW_STEPS
        };
        Self { width, steps }
    }
}

impl SvdSpec {
    /// Width of a block that has to hold all components at once, before it is cut to the matrix.
    pub fn wide_block(&self) -> u32 {
        self.block_width
            .unwrap_or_else(|| defaults::wide_block(self.rank.limit()))
    }

    /// The block of block Lanczos for a matrix of so many stored entries, before it is cut to the
    /// matrix. A narrow one takes more reads of A and fewer columns in all.
    pub fn krylov_block(&self, entries: u64) -> KrylovBlock {
        // Where the rank follows from the energy, the basis grows until it is enough.
        let rank = match self.rank {
            Rank::Fixed { k } => k,
            Rank::Energy { at_most, .. } => at_most.min(ENERGY_RANK),
        };
        let narrow = if self.is_sparse() && entries >= MANY_ENTRIES {
            KrylovBlock::of(rank, defaults::large_krylov_block(rank))
        } else {
            KrylovBlock::of(rank, defaults::krylov_block(rank))
        };
        match self.block_width {
            Some(width) => KrylovBlock::of(rank, width),
            // A few narrow blocks would not get there, nor perhaps hold as many vectors.
            None if self.max_reads <= narrow.steps => {
                KrylovBlock::of(rank, defaults::wide_block(rank))
            }
            None => narrow,
        }
    }

    fn is_sparse(&self) -> bool {
        matches!(self.input.layout, Layout::Sparse(_))
    }

    pub(super) fn validate(&self) -> Result<()> {
        if !(self.tol > 0.0 && self.tol < 1.0) {
            return Err(Error::invalid_input(format!(
                "--tol must lie between 0 and 1, not {}",
                self.tol
            )));
        }
        let fewest_reads = match self.method {
            Method::Sketch => 1,
            Method::Auto | Method::Lanczos | Method::Gram | Method::Subspace => 2,
        };
        if self.max_reads < fewest_reads {
            return Err(Error::invalid_input(format!(
                "--max-reads must be at least {fewest_reads} for this method"
            )));
        }
        self.validate_rank()?;
        if self.input.paths.is_empty() {
            return Err(Error::invalid_input("no input was given"));
        }
        self.validate_columns()
    }

    /// The same job for a matrix of `nrows` × `ncols`, or less, which has no more components.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where more are asked for.
    pub fn fitted(&self, nrows: u64, ncols: u64) -> Result<Self> {
        let largest = nrows.min(ncols);
        let mut fitted = self.clone();
        match &mut fitted.rank {
            Rank::Fixed { k } if u64::from(*k) > largest => {
                return Err(Error::invalid_input(format!(
                    "-k is {k}, and a matrix of {nrows}×{ncols} has at most {largest} components"
                )));
            }
            Rank::Fixed { .. } => {}
            Rank::Energy { at_most, .. } => *at_most = u64::from(*at_most).min(largest) as u32,
        }
        Ok(fitted)
    }

    fn validate_rank(&self) -> Result<()> {
        match self.rank {
            Rank::Fixed { k: 0 } | Rank::Energy { at_most: 0, .. } => {
                return Err(Error::invalid_input("-k must be at least 1"));
            }
            Rank::Energy { fraction, .. } if !(fraction > 0.0 && fraction <= 1.0) => {
                return Err(Error::invalid_input(format!(
                    "--energy must lie above 0 and at most at 1, not {fraction}"
                )));
            }
            Rank::Fixed { .. } | Rank::Energy { .. } => {}
        }
        self.validate_width()
    }

    fn validate_width(&self) -> Result<()> {
        let (width, rank) = (self.wide_block(), self.rank.limit());
        if width > MAX_BLOCK_WIDTH {
            return Err(Error::invalid_input(format!(
                "a block of {width} columns (--block-width, or -k plus --oversample) is above the \
                 limit of {MAX_BLOCK_WIDTH}"
            )));
        }
        let holds_all = matches!(self.method, Method::Subspace | Method::Sketch);
        if width == 0 || (holds_all && width < rank) {
            return Err(Error::invalid_input(format!(
                "--block-width is {width}: it must be at least 1, and at least -k ({rank}) with \
                 --method {}",
                self.method.name()
            )));
        }
        // The last read is for U, and the means of columns take one.
        let others = 1 + u32::from(self.centering == Centering::Columns);
        let columns = u64::from(width) * u64::from(self.max_reads.saturating_sub(others));
        let grows = matches!(self.method, Method::Auto | Method::Lanczos);
        match self.rank {
            Rank::Fixed { k } if grows && columns < u64::from(k) => {
                Err(Error::invalid_input(format!(
                    "--block-width {width} finds at most {columns} components within --max-reads \
                     {}, and -k is {k}: raise one of the two",
                    self.max_reads
                )))
            }
            Rank::Fixed { .. } | Rank::Energy { .. } => Ok(()),
        }
    }

    fn validate_columns(&self) -> Result<()> {
        match &self.input.layout {
            Layout::Sparse(layout) => {
                let mut names = vec![&layout.row, &layout.col];
                names.extend(&layout.value);
                names.sort();
                if names.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(Error::invalid_input(
                        "--row, --col and --value must name different columns",
                    ));
                }
                Ok(())
            }
            Layout::Dense(layout) if layout.vector.is_empty() => {
                Err(Error::invalid_input("--vector names no column"))
            }
            Layout::Dense(_) => Ok(()),
            Layout::Graph(_) => Err(Error::invalid_input(
                "svd reads a matrix: name its columns with --row and --col, or --vector",
            )),
        }
    }
}
