//! The flags of `rankmill svd`, raw: what was typed, or what a job file holds.

use std::str::FromStr;

use rankmill_common::input::{Duplicates, OnBadRow};
use rankmill_common::job::svd::Method;
use serde::{Deserialize, Deserializer};

use super::words::{IdKind, one_or_many, word};

/// What to factorize, how, and where the result goes.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct SvdArgs {
    /// Parquet files, directories or globs: paths or file://, s3://, gs://, az:// URLs
    #[arg(value_name = "INPUT")]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) input: Vec<String>,
    /// Directory or URL prefix for the result
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<String>,
    /// Replace a finished result in OUT
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Column of row ids: integer, string or binary (one matrix entry per input row)
    #[arg(long, value_name = "COL", help_heading = "Sparse input")]
    pub(crate) row: Option<String>,
    /// Column of column ids
    #[arg(long, value_name = "COL", help_heading = "Sparse input")]
    pub(crate) col: Option<String>,
    /// Column of values [default: every entry is one]
    #[arg(long, value_name = "COL", help_heading = "Sparse input")]
    pub(crate) value: Option<String>,
    /// What ids are: any keys, or indices 0, 1, 2, … already [default: keys]
    #[arg(long, value_name = "KIND", help_heading = "Sparse input")]
    pub(crate) ids: Option<IdKind>,
    /// Rows and columns of the matrix, with --ids dense, e.g. 1000x200 [default: as large as the
    /// largest indices ask for]
    #[arg(long, value_name = "RxC", help_heading = "Sparse input")]
    pub(crate) shape: Option<Shape>,
    /// Several entries at one place: sum, max, last, error [default: sum]
    #[arg(long, value_name = "HOW", value_parser = word::<Duplicates>, help_heading = "Sparse input")]
    pub(crate) duplicates: Option<Duplicates>,
    /// binary, log1p, tfidf, bm25, l1-rows, l2-rows, l1-cols, l2-cols or degree; several are
    /// applied in order
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        help_heading = "Sparse input"
    )]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) transform: Vec<String>,

    /// Column of row ids [default: rows are numbered]
    #[arg(long, value_name = "COL", help_heading = "Dense input")]
    pub(crate) id: Option<String>,
    /// Column of vectors (one matrix row per input row), or several numeric columns
    #[arg(
        long,
        value_name = "COL,...",
        value_delimiter = ',',
        help_heading = "Dense input"
    )]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) vector: Vec<String>,

    /// An input row with a null, NaN or infinity: error, skip [default: error]
    #[arg(long, value_name = "WHAT", value_parser = word::<OnBadRow>)]
    #[serde(alias = "on_bad_row")]
    pub(crate) on_bad_row: Option<OnBadRow>,

    /// Number of components; with --energy the most there may be
    #[arg(short, long = "rank", value_name = "K", aliases = ["n-components", "n_components"])]
    #[serde(alias = "rank", alias = "n-components", alias = "n_components")]
    pub(crate) k: Option<u32>,
    /// As few components as hold this share of the squared norm of A, e.g. 0.9
    #[arg(long, value_name = "SHARE")]
    pub(crate) energy: Option<f64>,
    /// Subtract the mean of each column (PCA), implicitly
    #[arg(long)]
    pub(crate) center: bool,
    /// auto, lanczos, gram (few columns), subspace (little memory), sketch (one read)
    /// [default: auto]
    #[arg(long, value_name = "METHOD", value_parser = word::<Method>)]
    pub(crate) method: Option<Method>,
    /// Columns of the iteration block beyond the rank [default: half of the rank, 32 to 64; with
    /// lanczos the block has three quarters of the rank instead, half in large sparse matrices]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) oversample: Option<u32>,
    /// Columns of the iteration block in all; below the rank with lanczos only: fewer columns and
    /// more reads of A
    #[arg(long, value_name = "N", conflicts_with = "oversample")]
    #[serde(alias = "block_width")]
    pub(crate) block_width: Option<u32>,
    /// Estimated relative error of σ² to stop at: σ is then better than a tenth of it [default: 1e-3]
    #[arg(long, value_name = "TOL", allow_negative_numbers = true)]
    pub(crate) tol: Option<f64>,
    /// Most reads of A, the last one for U and residuals included [default: 32]
    #[arg(long, value_name = "N")]
    #[serde(alias = "max_reads")]
    pub(crate) max_reads: Option<u32>,
    /// Seed of the random test matrix [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Exit with 8 if the tolerance is not met (the result is written all the same)
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Rows × columns, written `1000x200`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nrows: u64,
    pub(crate) ncols: u64,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text
            .split_once(['x', 'X', '×'])
            .and_then(|(rows, cols)| Some((rows.trim().parse().ok()?, cols.trim().parse().ok()?)));
        match parsed {
            Some((nrows, ncols)) if nrows > 0 && ncols > 0 => Ok(Self { nrows, ncols }),
            Some(_) | None => Err(format!(
                "{text:?} is no shape: write rows x columns, 1000x200"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
