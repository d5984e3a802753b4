//! What a result must look like on the simulated disk.

use rankmill_common::Digest;
use rankmill_common::manifest::Manifest;
use rankmill_common::operator::WrittenFile;

use super::job;
use super::store::Disk;
use super::witness::Verdict;

pub(super) fn url(output: &str) -> String {
    format!("memory://simulation/{output}")
}

/// Whether the manifest of `output` names `path`.
pub(super) fn is_named(disk: &Disk, output: &str, path: &str) -> bool {
    let manifest = disk.read(&format!("{output}/_manifest.json"));
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    manifest.is_some_and(|manifest| manifest.files.iter().any(|file| file.path == path))
}

pub(super) fn is_published(disk: &Disk, url: &str, manifest: &Manifest) -> Verdict {
    let output = url.trim_start_matches("memory://simulation/");
    let found = disk
        .read(&format!("{output}/_manifest.json"))
        .ok_or_else(|| format!("{output} has no manifest"))?;
    let found: Manifest = serde_json::from_slice(&found).map_err(|e| e.to_string())?;
    if found != *manifest {
        return Err(format!("{output} holds another result"));
    }
    files_are_there(disk, output, manifest)
}

/// The same files as the undisturbed run's, whatever their run is called.
pub(super) fn is_expected(expected: Option<&Vec<WrittenFile>>, files: &[WrittenFile]) -> bool {
    let same = |(a, b): (&WrittenFile, &WrittenFile)| {
        job::part_of(&a.path) == job::part_of(&b.path) && a.blake3 == b.blake3 && a.size == b.size
    };
    expected.is_some_and(|expected| {
        expected.len() == files.len() && expected.iter().zip(files).all(same)
    })
}

pub(super) fn files_are_there(disk: &Disk, output: &str, manifest: &Manifest) -> Verdict {
    for file in &manifest.files {
        let path = format!("{output}/{}", file.path);
        match disk.read(&path) {
            Some(bytes) if Digest::of(&bytes) == file.blake3 => {}
            Some(_) | None => return Err(format!("{path} is in the manifest and is not there")),
        }
    }
    Ok(())
}
