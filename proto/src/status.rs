//! Error kinds as gRPC status codes and back: the only place that maps them.

use rankmill_common::{Error, ErrorKind};
use tonic::{Code, Status};

const KIND_HEADER: &str = "rankmill-error-kind";

/// An error as a gRPC status. The exact kind travels in a header.
pub fn to_status(error: &Error) -> Status {
    let mut status = Status::new(code(error.kind), error.message.clone());
    if let Ok(value) = error.kind.as_str().parse() {
        status.metadata_mut().insert(KIND_HEADER, value);
    }
    status
}

/// The error behind a gRPC status.
pub fn from_status(status: &Status) -> Error {
    let kind = status
        .metadata()
        .get(KIND_HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_kind)
        .unwrap_or_else(|| kind(status.code()));
    let message = match status.message() {
        "" => status.code().to_string(),
        text => text.to_owned(),
    };
    Error::new(kind, message)
}

/// Reads an error kind by its name.
pub fn parse_kind(name: &str) -> Option<ErrorKind> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::InputLost => Code::DataLoss,
        ErrorKind::Fenced => Code::FailedPrecondition,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::NotConverged => Code::OutOfRange,
        ErrorKind::Internal => Code::Internal,
    }
}

fn kind(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument => ErrorKind::InvalidInput,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::ResourceExhausted => ErrorKind::ResourceExhausted,
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Unknown => {
            ErrorKind::Unavailable
        }
        Code::DataLoss => ErrorKind::InputLost,
        Code::FailedPrecondition => ErrorKind::Fenced,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::OutOfRange => ErrorKind::NotConverged,
        Code::Ok
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in [
            ErrorKind::InvalidInput,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
            ErrorKind::ResourceExhausted,
            ErrorKind::Unavailable,
            ErrorKind::InputLost,
            ErrorKind::Fenced,
            ErrorKind::Cancelled,
            ErrorKind::NotConverged,
            ErrorKind::Internal,
        ] {
            let error = Error::new(kind, "what, where, what to do");
            assert_eq!(from_status(&to_status(&error)), error);
        }
    }
}
