//! What all commands that start a job do: run it here, or submit it and watch.

use rankmill_common::job::JobSpec;

use super::block_on;
use crate::client::{self, Client};
use crate::exit::{Failure, Format, Outcome};
use crate::job::{JobArgs, RunArgs, check_local_inputs};
use crate::progress::Progress;
use crate::text::print;
use crate::{embedded, interrupt, outcome};

/// Runs or submits the job that `job` describes.
pub(super) fn run_job(mut job: JobArgs, run: &RunArgs) -> Outcome {
    run.check()?;
    if run.keys.coordinator.is_none() {
        job.default_task_memory(run.keys.task_memory());
    }
    let spec = job.into_spec()?;
    match &run.keys.coordinator {
        Some(url) => block_on(submit(&spec, url, run)),
        None => {
            check_local_inputs(&spec)?;
            block_on(run_here(&spec, run))
        }
    }
}

async fn run_here(spec: &JobSpec, run: &RunArgs) -> Outcome {
    let format = run.format();
    let mut progress = Progress::new(format);
    let status = embedded::run(spec, &run.keys, &mut progress).await?;
    let shown = (format, run.profile());
    outcome::conclude(status, Some(spec), &progress, shown).await
}

async fn submit(spec: &JobSpec, url: &str, run: &RunArgs) -> Outcome {
    let format = run.format();
    let client = Client::new(client::dial(url)?);
    let mut progress = Progress::new(format);
    let submitted = client.submit_patiently(spec, &mut progress).await;
    let submitted = submitted.map_err(|e| client::name_coordinator(e, url))?;
    if run.detach {
        return Ok(print(&match format {
            Format::Json => format!("{}\n", serde_json::json!({ "job_id": submitted.id })),
            Format::Text => format!("{}\n", submitted.id),
        })?);
    }
    progress.say(&format!("job {} at {url}", submitted.id));
    let status = tokio::select! {
        status = client.watch_through_restarts(&submitted.id, Some(spec), &mut progress) => status?,
        () = interrupt::requested() => return Err(Failure::Interrupted(format!(
            "no longer watching; job {id} goes on (rankmill jobs watch {id} --coordinator {url}, \
             or jobs cancel)",
            id = submitted.id
        ))),
    };
    progress.finish();
    let shown = (format, run.profile());
    outcome::conclude(status, Some(spec), &progress, shown).await
}
