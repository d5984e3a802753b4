//! Files that `generate` and `import` write here: whole or not at all.
//!
//! Invariant: a file under a draft's name belongs to a process that holds its lock, or to nobody.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::{Location, disk_fault};

/// How names of drafts begin and end: hidden, and no longer than a file system allows, however
/// long the name is that the file will have.
const DRAFT_NAME: (&str, &str) = (".rankmill-", ".tmp");
/// Names that are tried for a draft before its folder is given up.
const DRAFT_TRIES: u32 = 16;

/// Where a command writes its Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One file.
    File(PathBuf),
    /// `part-00000.parquet`, `part-00001.parquet`, … in a directory.
    Directory(PathBuf),
}

impl Target {
    /// A path that ends in `.parquet` is a file, any other a directory.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a place that is not on this machine.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let path = if text.contains("://") {
            let place = Location::parse(text)?;
            // Its parts, since there is a slash behind the last one.
            let local = place.local_path("");
            local.map(|path| path.components().collect::<PathBuf>())
        } else {
            Some(PathBuf::from(text))
        };
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            return Err(Error::invalid_input(format!(
                "{text:?}: write to a local file or directory and copy it from there"
            )));
        };
        let is_file = path.as_os_str().as_encoded_bytes().ends_with(b".parquet");
        Ok(if is_file && !text.ends_with('/') {
            Self::File(path)
        } else {
            Self::Directory(path)
        })
    }

    /// Refuses a place where the output cannot go.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where a directory is in the place of a file or the other way round,
    /// `AlreadyExists` for a place that is taken, unless `overwrite`.
    pub(crate) fn check(&self, overwrite: bool) -> Result<()> {
        let (Self::File(path) | Self::Directory(path)) = self;
        let place = path.display();
        let taken = match self {
            Self::File(_) if path.is_dir() => {
                return Err(Error::invalid_input(format!(
                    "{place} is a directory, and a name that ends in .parquet is that of a file: \
                     choose another"
                )));
            }
            Self::Directory(_) if path.exists() && !path.is_dir() => {
                return Err(Error::invalid_input(format!(
                    "{place} is a file, and a name that does not end in .parquet is that of a \
                     directory: choose another"
                )));
            }
            Self::File(_) => path.exists(),
            Self::Directory(_) => holds_more_than_drafts(path),
        };
        if taken && !overwrite {
            let message = format!("{place} exists already; --overwrite replaces it");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        Ok(())
    }

    /// The path of part `index`; a file has only part 0.
    pub(crate) fn part(&self, index: u64) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Directory(path) => path.join(format!("part-{index:05}.parquet")),
        }
    }

    /// Removes the parts of an earlier run from a directory, before the first new one is there: of
    /// a run that is killed on the way, nothing else must be left beside its own parts.
    pub(crate) fn remove_parts(&self) -> Result<()> {
        let Self::Directory(folder) = self else {
            return Ok(());
        };
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.map_err(|e| io_failed(folder, &e))?;
            if entry.file_name().to_str().is_some_and(is_part) {
                let path = entry.path();
                std::fs::remove_file(&path).map_err(|e| io_failed(&path, &e))?;
            }
        }
        Ok(())
    }
}

/// Whether [`Target::part`] gives names like this one.
fn is_part(name: &str) -> bool {
    let number = name
        .strip_prefix("part-")
        .and_then(|rest| rest.strip_suffix(".parquet"));
    number
        .is_some_and(|digits| digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Drafts of runs that were killed do not count: the next run removes them.
fn holds_more_than_drafts(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| !entry.file_name().to_str().is_some_and(is_draft))
}

/// A file under a temporary name; it vanishes unless it is committed.
///
/// The file is locked while it is written, so that drafts of processes that were killed can be told
/// from those of processes that live.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins the file `path`; makes its directory and removes abandoned drafts from it.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(|e| io_failed(folder, &e))?;
        remove_abandoned(folder);
        let (temporary, file) = create_locked(folder).map_err(|e| io_failed(path, &e))?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file: Some(BufWriter::with_capacity(1 << 20, file)),
        })
    }

    /// Gives the file its name.
    pub(crate) fn commit(mut self) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let placed = file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| {
                file.sync_all()?;
                // Still locked: nobody takes it for abandoned on its way.
                std::fs::rename(&self.temporary, &self.path)
            });
        placed.map_err(|e| io_failed(&self.path, &e))
    }
}

/// Makes a file under a new name and locks it.
fn create_locked(folder: &Path) -> std::io::Result<(PathBuf, File)> {
    let (prefix, suffix) = DRAFT_NAME;
    for _ in 0..DRAFT_TRIES {
        let unique = uuid::Uuid::new_v4().simple();
        let path = folder.join(format!("{prefix}{unique}{suffix}"));
        let file = File::create_new(&path)?;
        match file.try_lock() {
            // Whoever looked for abandoned drafts before it was locked has removed it, or will.
            Ok(()) if !path.exists() => {}
            Err(TryLockError::WouldBlock) => {}
            // Where there are no locks, no draft is taken for abandoned.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok((path, file)),
        }
    }
    Err(std::io::Error::other("other processes remove its draft"))
}

