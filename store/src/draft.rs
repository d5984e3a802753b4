//! An object that is written from front to back.
//!
//! In a local directory it is a file under another name until it is whole and on the disk, as the
//! local backend stages its own: [`crate::staging`] removes what a killed process leaves of it.
//! Other stores are given the whole object, which waits in memory.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rankmill_common::{Error, Result};

use crate::{Store, disk_error};

/// An object that nobody sees before [`Self::finish`], and never without it.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    key: String,
    target: Target,
}

#[derive(Debug)]
enum Target {
    File(Staged),
    Memory(Vec<u8>),
}

/// A file that goes when it is dropped, unless it was renamed.
#[derive(Debug)]
struct Staged {
    file: File,
    /// Until it is renamed: another may have the name from then on.
    path: Option<PathBuf>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Draft {
    pub(crate) fn create(store: &Store, key: &str, expected: usize) -> Result<Self> {
        // Refuses keys that lead elsewhere.
        store.path(key)?;
        let target = match store.local_path(key) {
            Some(whole) => {
                let staged = Staged::create(&whole);
                Target::File(staged.map_err(|e| fault(store, key, &e))?)
            }
            None => Target::Memory(Vec::with_capacity(expected)),
        };
        Ok(Self {
            store: store.clone(),
            key: key.to_owned(),
            target,
        })
    }

    /// The error that travels for a failed write to this object.
    pub fn error(&self, error: &io::Error) -> Error {
        fault(&self.store, &self.key, error)
    }

    /// Makes the object visible, in the place of what is there.
    ///
    /// # Errors
    ///
    /// As [`Store::put`], but a fault of a local disk is tried once: what was written is lost.
    pub async fn finish(self) -> Result<()> {
        let Self { store, key, target } = self;
        match target {
            Target::Memory(bytes) => store.put(&key, Bytes::from(bytes)).await,
            Target::File(staged) => match store.local_path(&key) {
                Some(whole) => staged.publish(&whole).map_err(|e| fault(&store, &key, &e)),
                None => Err(Error::internal("a staged file of a remote store")),
            },
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::File(staged) => staged.file.write(bytes),
            Target::Memory(whole) => whole.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged {
    /// A new file beside `whole`, under the first name of its staged ones that is free.
    fn create(whole: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder_of(whole))?;
        let name = whole.file_name().unwrap_or_default();
        for number in 1_u64.. {
            let mut staged = name.to_owned();
            staged.push(format!("#{number}"));
            let path = whole.with_file_name(staged);
            match File::create_new(&path) {
                Ok(file) => {
                    let path = Some(path);
                    return Ok(Self { file, path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Renames it once it is on the disk: what is named after it must not outlive it in a power cut.
    fn publish(mut self, whole: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(path) = &self.path {
            std::fs::rename(path, whole)?;
            self.path = None;
        }
        sync_folder(folder_of(whole))
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    // Folders cannot be opened there.
    Ok(())
}

fn fault(store: &Store, key: &str, error: &io::Error) -> Error {
    disk_error(store.location.display(key), error)
}

#[cfg(test)]
mod tests {
    use rankmill_common::ErrorKind;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    #[tokio::test]
    async fn a_local_draft_is_seen_when_it_is_whole_and_leaves_nothing_otherwise() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path().to_str().expect("UTF-8")).expect("opened");
        let folder = directory.path().join("left");
        let mut given_up = store.draft("left/part", 9).expect("a draft");
        let mut kept = store.draft("left/part", 9).expect("another");
        given_up.write_all(b"half").expect("written");
        kept.write_all(b"all of it").expect("written");
        assert_eq!(store.list("left").await.expect("listed"), []);
        assert_eq!(names(&folder).len(), 2);
        drop(given_up);
        kept.finish().await.expect("finished");
        assert_eq!(names(&folder), ["part"]);
        assert_eq!(
            &store.get("left/part").await.expect("read")[..],
            b"all of it"
        );
    }

    #[tokio::test]
    async fn a_draft_of_another_store_is_put_whole() {
        let store = Store::open("memory://drafts").expect("opened");
        let mut draft = store.draft("left/part", 9).expect("a draft");
        draft.write_all(b"all ").expect("written");
        draft.write_all(b"of it").expect("written");
        let early = store.get("left/part").await.expect_err("too early");
        assert_eq!(early.kind, ErrorKind::NotFound);
        draft.finish().await.expect("finished");
        assert_eq!(
            &store.get("left/part").await.expect("read")[..],
            b"all of it"
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("left"), "a file").expect("written");
        let store = Store::open(directory.path().to_str().expect("UTF-8")).expect("opened");
        let error = store.draft("left/part", 9).expect_err("no folder");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("left/part"), "{error}");
    }
}
