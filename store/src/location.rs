//! URLs and paths as places in a store.

use std::path::{Component, Path as FilePath, PathBuf};

use object_store::path::Path;
use rankmill_common::{Error, Result};
use url::Url;

use crate::name;

/// Which store, and the prefix within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    scheme: Scheme,
    /// Bucket, container or the name of a memory store; empty for local files.
    bucket: String,
    /// Without leading or trailing slash.
    prefix: String,
}

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    File,
    Memory,
    S3,
    Gcs,
    Azure,
}

impl Scheme {
    fn parse(scheme: &str) -> Option<Self> {
        match scheme {
            "file" => Some(Self::File),
            "memory" => Some(Self::Memory),
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Gcs),
            "az" | "abfs" | "abfss" => Some(Self::Azure),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

impl Location {
    /// Reads a URL or a local path. A relative path counts from the current directory.
    ///
    /// # Errors
    ///
    /// `InvalidInput` naming the URL and the schemes there are.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: &str| Error::invalid_input(format!("{text:?} {reason}"));
        if text.is_empty() {
            return Err(invalid("is no place to read or write"));
        }
        if text.contains('\0') {
            return Err(invalid("holds a NUL character"));
        }
        if !text.contains("://") {
            return Self::local(FilePath::new(text));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let scheme = Scheme::parse(scheme)
            .ok_or_else(|| invalid("has none of the schemes file, s3, gs, az"))?;
        if scheme == Scheme::File {
            // Globs and blanks are legal in paths but not in URLs: only percent escapes count.
            let decoded = Url::parse(text)
                .ok()
                .and_then(|url| url.to_file_path().ok())
                .filter(|_| rest.contains('%'));
            return Self::local(&decoded.unwrap_or_else(|| PathBuf::from(rest)));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid("names no bucket"));
        }
        if let Some(reason) = name::wrong_with_bucket(scheme, bucket) {
            let reason = format!("{bucket:?} is no valid bucket name: {reason}");
            return Err(Error::invalid_input(format!("{text:?}: {reason}")));
        }
        let prefix = prefix.trim_end_matches('/');
        if let Some(reason) = name::wrong_with_key(prefix) {
            return Err(invalid(&reason));
        }
        Ok(Self {
            scheme,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    fn local(path: &FilePath) -> Result<Self> {
        let absolute = std::path::absolute(path)
            .map_err(|e| Error::invalid_input(format!("{}: {e}", path.display())))?;
        let mut parts: Vec<String> = Vec::new();
        for component in absolute.components() {
            match component {
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
                Component::ParentDir => {
                    parts.pop();
                }
                Component::Normal(part) => {
                    let part = part.to_str().ok_or_else(|| {
                        Error::invalid_input(format!("{} is not UTF-8", path.display()))
                    })?;
                    parts.push(part.to_owned());
                }
            }
        }
        Ok(Self {
            scheme: Scheme::File,
            bucket: String::new(),
            prefix: parts.join("/"),
        })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The place as a URL, without a trailing slash.
    pub fn url(&self) -> String {
        match self.scheme {
            Scheme::File => local_url(&format!("/{}", self.prefix)),
            Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure => {
                let text = format!("{}://{}/{}", self.scheme.as_str(), self.bucket, self.prefix);
                text.trim_end_matches('/').to_owned()
            }
        }
    }

    /// The place that `key` names below this one, for people: a path where it is local.
    pub fn display(&self, key: &str) -> String {
        match self.local_path(key) {
            Some(path) => path.display().to_string(),
            None if key.is_empty() => self.url(),
            None => format!("{}/{key}", self.url()),
        }
    }

    /// This place as a local path, with `key` behind it; absent for remote stores.
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        match self.scheme {
            Scheme::File => Some(FilePath::new("/").join(&self.prefix).join(key)),
            Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure => None,
        }
    }

    /// The folder above this place and the last name in it.
    pub fn split_last(&self) -> (Self, String) {
        let (parent, name) = self
            .prefix
            .rsplit_once('/')
            .unwrap_or(("", self.prefix.as_str()));
        let folder = Self {
            prefix: parent.to_owned(),
            ..self.clone()
        };
        (folder, name.to_owned())
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self {
            prefix: join(&self.prefix, name),
            ..self.clone()
        }
    }

    /// Whether `other` is this place or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.bucket == other.bucket
            && (self.prefix.is_empty()
                || other.prefix == self.prefix
                || other
                    .prefix
                    .strip_prefix(&self.prefix)
                    .is_some_and(|rest| rest.starts_with('/')))
    }

    /// How many folders below this place `other` lies; none where it does not lie below.
    pub fn depth_of(&self, other: &Self) -> Option<usize> {
        if !self.contains(other) {
            return None;
        }
        let rest = other.prefix[self.prefix.len()..].trim_start_matches('/');
        Some(rest.split('/').filter(|part| !part.is_empty()).count())
    }

    /// Path of `key` within the object store: as it is, because the clients escape what has to be
    /// escaped on the way. Local stores are rooted at their prefix.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a key that cannot be sent as it is.
    pub(crate) fn object_path(&self, key: &str) -> Result<Path> {
        let text = match self.scheme {
            Scheme::File => {
                // To a file system, two slashes are as good as one.
                let parts = key.split('/').filter(|part| !part.is_empty());
                parts.collect::<Vec<_>>().join("/")
            }
            Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure => {
                join(&self.prefix, key.trim_end_matches('/'))
            }
        };
        let refused = |reason: &str| {
            let place = self.display(key);
            Error::invalid_input(format!("{place:?} {reason}"))
        };
        if let Some(reason) = name::wrong_with_key(&text) {
            return Err(refused(&reason));
        }
        Path::parse(&text).map_err(|_| refused("is no valid path"))
    }

    /// The key whose [`Self::object_path`] is `path`; empty for the place itself.
    pub(crate) fn key_of(&self, path: &Path) -> String {
        let text = path.as_ref();
        let key = match self.scheme {
            Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure
                if !self.prefix.is_empty() =>
            {
                let rest = text.strip_prefix(&self.prefix).unwrap_or(text);
                rest.strip_prefix('/').unwrap_or(rest)
            }
            Scheme::File | Scheme::Memory | Scheme::S3 | Scheme::Gcs | Scheme::Azure => text,
        };
        key.to_owned()
    }
}

/// A local path as a URL that [`Location::parse`] reads back: only percent signs, and what has a
/// meaning in URLs beside one, need an escape.
pub fn local_url(path: &str) -> String {
    let escaped = if path.contains('%') {
        path.replace('%', "%25")
            .replace('?', "%3F")
            .replace('#', "%23")
            .replace('\\', "%5C")
    } else {
        path.to_owned()
    };
    format!("file://{escaped}")
}

fn join(prefix: &str, key: &str) -> String {
    match (prefix, key) {
        ("", key) => key.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, key) => format!("{prefix}/{key}"),
    }
}
