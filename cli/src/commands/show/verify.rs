//! Compares the files of a result with its manifest.

use std::fs::File;
use std::path::Path;

use rankmill_common::manifest::Manifest;
use rankmill_common::operator::WrittenFile;
use rankmill_common::{ErrorKind, Result};

use super::ResultFiles;

/// Every file by its size; with `content` by its blake3 digest as well.
///
/// # Errors
///
/// `InvalidInput` naming the first file that is missing or differs.
pub(super) async fn check(result: &ResultFiles, manifest: &Manifest, content: bool) -> Result<()> {
    for file in &manifest.files {
        let entry = match result.store.head(&file.path).await {
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(result.damaged(&file.path, &"the file is gone"));
            }
            entry => entry?,
        };
        if entry.size != file.size {
            let reason = format!("it has {} bytes, not {}", entry.size, file.size);
            return Err(result.damaged(&file.path, &reason));
        }
        if content {
            compare_content(result, file).await?;
        }
    }
    Ok(())
}

async fn compare_content(result: &ResultFiles, file: &WrittenFile) -> Result<()> {
    let digest = match result.store.local_path(&file.path) {
        Some(path) => digest_of(&path).map_err(|e| result.damaged(&file.path, &e))?,
        None => blake3::hash(&result.store.get(&file.path).await?),
    };
    if digest.to_hex().as_str() == file.blake3.to_string() {
        return Ok(());
    }
    let reason = "its content is not what the manifest says (blake3)";
    Err(result.damaged(&file.path, &reason))
}

fn digest_of(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize())
}