/// Removes the drafts of processes that were killed. What cannot be removed does no harm.
fn remove_abandoned(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_draft) {
            continue;
        }
        let path = entry.path();
        // Opened for writing, since some file systems lock nothing else.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT_NAME.0) && name.ends_with(DRAFT_NAME.1)
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit there is nothing under the temporary name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// A failure to read or write `path`.
pub(crate) fn io_failed(path: &Path, error: &std::io::Error) -> Error {
    let place = path.display();
    disk_fault(&place, error.kind())
        .unwrap_or_else(|| Error::invalid_input(format!("{place}: {error}")))
}

/// A failure to write Parquet into `path`.
pub(crate) fn parquet_failed(path: &Path, error: &ParquetError) -> Error {
    let cause =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) => io_failed(path, cause),
        None => Error::internal(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_draft_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub/a.parquet");
        let mut draft = Draft::begin(&path).expect("begun");
        draft.write_all(b"half").expect("written");
        drop(draft);
        let left = std::fs::read_dir(folder.path().join("sub")).expect("a folder");
        assert_eq!(left.count(), 0);
        let mut draft = Draft::begin(&path).expect("begun");
        draft.write_all(b"whole").expect("written");
        draft.commit().expect("committed");
        assert_eq!(std::fs::read(&path).expect("there"), b"whole");
    }

    /// The names in `folder`, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn drafts_of_the_dead_are_removed_and_those_of_the_living_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let dead = folder.path().join(".rankmill-dead.tmp");
        std::fs::write(&dead, "half").expect("written");
        let living = Draft::begin(&folder.path().join("a.parquet")).expect("begun");
        let other = Draft::begin(&folder.path().join("b.parquet")).expect("begun");
        assert!(!dead.exists());
        living.commit().expect("committed");
        other.commit().expect("committed");
        assert_eq!(names(folder.path()), ["a.parquet", "b.parquet"]);
    }

    #[test]
    fn a_name_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x".repeat(247) + ".parquet");
        let draft = Draft::begin(&path).expect("begun");
        draft.commit().expect("committed");
        assert!(path.exists());
    }

    #[test]
    fn only_parts_are_removed_from_a_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        // A gap, as a removal leaves it that was cut short.
        for name in [
            "part-00003.parquet",
            "part-100000.parquet",
            "part-7.parquet",
            "mine.parquet",
        ] {
            std::fs::write(folder.path().join(name), "x").expect("written");
        }
        let target = Target::Directory(folder.path().to_owned());
        target.remove_parts().expect("removed");
        assert_eq!(names(folder.path()), ["mine.parquet", "part-7.parquet"]);
    }

    fn check(place: &Path, overwrite: bool) -> Result<()> {
        Target::parse(place.to_str().expect("UTF-8"))?.check(overwrite)
    }

    #[test]
    fn a_taken_place_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("a.parquet");
        assert_eq!(check(&place, false), Ok(()));
        assert_eq!(check(folder.path(), false), Ok(()));
        std::fs::write(&place, b"x").expect("written");
        for taken in [place.as_path(), folder.path()] {
            let error = check(taken, false).expect_err("taken");
            assert_eq!(error.kind, ErrorKind::AlreadyExists);
            assert_eq!(check(taken, true), Ok(()));
        }
    }

    #[test]
    fn what_an_abandoned_run_left_does_not_take_a_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".rankmill-dead.tmp"), "half").expect("written");
        assert_eq!(check(folder.path(), false), Ok(()));
    }

    #[test]
    fn a_directory_is_no_file_and_a_file_no_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, directory) = (folder.path().join("f"), folder.path().join("d.parquet"));
        std::fs::write(&file, b"x").expect("written");
        std::fs::create_dir(&directory).expect("made");
        for overwrite in [false, true] {
            let error = check(&file, overwrite).expect_err("a file");
            assert!(error.message.contains("is a file"), "{error}");
            let error = check(&directory, overwrite).expect_err("a directory");
            assert!(error.message.contains("is a directory"), "{error}");
        }
    }

    #[test]
    fn a_url_is_read_as_everywhere_else() {
        let file = |path: &str| Ok(Target::File(PathBuf::from(path)));
        let directory = |path: &str| Ok(Target::Directory(PathBuf::from(path)));
        assert_eq!(
            Target::parse("file:///x/p%20q/a.parquet"),
            file("/x/p q/a.parquet")
        );
        assert_eq!(Target::parse("p%20q/a.parquet"), file("p%20q/a.parquet"));
        assert_eq!(Target::parse("file:///x/out"), directory("/x/out"));
        assert_eq!(Target::parse("out.parquet/"), directory("out.parquet/"));
        for elsewhere in ["s3://bucket/x", "memory://x/y", "ftp://x/y", ""] {
            assert!(Target::parse(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
