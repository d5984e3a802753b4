//! The answer to a finished job: a summary from its manifest, or why there is none.

use rankmill_common::job::JobSpec;
use rankmill_common::job::svd::{Convergence, Rank};
use rankmill_common::manifest::Manifest;
use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{Error, ErrorKind};
use rankmill_store::Location;

use crate::commands::show::{ResultFiles, Spectrum};
use crate::exit::{Failure, Format, Outcome};
use crate::progress::{Progress, seconds};
use crate::text::{counted, grouped, print};

/// Singular values that the summary shows.
const TOP_VALUES: usize = 5;

/// Prints the answer of a job that has ended.
///
/// # Errors
///
/// The job's own error; `NotConverged` where `--strict` asks for it.
pub(crate) async fn conclude(
    status: JobStatus,
    spec: Option<&JobSpec>,
    progress: &Progress,
    format: Format,
) -> Outcome {
    match status.state {
        JobState::Succeeded => {}
        JobState::Cancelled => {
            let message = format!("job {} was cancelled", status.id);
            return Err(Error::new(ErrorKind::Cancelled, message).into());
        }
        JobState::Failed | JobState::Queued | JobState::Running => {
            let unknown = || Error::internal(format!("job {} ended without an answer", status.id));
            return Err(status.error.unwrap_or_else(unknown).into());
        }
    }
    let result = ResultFiles::open(&status.output)?;
    let manifest = result.manifest().await?;
    let spectrum = result.spectrum().await?;
    // Who only watched cannot say how long it took.
    let elapsed = spec.map(|_| progress.elapsed().as_secs_f64());
    print(&match format {
        Format::Json => format!("{}\n", answer(&status, &manifest, &spectrum, elapsed)),
        Format::Text => summary(&manifest, &spectrum, &place(&status.output), elapsed),
    });
    if manifest.convergence.converged {
        return Ok(());
    }
    let message = not_converged(&manifest);
    if is_strict(&manifest.parameters) {
        return Err(Failure::Failed(Error::new(
            ErrorKind::NotConverged,
            message,
        )));
    }
    progress.say(&format!("warning: {message}"));
    Ok(())
}

fn is_strict(spec: &JobSpec) -> bool {
    match spec {
        JobSpec::Svd(spec) => spec.convergence == Convergence::Require,
    }
}

fn place(url: &str) -> String {
    Location::parse(url).map_or_else(
        |_| url.to_owned(),
        |place| place.display("").trim_end_matches('/').to_owned(),
    )
}

fn not_converged(manifest: &Manifest) -> String {
    let quality = &manifest.convergence;
    let energy = match &manifest.parameters {
        JobSpec::Svd(spec) => match spec.rank {
            Rank::Energy { fraction, .. } if quality.captured_energy < fraction => format!(
                ": {} components hold {:.4} of the energy, not {fraction}",
                quality.components, quality.captured_energy
            ),
            Rank::Fixed { .. } | Rank::Energy { .. } => String::new(),
        },
    };
    format!(
        "not converged after {}{energy}; the largest residual is {:.1e} of σ₁, see `rankmill show` \
         (more --max-reads or a looser --tol helps)",
        counted(u64::from(quality.reads), "read"),
        quality.max_residual
    )
}

fn answer(
    status: &JobStatus,
    manifest: &Manifest,
    spectrum: &Spectrum,
    elapsed: Option<f64>,
) -> serde_json::Value {
    serde_json::json!({
        "job_id": status.id,
        "state": status.state,
        "output": status.output,
        "seconds": elapsed,
        "singular_values": spectrum.values,
        "manifest": manifest,
    })
}

fn summary(manifest: &Manifest, spectrum: &Spectrum, place: &str, elapsed: Option<f64>) -> String {
    let matrix = &manifest.matrix;
    let quality = &manifest.convergence;
    let top: Vec<String> = spectrum
        .values
        .iter()
        .take(TOP_VALUES)
        .map(|value| format!("{value:.6}"))
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
        elapsed.map_or_else(String::new, |elapsed| format!("  ({})", seconds(elapsed))),
    )
}

fn entries(nnz: u64) -> String {
    match nnz {
        1 => "1 entry".to_owned(),
        nnz => format!("{} entries", grouped(nnz)),
    }
}
