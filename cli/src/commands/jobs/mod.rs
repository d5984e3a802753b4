//! `rankmill jobs`: what a coordinator knows of its jobs.

use rankmill_common::status::JobStatus;
use rankmill_common::{JobId, Result};

mod prune;

use super::block_on;
use crate::client::{self, Client};
use crate::exit::{Failure, Format, Outcome};
use crate::job::Profile;
use crate::progress::Progress;
use crate::text::{Align, print, table};
use crate::{interrupt, outcome};

#[derive(clap::Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    action: Action,
    /// Where the coordinator listens; several with commas: whichever leads
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "RANKMILL_COORDINATOR",
        default_value = "http://127.0.0.1:7070"
    )]
    coordinator: String,
    /// JSON on stdout
    #[arg(long, global = true)]
    json: bool,
}

use prune::Prune;

#[derive(clap::Subcommand)]
enum Action {
    /// All jobs, one per line
    List,
    /// One job
    Show {
        /// The job's id
        id: String,
    },
    /// Follow a job to its end; exits as the job does
    Watch {
        /// The job's id
        id: String,
    },
    /// Remove scratch of jobs that have ended and blocks that nobody uses
    Prune(Prune),
    /// Stop a job for good
    Cancel {
        /// The job's id
        id: String,
    },
}

impl Jobs {
    pub(crate) fn format(&self) -> Format {
        Format::json_if(self.json)
    }

    pub(crate) fn execute(self) -> Outcome {
        let format = self.format();
        if let Action::Prune(prune) = &self.action {
            return prune.execute(&self.coordinator, format);
        }
        block_on(async {
            let client = Client::new(client::dial(&self.coordinator)?);
            let here = |e| client::name_coordinator(e, &self.coordinator);
            match self.action {
                Action::List => print(&list(&client.list().await.map_err(here)?, format)?)?,
                Action::Show { id } => {
                    let status = client.get(&JobId::new(id)).await.map_err(here)?;
                    print(&one(&status, format)?)?;
                }
                // Prunes above: it may not need a coordinator.
                Action::Prune(_) => {}
                Action::Cancel { id } => {
                    let status = client.cancel(&JobId::new(id)).await.map_err(here)?;
                    print(&one(&status, format)?)?;
                }
                Action::Watch { id } => {
                    // The first question tells a wrong URL or id from a coordinator on its way.
                    let id = JobId::new(id);
                    client.get(&id).await.map_err(here)?;
                    return watch(&client, &id, format).await;
                }
            }
            Ok(())
        })
    }
}

async fn watch(client: &Client, id: &JobId, format: Format) -> Outcome {
    let mut progress = Progress::new(format);
    let status = tokio::select! {
        status = client.watch_through_restarts(id, None, &mut progress) => status?,
        () = interrupt::requested() => {
            let message = format!("no longer watching; job {id} goes on");
            return Err(Failure::Interrupted(message));
        }
    };
    progress.finish();
    outcome::conclude(status, None, &progress, (format, Profile::Hidden)).await
}

fn list(jobs: &[JobStatus], format: Format) -> Result<String> {
    if format == Format::Json {
        return Ok(format!("{}\n", json(&jobs)?));
    }
    if jobs.is_empty() {
        return Ok("no jobs\n".to_owned());
    }
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            vec![
                job.id.to_string(),
                job.state.as_str().to_owned(),
                tasks(job),
                job.output.clone(),
            ]
        })
        .collect();
    let titles = ["job", "state", "progress", "output"];
    Ok(table(&titles.map(|title| (title, Align::Left)), &rows))
}

fn one(job: &JobStatus, format: Format) -> Result<String> {
    if format == Format::Json {
        return Ok(format!("{}\n", json(job)?));
    }
    let mut text = format!(
        "job       {}\nkind      {}\nstate     {}\noutput    {}\nworkers   {}\n",
        job.id,
        job.kind,
        job.state.as_str(),
        job.output,
        job.workers
    );
    if job.progress.is_some() {
        text.push_str(&format!("progress  {}\n", tasks(job)));
    }
    if let Some(error) = &job.error {
        text.push_str(&format!("error     {}: {error}\n", error.kind.as_str()));
    }
    Ok(text)
}

fn tasks(job: &JobStatus) -> String {
    job.progress.as_ref().map_or_else(
        || "-".to_owned(),
        |stage| {
            format!(
                "stage {} {} {}/{}",
                stage.stage, stage.name, stage.done, stage.tasks
            )
        },
    )
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|e| rankmill_common::Error::internal(format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rankmill_common::status::{JobState, Progress as Stage};
    use rankmill_common::{Error, ErrorKind};

    fn job() -> JobStatus {
        JobStatus {
            id: JobId::new("svd-0123-0"),
            kind: "svd".to_owned(),
            state: JobState::Failed,
            output: "file:///out".to_owned(),
            progress: Some(Stage {
                stage: 2,
                name: "build_block".to_owned(),
                tasks: 4,
                done: 3,
                bytes: 0,
                note: String::new(),
            }),
            error: Some(Error::new(ErrorKind::InvalidInput, "row 3 is null")),
            workers: 1,
        }
    }

    #[test]
    fn a_list_has_one_line_per_job() {
        let text = list(&[job()], Format::Text).expect("text");
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("stage 2 build_block 3/4"), "{text}");
        assert_eq!(list(&[], Format::Json).expect("json"), "[]\n");
    }

    #[test]
    fn a_failed_job_says_why() {
        let text = one(&job(), Format::Text).expect("text");
        assert!(text.contains("invalid_input: row 3 is null"), "{text}");
    }
}
