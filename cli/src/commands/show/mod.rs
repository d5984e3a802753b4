//! `rankmill show`: what is in a result.

mod graph;
mod plot;
mod result;
mod svd;
mod verify;

use rankmill_common::ByteSize;
use rankmill_common::job::JobSpec;
use rankmill_common::manifest::{Manifest, Quality};

pub(crate) use result::{ResultFiles, Spectrum};

use super::block_on;
use crate::exit::Outcome;
use crate::profile;
use crate::progress::seconds;
use crate::text::{counted, print};

/// Shows what was read, the parameters, how good the result is, and the spectrum or the best
/// scores. Checks that every file is there in its full size.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// Directory or URL prefix of the result
    #[arg(value_name = "OUT")]
    output: String,
    /// Read every file and compare its blake3 digest
    #[arg(long)]
    verify: bool,
    /// List every component, or every source
    #[arg(long)]
    all: bool,
    /// What the job's time went into: time, bytes and flops per stage
    #[arg(long, conflicts_with = "json")]
    profile: bool,
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
            let shown = match (&manifest.parameters, &manifest.convergence) {
                (JobSpec::Svd(spec), Quality::Factors(quality)) => {
                    let spectrum = result.spectrum(&manifest).await?;
                    if self.json {
                        json(&manifest, ("spectrum", spectrum.to_json()))
                    } else {
                        svd::text(&manifest, spec, quality, &spectrum, self.all)
                    }
                }
                (_, _) => {
                    let best = graph::best(&result, &manifest, self.all).await?;
                    if self.json {
                        json(&manifest, ("scores", graph::to_json(&best)))
                    } else {
                        graph::text(&manifest, &best)
                    }
                }
            };
            print(&if self.json {
                shown
            } else {
                shown + &self.files(&manifest)
            })?;
            if self.profile {
                print(&format!("\n{}", profile::text(&manifest.timings, None)))?;
            }
            Ok(())
        })
    }

    fn files(&self, manifest: &Manifest) -> String {
        let checked = if self.verify { "blake3" } else { "size" };
        let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
        let files = manifest.files.len() as u64;
        let wall: u64 = manifest.timings.iter().map(|stage| stage.wall_ms).sum();
        format!(
            "\nfiles      {}, {}, checked by {checked}; job {}, {} of stages\n",
            counted(files, "file"),
            ByteSize(bytes),
            manifest.job_id,
            seconds(wall as f64 / 1000.0),
        )
    }
}

fn json(manifest: &Manifest, (name, shown): (&str, serde_json::Value)) -> String {
    let mut object = serde_json::json!({ "manifest": manifest });
    object[name] = shown;
    format!("{object:#}\n")
}
