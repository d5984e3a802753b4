//! Files that `generate` and `import` write here: whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use rankmill_common::{Error, ErrorKind, Result};

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
    /// `InvalidInput` for a URL, `AlreadyExists` for a place that is taken, unless `overwrite`.
    pub(crate) fn new(text: &str, overwrite: bool) -> Result<Self> {
        let target = Self::parse(text)?;
        if overwrite {
            return Ok(target);
        }
        let taken = match &target {
            Self::File(path) => path.exists(),
            Self::Directory(path) => {
                let mut entries = std::fs::read_dir(path).into_iter().flatten();
                path.is_file() || entries.next().is_some()
            }
        };
        if taken {
            let message = format!("{text} exists already; --overwrite replaces it");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        Ok(target)
    }

    fn parse(text: &str) -> Result<Self> {
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(Error::invalid_input(format!(
                "{text:?}: write to a local file or directory and copy it from there"
            )));
        }
        Ok(if path.ends_with(".parquet") {
            Self::File(PathBuf::from(path))
        } else {
            Self::Directory(PathBuf::from(path))
        })
    }

    /// The path of part `index`; a file has only part 0.
    pub(crate) fn part(&self, index: u64) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Directory(path) => path.join(format!("part-{index:05}.parquet")),
        }
    }

    /// Removes Parquet parts of an earlier run that the new one, of `parts` parts, has not
    /// replaced.
    pub(crate) fn remove_parts_from(&self, parts: u64) -> Result<()> {
        if let Self::Directory(_) = self {
            for index in parts.. {
                let path = self.part(index);
                match std::fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                    Err(e) => return Err(io_failed(&path, &e)),
                }
            }
        }
        Ok(())
    }
}

/// A file under a temporary name; dropped before [`Draft::commit`] it vanishes.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Draft {
    /// Begins the file `path`; makes its directory.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|e| io_failed(folder, &e))?;
        }
        let file = File::create(&temporary).map_err(|e| io_failed(path, &e))?;
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
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.temporary, &self.path));
        placed.map_err(|e| io_failed(&self.path, &e))
    }
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
    use std::io::ErrorKind as Io;

    let place = path.display();
    if error.kind() == Io::StorageFull {
        let message = format!("{place}: the disk is full");
        return Error::new(ErrorKind::ResourceExhausted, message);
    }
    Error::invalid_input(format!("{place}: {error}"))
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

    #[test]
    fn a_taken_place_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("a.parquet").display().to_string();
        assert!(Target::new(&place, false).is_ok());
        std::fs::write(&place, b"x").expect("written");
        let taken = Target::new(&place, false).expect_err("taken");
        assert_eq!(taken.kind, ErrorKind::AlreadyExists);
        assert!(Target::new(&place, true).is_ok());
        let directory = folder.path().display().to_string();
        assert!(Target::new(&directory, false).is_err());
        assert!(Target::new("s3://bucket/x", true).is_err());
    }
}
