//! `rankmill show`: what is in a result.

mod plot;
mod result;
mod verify;

use rankmill_common::ByteSize;
use rankmill_common::input::{Ids, Layout};
use rankmill_common::job::JobSpec;
use rankmill_common::job::svd::{Centering, Rank};
use rankmill_common::manifest::Manifest;

pub(crate) use result::{ResultFiles, Spectrum};

use super::block_on;
use crate::exit::Outcome;
use crate::progress::seconds;
use crate::text::{Align, counted, grouped, print, table};

/// Components that the table shows from the front and from the back.
const FIRST: usize = 10;
const LAST: usize = 3;

/// Shows the matrix, the parameters, how good the factors are and the spectrum. Checks that
/// every file is there in its full size.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// Directory or URL prefix of the result
    #[arg(value_name = "OUT")]
    output: String,
    /// Read every file and compare its blake3 digest
    #[arg(long)]
    verify: bool,
    /// List every component
    #[arg(long)]
    all: bool,
    /// The manifest and the spectrum as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Show {
    pub(crate) fn execute(self) -> Outcome {
        block_on(async {
            let result = ResultFiles::open(&self.output)?;
            let manifest = result.manifest().await?;
            verify::check(&result, &manifest, self.verify).await?;
            let spectrum = result.spectrum().await?;
            print(&if self.json {
                format!("{:#}\n", json(&manifest, &spectrum))
            } else {
                self.text(&manifest, &spectrum)
            });
            Ok(())
        })
    }

    fn text(&self, manifest: &Manifest, spectrum: &Spectrum) -> String {
        let checked = if self.verify { "blake3" } else { "size" };
        let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
        let files = manifest.files.len() as u64;
        let wall: u64 = manifest.timings.iter().map(|stage| stage.wall_ms).sum();
        format!(
            "{}\n{}\n{}\n{}\nfiles      {}, {}, checked by {checked}; job {}, {} of stages\n",
            head(manifest),
            quality(manifest),
            plot::plot(&spectrum.values),
            self.components(spectrum),
            counted(files, "file"),
            ByteSize(bytes),
            manifest.job_id,
            seconds(wall as f64 / 1000.0),
        )
    }

    fn components(&self, spectrum: &Spectrum) -> String {
        let count = spectrum.values.len();
        let short = !self.all && count > FIRST + LAST + 1;
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
}

fn head(manifest: &Manifest) -> String {
    let matrix = &manifest.matrix;
    let JobSpec::Svd(spec) = &manifest.parameters;
    let rows: u64 = manifest.inputs.iter().map(|input| input.rows).sum();
    let rank = match spec.rank {
        Rank::Fixed { k } => format!("k {k}"),
        Rank::Energy { fraction, at_most } => format!("energy {fraction}, at most {at_most}"),
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
         parameters {rank}, oversample {}, tol {:e}, max reads {}, seed {}",
        grouped(matrix.nrows),
        grouped(matrix.ncols),
        grouped(matrix.nnz),
        matrix.frobenius2.sqrt(),
        counted(manifest.inputs.len() as u64, "file"),
        counted(rows, "row"),
        columns(&spec.input.layout),
        spec.oversampling,
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
        Layout::Dense(dense) => match &dense.id {
            Some(id) => format!("{id} → {}", dense.vector.join(",")),
            None => dense.vector.join(","),
        },
    }
}

fn quality(manifest: &Manifest) -> String {
    let quality = &manifest.convergence;
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

fn json(manifest: &Manifest, spectrum: &Spectrum) -> serde_json::Value {
    serde_json::json!({
        "manifest": manifest,
        "spectrum": {
            "component": spectrum.component,
            "value": spectrum.values,
            "explained_variance_ratio": spectrum.explained_variance_ratio,
            "residual": spectrum.residual,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(all: bool) -> Show {
        Show {
            output: "/out".to_owned(),
            verify: false,
            all,
            json: false,
        }
    }

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
        assert_eq!(show(false).components(&spectrum(64)).lines().count(), 15);
        assert_eq!(show(true).components(&spectrum(64)).lines().count(), 65);
        assert_eq!(show(false).components(&spectrum(14)).lines().count(), 15);
    }
}
