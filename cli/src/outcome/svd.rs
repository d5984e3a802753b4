//! The answer to a factorization.

use rankmill_common::job::svd::{Rank, SvdSpec};
use rankmill_common::manifest::{ConvergenceSummary, MatrixSummary};

use super::taken;
use crate::commands::show::Spectrum;
use crate::text::{counted, grouped};

/// Singular values that the summary shows.
const TOP_VALUES: usize = 5;

/// Share of the energy that vectors rounded to f32 may lose.
const ROUNDING: f64 = 1e-6;

/// Why the result is not as good as it was asked to be.
pub(super) fn not_converged(spec: &SvdSpec, quality: &ConvergenceSummary) -> String {
    let energy =
        energy_shortfall(spec, quality).map_or_else(String::new, |what| format!(": {what}"));
    let stopped = quality.reads < spec.max_reads;
    let advice = match quality.method.as_str() {
        "sketch" => "the other methods read A more than once",
        "gram" => "sums in 64 bits do not resolve more",
        "subspace" if stopped => "--method lanczos goes by residuals as well",
        _ if stopped => "products in 32 bits do not resolve more; --method gram works in 64",
        _ => "more --max-reads or a looser --tol helps",
    };
    format!(
        "not converged after {}{energy}; the largest residual is {:.1e} of σ₁, see `rankmill show` \
         ({advice})",
        counted(u64::from(quality.reads), "read"),
        quality.max_residual
    )
}

/// What is missing of the energy that was asked for.
pub(super) fn energy_shortfall(spec: &SvdSpec, quality: &ConvergenceSummary) -> Option<String> {
    match spec.rank {
        Rank::Energy { fraction, at_most }
            if quality.captured_energy < fraction * (1.0 - ROUNDING) =>
        {
            let more = if quality.components >= at_most {
                " (-k allows more)"
            } else {
                ""
            };
            Some(format!(
                "{} hold {:.4} of the energy, not {fraction}{more}",
                counted(u64::from(quality.components), "component"),
                quality.captured_energy
            ))
        }
        Rank::Fixed { .. } | Rank::Energy { .. } => None,
    }
}

/// What a person wants to know first.
pub(super) fn summary(
    matrix: &MatrixSummary,
    quality: &ConvergenceSummary,
    spectrum: &Spectrum,
    place: &str,
    elapsed: Option<f64>,
) -> String {
    let top: Vec<String> = spectrum
        .values
        .iter()
        .take(TOP_VALUES)
        .map(|&value| readable(value))
        .collect();
    let more = if spectrum.values.len() > TOP_VALUES {
        " …"
    } else {
        ""
    };
    let skipped = match matrix.skipped_rows {
        0 => String::new(),
        skipped => format!(", {} left out", counted(skipped, "bad input row")),
    };
    format!(
        "matrix     {} × {}, {}{skipped}\n\
         factors    {}, {} method, {}{}\n\
         quality    captured energy {:.4}, largest residual {:.1e} of σ₁\n\
         top σ      {}{more}\n\
         result     {place}{}\n",
        grouped(matrix.nrows),
        grouped(matrix.ncols),
        entries(matrix.nnz),
        counted(u64::from(quality.components), "component"),
        quality.method,
        counted(u64::from(quality.reads), "read"),
        if quality.converged {
            ", converged"
        } else {
            ", NOT converged"
        },
        quality.captured_energy,
        quality.max_residual,
        top.join("  "),
        taken(elapsed),
    )
}

/// Six decimals, or six digits where these would be zeros or too many.
fn readable(value: f64) -> String {
    if value == 0.0 || (1e-3..1e9).contains(&value) {
        format!("{value:.6}")
    } else {
        format!("{value:.6e}")
    }
}

fn entries(nnz: u64) -> String {
    match nnz {
        1 => "1 entry".to_owned(),
        nnz => format!("{} entries", grouped(nnz)),
    }
}
