//! Store errors as the errors that travel.

use std::error::Error as StdError;

use rankmill_common::{Error, ErrorKind};

/// `error` about `place`. Response bodies and request details stay out: they may hold signed
/// URLs.
pub(crate) fn translate(place: &str, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    if is_disk_full(error) {
        return Error::new(
            ErrorKind::ResourceExhausted,
            format!("{place}: the disk is full; free some space or choose another place"),
        );
    }
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    let (kind, reason) = match error {
        Store::NotFound { .. } => (ErrorKind::NotFound, "does not exist".to_owned()),
        Store::AlreadyExists { .. } | Store::Precondition { .. } => {
            (ErrorKind::AlreadyExists, "exists already".to_owned())
        }
        Store::PermissionDenied { .. } => (ErrorKind::InvalidInput, "permission denied".to_owned()),
        Store::Unauthenticated { .. } => (
            ErrorKind::InvalidInput,
            "the store refused the credentials".to_owned(),
        ),
        Store::InvalidPath { .. } => (ErrorKind::InvalidInput, "is no valid path".to_owned()),
        _ => (ErrorKind::Unavailable, root_cause(error)),
    };
    Error::new(kind, format!("{place}: {reason}"))
}

fn is_disk_full(error: &object_store::Error) -> bool {
    sources(error).any(|source| {
        source
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    })
}

fn root_cause(error: &object_store::Error) -> String {
    sources(error).last().map_or_else(
        || "the store did not answer".to_owned(),
        ToString::to_string,
    )
}

fn sources(error: &object_store::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(StdError::source(error), |&source| source.source())
}
