//! Store errors as the errors that travel.
//!
//! What a store answers is quoted by its status and its error code alone: bodies, URLs and headers
//! may hold signatures and tokens.

use std::error::Error as StdError;
use std::fmt::Display;

use rankmill_common::{Error, ErrorKind};

use crate::listing::odd_key;
use crate::name::wrong_with_key;

/// Codes of a 404 that is about the bucket and not about the object.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"];
/// Codes of a 400 that is about the transfer and not about the request.
const BROKEN_TRANSFER: [&str; 3] = ["RequestTimeout", "IncompleteBody", "BadDigest"];
const CREDENTIALS: &str =
    "check the credentials that its store profile or the environment names, and what they may do";

/// `error` about `place`.
pub(crate) fn translate(place: &str, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    if let Some(fault) = io_kinds(error).find_map(|kind| disk_fault(place, kind)) {
        return fault;
    }
    let answer = Answer::of(error);
    let said = answer.to_string();
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    let (kind, reason) = match error {
        _ if answer.is_about_the_bucket(error) => (
            ErrorKind::InvalidInput,
            format!("there is no such bucket{said}: create it or correct the URL"),
        ),
        Store::NotFound { .. } => (ErrorKind::NotFound, "does not exist".to_owned()),
        Store::AlreadyExists { .. } | Store::Precondition { .. } => {
            (ErrorKind::AlreadyExists, "exists already".to_owned())
        }
        Store::PermissionDenied { .. } => (
            ErrorKind::InvalidInput,
            format!("permission denied{said}: {CREDENTIALS}"),
        ),
        Store::Unauthenticated { .. } => (
            ErrorKind::InvalidInput,
            format!("the store refused the credentials{said}: {CREDENTIALS}"),
        ),
        Store::InvalidPath { .. } => (ErrorKind::InvalidInput, unreadable(error)),
        Store::NotImplemented { .. } | Store::NotSupported { .. } => (
            ErrorKind::InvalidInput,
            "the store cannot do what rankmill needs of it".to_owned(),
        ),
        _ => answer.explain(error),
    };
    Error::new(kind, format!("{place}: {reason}"))
}

/// Paths are checked before they are sent, so this one comes from a listing that could not be led
/// around it.
fn unreadable(error: &object_store::Error) -> String {
    let Some(key) = odd_key(error) else {
        return "is no valid path".to_owned();
    };
    let wrong = wrong_with_key(key).unwrap_or_else(|| "is not UTF-8".to_owned());
    format!(
        "below it lies {key:?}, which {wrong}; rename or delete that object, or choose a folder \
         without it"
    )
}

/// What an HTTP store said, as far as it may be repeated.
struct Answer {
    status: Option<u16>,
    code: Option<String>,
}

impl Answer {
    /// The library keeps status and body in types of its own that have no public name, so both
    /// are read from their text.
    fn of(error: &object_store::Error) -> Self {
        let texts: Vec<String> = sources(error).map(ToString::to_string).collect();
        let status = texts.iter().find_map(|text| {
            let (_, rest) = text.split_once("non-2xx status code: ")?;
            rest.get(..3)?.parse().ok()
        });
        let code = texts.iter().find_map(|text| {
            let (_, rest) = text.split_once("<Code>")?;
            let (code, _) = rest.split_once("</Code>")?;
            let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
            plain.then(|| code.to_owned())
        });
        Self { status, code }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| codes.contains(&code))
    }

    /// A listing has no object that could be missing.
    fn is_about_the_bucket(&self, error: &object_store::Error) -> bool {
        let of_an_object = matches!(error, object_store::Error::NotFound { .. });
        self.has_code(&NO_BUCKET) || (self.status == Some(404) && !of_an_object)
    }

    fn explain(&self, error: &object_store::Error) -> (ErrorKind, String) {
        match self.status {
            Some(400 | 401 | 403) if !self.has_code(&BROKEN_TRANSFER) => (
                ErrorKind::InvalidInput,
                format!("the store refused the request{self}: {CREDENTIALS}, and its region"),
            ),
            Some(_) => (
                ErrorKind::Unavailable,
                format!("the store cannot serve it now{self}"),
            ),
            None => (ErrorKind::Unavailable, root_cause(error) + advice(error)),
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, " ({status} {code})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, Some(status)) => write!(f, " ({status})"),
            (None, None) => Ok(()),
        }
    }
}

/// What the operating system holds against a local place until somebody mends it: to try again is
/// of no use.
pub fn disk_fault(place: impl Display, kind: std::io::ErrorKind) -> Option<Error> {
    use std::io::ErrorKind as Io;
    let full = (
        ErrorKind::ResourceExhausted,
        "the disk is full; free some space",
    );
    let refused = |reason| (ErrorKind::InvalidInput, reason);
    let faults = [
        (Io::StorageFull, full),
        (Io::QuotaExceeded, full),
        (
            Io::ReadOnlyFilesystem,
            refused("the file system is mounted read-only; mount it otherwise"),
        ),
        (Io::PermissionDenied, refused("permission denied; grant it")),
    ];
    let (_, (kind, reason)) = faults.into_iter().find(|(fault, _)| *fault == kind)?;
    let message = format!("{place}: {reason} or choose another place");
    Some(Error::new(kind, message))
}

/// A fault of a local disk at `place`: for good, or else one that may pass.
pub fn disk_error(place: impl Display, error: &std::io::Error) -> Error {
    disk_fault(&place, error.kind())
        .unwrap_or_else(|| Error::new(ErrorKind::Unavailable, format!("{place}: {error}")))
}

fn io_kinds(error: &object_store::Error) -> impl Iterator<Item = std::io::ErrorKind> + '_ {
    let errors = sources(error).filter_map(|source| source.downcast_ref::<std::io::Error>());
    errors.map(std::io::Error::kind)
}

fn root_cause(error: &object_store::Error) -> String {
    let cause = sources(error).last().map_or_else(
        || "the store did not answer".to_owned(),
        ToString::to_string,
    );
    // A body that came with a success (a multipart upload can fail so) is not repeated either.
    if cause.starts_with("Server returned") {
        return "the store answered with an error".to_owned();
    }
    cause
}

/// What to do about a store that does not even listen.
fn advice(error: &object_store::Error) -> &'static str {
    use std::io::ErrorKind as Io;
    let unreachable = [
        Io::ConnectionRefused,
        Io::HostUnreachable,
        Io::NetworkUnreachable,
    ];
    if io_kinds(error).any(|kind| unreachable.contains(&kind)) {
        "; check the store's endpoint and the network"
    } else {
        ""
    }
}

fn sources(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(StdError::source(error), |&source| source.source())
}
