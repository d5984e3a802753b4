//! The one error that crosses process boundaries, and what its kind asks of the caller.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Correct the data or the request; trying again cannot help.
    InvalidInput,
    /// Name something that exists.
    NotFound,
    /// Choose another name, or say that the existing thing may be replaced.
    AlreadyExists,
    /// Give the job more memory or disk, or ask for less.
    ResourceExhausted,
    /// Try again later: a network or store was out of reach.
    Unavailable,
    /// Run the producer of the named object again: its bytes are gone or damaged.
    InputLost,
    /// Stop: a newer coordinator has taken over.
    Fenced,
    /// Nothing: the job was cancelled on request.
    Cancelled,
    /// Accept the answer with its stated error, allow more reads, or loosen the tolerance.
    NotConverged,
    /// Report a defect in rankmill.
    Internal,
}

impl ErrorKind {
    /// Whether another attempt at the same task may succeed.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::Unavailable | Self::InputLost | Self::Internal => true,
            // A full disk or too little memory is not mended by trying again: it needs a person.
            Self::ResourceExhausted
            | Self::InvalidInput
            | Self::NotFound
            | Self::AlreadyExists
            | Self::Fenced
            | Self::Cancelled
            | Self::NotConverged => false,
        }
    }

    /// The kind as one lowercase word, as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::InputLost => "input_lost",
            Self::Fenced => "fenced",
            Self::Cancelled => "cancelled",
            Self::NotConverged => "not_converged",
            Self::Internal => "internal",
        }
    }
}

/// An error as it travels between processes: what to do, what went wrong and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What went wrong, where, and how to mend it. Lowercase, no full stop.
    pub message: String,
    /// The key of the object that was lost, where `kind` is [`ErrorKind::InputLost`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_key: Option<String>,
}

/// The result of anything whose error may travel.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            lost_key: None,
        }
    }

    /// Data or a request that must be corrected.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A defect in rankmill.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An object whose bytes are gone or damaged.
    pub fn input_lost(key: impl Into<String>, reason: impl fmt::Display) -> Self {
        let key = key.into();
        Self {
            kind: ErrorKind::InputLost,
            message: format!("object {key} is lost: {reason}"),
            lost_key: Some(key),
        }
    }

    /// The same error with `context` in front of its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
