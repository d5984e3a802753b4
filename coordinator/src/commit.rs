//! The sole writer of manifests.
//!
//! A result becomes visible when its manifest is written, and the manifest is written only after
//! the job's log holds it, so whoever comes later can write the same bytes again.

use bytes::Bytes;
use rankmill_common::job::{JobSpec, Overwrite};
use rankmill_common::manifest::{MANIFEST_NAME, Manifest, RESULT_FOLDERS, StageTiming, Versions};
use rankmill_common::{Error, ErrorKind, JobId, Result};
use rankmill_store::{Created, Store};

use crate::algorithm::JobResult;

/// Version of the manifest's format.
const MANIFEST_VERSION: u32 = 1;

/// The manifest of a finished job.
pub(crate) fn manifest(
    job_id: JobId,
    parameters: JobSpec,
    result: JobResult,
    isa: String,
    timings: Vec<StageTiming>,
) -> Manifest {
    Manifest {
        manifest_version: MANIFEST_VERSION,
        job_id,
        parameters,
        inputs: result.inputs,
        matrix: result.matrix,
        files: result.files,
        convergence: result.convergence,
        versions: Versions {
            rankmill: env!("CARGO_PKG_VERSION").to_owned(),
            isa,
        },
        timings,
    }
}

/// Makes the result visible, then removes files of results that it replaces.
pub(crate) async fn publish(store: &Store, spec: &JobSpec, manifest: &Manifest) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(manifest)
        .map_err(|e| Error::internal(format!("the manifest cannot be written: {e}")))?;
    text.push(b'\n');
    let bytes = Bytes::from(text);
    match spec.output().overwrite {
        Overwrite::Replace => store.put(MANIFEST_NAME, bytes).await?,
        Overwrite::Refuse => match store.create(MANIFEST_NAME, bytes).await? {
            Created::Mine => {}
            Created::Other(_) => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "{} received another result while this job ran",
                        store.location().display("").trim_end_matches('/')
                    ),
                ));
            }
        },
    }
    // The result is visible; files that nobody names cost only space, and whoever reads a folder
    // instead of the manifest.
    if let Err(error) = sweep(store, manifest).await {
        tracing::warn!(%error, "files of an earlier result could not be removed");
    }
    Ok(())
}

/// Removes `files`, which a job that failed may have written to its output, and what is half-written
/// there. A result that was finished before stays.
pub(crate) async fn withdraw(store: &Store, files: &[String]) -> Result<()> {
    let kept: Vec<String> = match store.get(MANIFEST_NAME).await {
        Ok(bytes) => match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) => manifest.files.into_iter().map(|file| file.path).collect(),
            Err(_) => return Ok(()),
        },
        Err(e) if e.kind == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    for file in files.iter().filter(|file| !kept.contains(file)) {
        store.delete(file).await?;
    }
    for folder in RESULT_FOLDERS {
        store.sweep_staged_in(folder, is_result_file).await;
    }
    Ok(())
}

/// The pointer to the matrix that a lost object belongs to. Without it the next job on the same
/// input builds the matrix anew.
pub(crate) fn damaged_matrix(error: &Error) -> Option<String> {
    let lost = error.lost_key.as_deref()?;
    let (digest, _) = lost.strip_prefix("matrices/")?.split_once('/')?;
    Some(format!("matrices/{digest}/matrix.json"))
}

/// Says what to do about a lost object that no task of the job has made: a block of an earlier
/// job's.
pub(crate) fn explain_loss(error: Error) -> Error {
    if damaged_matrix(&error).is_none() {
        return error;
    }
    let explained = error.context(
        "blocks that an earlier job has built are damaged; run the same command again, which \
         builds them anew",
    );
    Error {
        kind: ErrorKind::Unavailable,
        ..explained
    }
}

/// Deletes objects that nobody reads any more, by the job's log. What cannot be deleted now goes with the
/// rest when the job has ended.
pub(crate) async fn delete_scratch(state: &Store, keys: Vec<String>) {
    if let Err(error) = state.delete_all(keys).await {
        tracing::debug!(%error, "cannot delete scratch yet");
    }
}

/// Deletes what the attempts of a finished job wrote; its log stays. What cannot be deleted now
/// costs only space.
pub(crate) async fn sweep_scratch(state: &Store, job: &JobId) {
    if let Err(error) = state.delete_below(&format!("jobs/{job}/a")).await {
        tracing::debug!(%job, %error, "cannot delete scratch yet");
    }
}

/// Deletes result files that no manifest names, those of a replaced or abandoned result, and what
/// killed processes have left half-written.
async fn sweep(store: &Store, manifest: &Manifest) -> Result<()> {
    store
        .sweep_staged_in("", |name| name == MANIFEST_NAME)
        .await;
    for folder in RESULT_FOLDERS {
        store.sweep_staged_in(folder, is_result_file).await;
        for entry in store.list(folder).await? {
            let named = manifest.files.iter().any(|file| file.path == entry.key);
            if !named && is_result_file(&entry.key) {
                store.delete(&entry.key).await?;
            }
        }
    }
    Ok(())
}

/// Whether a key looks like a file that rankmill writes: `left/part-00000-0123abcd.parquet`.
fn is_result_file(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.strip_prefix("part-")
        .and_then(|rest| rest.strip_suffix(".parquet"))
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(number, digest)| {
            number.bytes().all(|b| b.is_ascii_digit())
                && digest.len() == 8
                && digest.bytes().all(|b| b.is_ascii_hexdigit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_block_names_its_matrix() {
        let block = Error::input_lost("matrices/0123abcd/a/svd-1/2/0/1-5/block", "gone");
        let pointer = Some("matrices/0123abcd/matrix.json".to_owned());
        assert_eq!(damaged_matrix(&block), pointer);
        assert_eq!(explain_loss(block).kind, ErrorKind::Unavailable);
        let scratch = Error::input_lost("jobs/svd-1/a/svd-1/7/0/1-9/z", "gone");
        assert_eq!(explain_loss(scratch.clone()), scratch);
    }

    #[test]
    fn only_files_of_its_own_kind_are_swept() {
        assert!(is_result_file("left/part-00000-0123abcd.parquet"));
        assert!(!is_result_file("left/users.parquet"));
        assert!(!is_result_file("left/part-x-0123abcd.parquet"));
        assert!(!is_result_file("left/part-00000-0123abcd.csv"));
    }
}
