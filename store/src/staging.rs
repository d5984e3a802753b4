//! Files that a killed process left half-written in a local directory, and directories that go.
//!
//! The local backend writes `name#N` and renames it when it is whole; listings hide such files, so
//! nobody else would ever remove them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Removes the staged files below `root` that nobody has written to for `age`. Returns how many.
pub(crate) fn sweep(root: &Path, age: Duration) -> u64 {
    let mut removed = 0;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        // A folder that goes while it is read needs no sweeping.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // Symbolic links are not followed.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if is_staged(&path) && is_older(&path, age) && std::fs::remove_file(path).is_ok()
            {
                removed += 1;
            }
        }
    }
    removed
}

/// Removes `folder` with all that is in it; one that is not there is no error.
pub(crate) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    // Somebody who still writes there makes a file in a folder that is all but gone.
    const TRIES: usize = 4;
    let mut removed = Ok(());
    for _ in 0..TRIES {
        removed = std::fs::remove_dir_all(folder);
        match &removed {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {}
            _ => break,
        }
    }
    removed
}

/// Removes the staged files in `folder` that were to become what `is_over` names.
pub(crate) fn sweep_in(folder: &Path, is_over: fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let whole = staged_of(&path);
        let name = whole.as_ref().and_then(|whole| whole.file_name()?.to_str());
        if name.is_some_and(is_over) {
            // One that another process has just renamed is no loss.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn is_staged(path: &Path) -> bool {
    staged_of(path).is_some()
}

/// The file that a staged one is to become.
fn staged_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    let (whole, number) = name.rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| path.with_file_name(whole))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the age of a file decides nothing but when it goes"
)]
fn is_older(path: &Path, age: Duration) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    modified
        .ok()
        .and_then(|time| std::time::SystemTime::now().duration_since(time).ok())
        .is_some_and(|elapsed| elapsed >= age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_staged_files_go() {
        let root = tempfile::tempdir().expect("a directory");
        let deep = root.path().join("jobs/a");
        std::fs::create_dir_all(&deep).expect("made");
        for name in ["block#12", "block", "a#b", "block#"] {
            std::fs::write(deep.join(name), "x").expect("written");
        }
        assert_eq!(sweep(root.path(), Duration::from_secs(3_600)), 0);
        assert_eq!(sweep(root.path(), Duration::ZERO), 1);
        assert!(!deep.join("block#12").exists());
        assert!(deep.join("a#b").exists());
    }

    #[test]
    fn staged_files_of_what_is_over_go_and_those_of_others_stay() {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["block", "block#1", "block#27", "other#1", "block#x"] {
            std::fs::write(root.path().join(name), "x").expect("written");
        }
        sweep_in(root.path(), |name| name == "block");
        sweep_in(&root.path().join("gone"), |_| true);
        let there = |name: &str| root.path().join(name).exists();
        assert!(there("block") && there("other#1") && there("block#x"));
        assert!(!there("block#1") && !there("block#27"));
    }
}
