//! The answer to a finished job: a summary from its manifest, or why there is none.

mod graph;
mod svd;

use rankmill_common::job::JobSpec;
use rankmill_common::job::svd::Convergence;
use rankmill_common::manifest::{Manifest, Quality};
use rankmill_common::status::{JobState, JobStatus};
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::Location;
use rankmill_worker::Limits;

use crate::commands::show::{ResultFiles, Spectrum};
use crate::exit::{Failure, Format, Outcome};
use crate::job::Profile;
use crate::profile;
use crate::progress::{Progress, seconds};
use crate::text::print;

/// Prints the answer of a job that has ended.
///
/// # Errors
///
/// The job's own error; `NotConverged` where `--strict` asks for it.
pub(crate) async fn conclude(
    status: JobStatus,
    spec: Option<&JobSpec>,
    progress: &Progress,
    (format, profile): (Format, Profile),
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
    let (manifest, spectrum) = match read(&status.output).await {
        Ok(read) => read,
        Err(error) => return unread(&status, &error, progress, format),
    };
    // Who only watched cannot say how long it took.
    let elapsed = spec.map(|_| progress.elapsed().as_secs_f64());
    print(&match format {
        Format::Json => format!(
            "{}\n",
            answer(&status, &manifest, spectrum.as_ref(), elapsed)
        ),
        Format::Text => {
            let place = place(&status.output);
            summary(&manifest, spectrum.as_ref(), &place, elapsed)
        }
    })?;
    if format == Format::Text {
        show_profile(&manifest, profile)?;
    }
    if manifest.convergence.converged() {
        if let Some(shortfall) = energy_shortfall(&manifest) {
            progress.say(&format!("warning: {shortfall}"));
        }
        return Ok(());
    }
    let message = not_converged(&manifest);
    if manifest.parameters.convergence() == Convergence::Require {
        return Err(Failure::Failed(Error::new(
            ErrorKind::NotConverged,
            message,
        )));
    }
    progress.say(&format!("warning: {message}"));
    Ok(())
}

async fn read(output: &str) -> Result<(Manifest, Option<Spectrum>)> {
    let result = ResultFiles::open(output)?;
    let manifest = result.manifest().await?;
    let spectrum = match &manifest.convergence {
        Quality::Factors(_) => Some(result.spectrum(&manifest).await?),
        Quality::Scores(_) | Quality::Personal(_) | Quality::Index(_) => None,
    };
    Ok((manifest, spectrum))
}

/// The job has succeeded, whether or not its result can be read from here.
fn unread(status: &JobStatus, error: &Error, progress: &Progress, format: Format) -> Outcome {
    print(&match format {
        Format::Json => {
            let (id, state, output) = (&status.id, status.state, &status.output);
            let answer = serde_json::json!({ "job_id": id, "state": state, "output": output });
            format!("{answer}\n")
        }
        Format::Text => format!("result     {}\n", place(&status.output)),
    })?;
    progress.say(&format!(
        "warning: job {} has succeeded, but its result cannot be read from here: {error}",
        status.id
    ));
    Ok(())
}

fn show_profile(manifest: &Manifest, profile: Profile) -> Outcome {
    let limits = match profile {
        Profile::Hidden => return Ok(()),
        Profile::Stages => None,
        Profile::StagesAndLimits { threads } => Some(Limits::measure(threads)?),
    };
    let table = profile::text(&manifest.timings, limits.as_ref());
    Ok(print(&format!("\n{table}"))?)
}

fn place(url: &str) -> String {
    Location::parse(url).map_or_else(
        |_| url.to_owned(),
        |place| place.display("").trim_end_matches('/').to_owned(),
    )
}

fn summary(
    manifest: &Manifest,
    spectrum: Option<&Spectrum>,
    place: &str,
    elapsed: Option<f64>,
) -> String {
    match (&manifest.convergence, spectrum) {
        (Quality::Factors(quality), Some(spectrum)) => {
            svd::summary(&manifest.matrix, quality, spectrum, place, elapsed)
        }
        // A factorization comes with its spectrum.
        (Quality::Factors(_), None) => String::new(),
        (Quality::Scores(quality), _) => {
            graph::scores_summary(&manifest.matrix, quality, place, elapsed)
        }
        (Quality::Personal(quality), _) => {
            graph::personal_summary(&manifest.matrix, quality, place, elapsed)
        }
        (Quality::Index(quality), _) => {
            let bytes = manifest.files.iter().map(|file| file.size).sum();
            graph::index_summary(&manifest.matrix, (quality, bytes), place, elapsed)
        }
    }
}

fn not_converged(manifest: &Manifest) -> String {
    match (&manifest.parameters, &manifest.convergence) {
        (JobSpec::Svd(spec), Quality::Factors(quality)) => svd::not_converged(spec, quality),
        (JobSpec::PageRank(spec), Quality::Scores(quality)) => {
            graph::scores_not_converged(spec, quality)
        }
        (JobSpec::Ppr(spec), Quality::Personal(quality)) => {
            graph::personal_not_converged(spec, quality)
        }
        _ => "not converged".to_owned(),
    }
}

/// Fewer components than hold the energy asked for converge all the same, where there may be no more.
fn energy_shortfall(manifest: &Manifest) -> Option<String> {
    match (&manifest.parameters, &manifest.convergence) {
        (JobSpec::Svd(spec), Quality::Factors(quality)) => svd::energy_shortfall(spec, quality),
        (
            _,
            Quality::Factors(_) | Quality::Scores(_) | Quality::Personal(_) | Quality::Index(_),
        ) => None,
    }
}

fn answer(
    status: &JobStatus,
    manifest: &Manifest,
    spectrum: Option<&Spectrum>,
    elapsed: Option<f64>,
) -> serde_json::Value {
    let mut answer = serde_json::json!({
        "job_id": status.id,
        "state": status.state,
        "output": status.output,
        "seconds": elapsed,
        "manifest": manifest,
    });
    if let Some(spectrum) = spectrum {
        answer["singular_values"] = serde_json::json!(spectrum.values);
    }
    answer
}

/// How long it took, where that is known.
fn taken(elapsed: Option<f64>) -> String {
    elapsed.map_or_else(String::new, |elapsed| format!("  ({})", seconds(elapsed)))
}
