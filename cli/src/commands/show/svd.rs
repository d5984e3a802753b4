//! A factorization: spectrum, residuals, a plot.

use rankmill_common::input::{Ids, Layout};
use rankmill_common::job::svd::{Centering, Rank, SvdSpec};
use rankmill_common::manifest::{ConvergenceSummary, Manifest};

use super::{Spectrum, plot};
use crate::text::{Align, counted, grouped, table};

/// Components that the table shows from the front and from the back.
const FIRST: usize = 10;
const LAST: usize = 3;

/// Everything about a factorization but its files.
pub(super) fn text(
    manifest: &Manifest,
    spec: &SvdSpec,
    quality: &ConvergenceSummary,
    spectrum: &Spectrum,
    all: bool,
) -> String {
    format!(
        "{}\n{}\n{}\n{}",
        head(manifest, spec),
        quality_line(quality),
        plot::plot(&spectrum.values),
        components(spectrum, all),
    )
}

fn components(spectrum: &Spectrum, all: bool) -> String {
    let count = spectrum.values.len();
    let short = !all && count > FIRST + LAST + 1;
    let row = |i: usize| {
        vec![
            grouped(spectrum.component[i]),
            format!("{:.6e}", spectrum.values[i]),
            format!("{:.6}", spectrum.explained_variance_ratio[i]),
            format!("{:.1e}", spectrum.residual[i]),
        ]
    };
    let rows: Vec<Vec<String>> = if short {
        let gap = std::iter::once(vec!["…".to_owned()]);
        let front = (0..FIRST).map(row);
        front
            .chain(gap)
            .chain((count - LAST..count).map(row))
            .collect()
    } else {
        (0..count).map(row).collect()
    };
    table(
        &[
            ("component", Align::Left),
            ("value", Align::Right),
            ("explained variance", Align::Right),
            ("residual", Align::Right),
        ],
        &rows,
    )
}

fn head(manifest: &Manifest, spec: &SvdSpec) -> String {
    let matrix = &manifest.matrix;
    let rows: u64 = manifest.inputs.iter().map(|input| input.rows).sum();
    let rank = match spec.rank {
        Rank::Fixed { k } => format!("k {k}"),
        Rank::Energy { fraction, at_most } => format!("energy {fraction}, at most {at_most}"),
    };
    let width = match spec.block_width {
        Some(width) => width.to_string(),
        None => "by the method".to_owned(),
    };
    let centering = match spec.centering {
        Centering::None => "",
        Centering::Columns => ", centred",
    };
    let skipped = match matrix.skipped_rows {
        0 => String::new(),
        skipped => format!(", {} left out", grouped(skipped)),
    };
    format!(
        "matrix     {} × {}, {} entries, ‖A‖ {:.6e}{centering}\n\
         input      {}, {}{skipped}; {}\n\
         parameters {rank}, block width {width}, tol {:e}, max reads {}, seed {}",
        grouped(matrix.nrows),
        grouped(matrix.ncols),
        grouped(matrix.nnz),
        matrix.frobenius2.sqrt(),
        counted(manifest.inputs.len() as u64, "file"),
        counted(rows, "row"),
        columns(&spec.input.layout),
        spec.tol,
        spec.max_reads,
        spec.seed,
    )
}

fn columns(layout: &Layout) -> String {
    match layout {
        Layout::Sparse(sparse) => {
            let value = sparse.value.as_deref().unwrap_or("1");
            let ids = match sparse.ids {
                Ids::Dictionary => "",
                Ids::Dense { .. } => ", dense ids",
            };
            let transforms: String = sparse
                .transforms
                .iter()
                .map(|transform| format!(", {}", transform.name()))
                .collect();
            format!("{} × {} → {value}{ids}{transforms}", sparse.row, sparse.col)
        }
        Layout::Graph(graph) => format!("{} → {}", graph.src, graph.dst),
        Layout::Dense(dense) => match &dense.id {
            Some(id) => format!("{id} → {}", dense.vector.join(",")),
            None => dense.vector.join(","),
        },
    }
}

fn quality_line(quality: &ConvergenceSummary) -> String {
    format!(
        "quality    {}, {} method, {}; captured energy {:.6}, largest residual {:.1e} of σ₁, \
         numerical rank {}",
        if quality.converged {
            "converged"
        } else {
            "NOT CONVERGED"
        },
        quality.method,
        counted(u64::from(quality.reads), "read"),
        quality.captured_energy,
        quality.max_residual,
        quality.numerical_rank,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum(count: u64) -> Spectrum {
        Spectrum {
            component: (0..count).collect(),
            values: (1..=count).map(|i| 1.0 / i as f64).collect(),
            explained_variance_ratio: vec![0.1; count as usize],
            residual: vec![1e-7; count as usize],
        }
    }

    #[test]
    fn a_long_table_is_cut_in_the_middle() {
        assert_eq!(components(&spectrum(64), false).lines().count(), 15);
        assert_eq!(components(&spectrum(64), true).lines().count(), 65);
        assert_eq!(components(&spectrum(14), false).lines().count(), 15);
    }
}
