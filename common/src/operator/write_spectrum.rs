//! `write_spectrum`: the table of singular values, with a residual for each.
//!
//! A residual is the larger of ‖A v − σ u‖ and ‖Aᵀu − σ v‖, over σ₁, for the vectors *as
//! written*, rounded to f32. What rounding adds is taken as independent of the rest, so squared
//! norms add up.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::write_factors::WrittenFile;
use crate::matrix::SmallMatrix;

/// Parameters of `write_spectrum`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteSpectrum {
    /// σ, 1 × k, descending.
    pub sigma: SmallMatrix,
    /// Summands of ‖A v − σ u‖², each 1 × k.
    pub left: Vec<SmallMatrix>,
    /// Summands of ‖Aᵀu − σ v‖², each 1 × k.
    pub right: Vec<SmallMatrix>,
    /// Σ (Y − rounded Y)² per column of Y = A V, in parts.
    pub product_rounding: Vec<SmallMatrix>,
    /// W, which turns columns of Y into columns of A (V W).
    pub rotation: Option<SmallMatrix>,
    /// T, such that columns of AᵀY T are those of AᵀU, where `right` was measured with AᵀA V in
    /// the place of AᵀY for the rounded Y.
    pub right_transform: Option<SmallMatrix>,
    /// A bound on ‖A v − σ u‖² that holds for every component (one-pass sketch).
    pub left_bound: Option<f64>,
    /// ‖A‖²_F (centred if A is).
    pub frobenius2: f64,
    /// Estimate of σ_{k+1}, where there is one.
    pub next_sigma: Option<f64>,
    /// Where the result goes.
    pub output: String,
    /// File name below it.
    pub path: String,
}

/// Singular values and how good they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// The file.
    pub file: WrittenFile,
    /// Singular values, descending.
    pub values: Vec<f64>,
    /// Residual of each over σ₁; none in logs of builds that did not report them.
    #[serde(default)]
    pub residuals: Vec<f64>,
    /// Per-vector error: the largest |σ² − ‖Aᵀu‖²| over σ²_{k+1}.
    pub pve: f64,
    /// Σσ² / ‖A‖²_F.
    pub captured_energy: f64,
}

impl WriteSpectrum {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD
    }
}
