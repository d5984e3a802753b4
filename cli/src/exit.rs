//! How a command ends: what it failed of, what is printed, which exit code.

use std::process::ExitCode;

use rankmill_common::{Error, ErrorKind};

use crate::text::{print, tell};

/// The result of a command.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line or the job file makes no sense.
    Usage(String),
    /// A person stopped it.
    Interrupted(String),
    /// It was understood and failed.
    Failed(Error),
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object on stdout.
    Json,
}

/// Every exit code, as `rankmill --help` lists them.
pub(crate) const EXIT_CODES: [(u8, &str); 10] = [
    (0, "done"),
    (1, "a defect in rankmill"),
    (2, "the command line or the job file makes no sense"),
    (3, "the input or a parameter must be corrected"),
    (
        4,
        "the output holds a finished result (--overwrite replaces it)",
    ),
    (
        5,
        "a job or an index that was named does not exist (an input: 3)",
    ),
    (6, "out of memory or disk"),
    (
        7,
        "a store or the coordinator is out of reach: try again later",
    ),
    (8, "not converged, with --strict"),
    (130, "interrupted; the same command continues"),
];

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Format {
    pub(crate) fn json_if(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted(_) => 130,
            Self::Failed(error) => match error.kind {
                ErrorKind::Internal | ErrorKind::InputLost => 1,
                ErrorKind::InvalidInput => 3,
                ErrorKind::AlreadyExists => 4,
                ErrorKind::NotFound => 5,
                ErrorKind::ResourceExhausted => 6,
                ErrorKind::Unavailable | ErrorKind::Fenced => 7,
                ErrorKind::NotConverged => 8,
                ErrorKind::Cancelled => 130,
            },
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Interrupted(_) => "interrupted",
            Self::Failed(error) => error.kind.as_str(),
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Interrupted(message) => message,
            Self::Failed(error) => &error.message,
        }
    }

    /// What to do, where the message itself does not say so.
    fn hint(&self) -> Option<&'static str> {
        let Self::Failed(error) = self else {
            return None;
        };
        let (hint, said_by) = match error.kind {
            ErrorKind::AlreadyExists => ("--overwrite replaces it", "--overwrite"),
            ErrorKind::ResourceExhausted => (
                "give more with --memory or free some disk; `rankmill estimate` says how much",
                "--memory",
            ),
            ErrorKind::NotConverged => ("the result is written, with its stated error", "written"),
            ErrorKind::Internal => (
                "this is a defect in rankmill; RANKMILL_LOG=debug shows more",
                "RANKMILL_LOG",
            ),
            ErrorKind::InvalidInput
            | ErrorKind::NotFound
            | ErrorKind::Unavailable
            | ErrorKind::InputLost
            | ErrorKind::Fenced
            | ErrorKind::Cancelled => return None,
        };
        let said = error.message.contains(said_by) || error.message.contains("disk is full");
        (!said).then_some(hint)
    }
}

/// The table of exit codes, for `--help`.
pub(crate) fn help() -> String {
    let lines: String = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("\n  {code:>3}  {meaning}"))
        .collect();
    format!("Exit codes:{lines}")
}

/// Says why the command failed: on stderr for people, on stdout as JSON.
pub(crate) fn report(failure: &Failure, format: Format) -> ExitCode {
    match format {
        Format::Json => {
            // The failure itself decides how the command ends.
            if let Err(error) = print(&format!("{}\n", error_object(failure))) {
                tell(format_args!("error: {}\nerror: {error}", failure.message()));
            }
        }
        Format::Text => match failure {
            Failure::Interrupted(message) => tell(message),
            Failure::Usage(_) | Failure::Failed(_) => {
                tell(format_args!("error: {}", failure.message()));
            }
        },
    }
    if let (Format::Text, Some(hint)) = (format, failure.hint()) {
        tell(format_args!("hint: {hint}"));
    }
    ExitCode::from(failure.code())
}

/// Prints help, the version or what is wrong with the arguments.
pub(crate) fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        return report(&Failure::Usage(one_line(error)), Format::Json);
    }
    // A closed pipe is no reason to fail while printing help.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

fn error_object(failure: &Failure) -> serde_json::Value {
    serde_json::json!({
        "error": { "kind": failure.kind(), "message": failure.message() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let kinds = [
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
        ];
        for kind in kinds {
            let code = Failure::Failed(Error::new(kind, "what, where")).code();
            assert!(code != 0 && EXIT_CODES.iter().any(|(known, _)| *known == code));
        }
        assert!(help().contains("130  interrupted"));
    }

    #[test]
    fn a_hint_is_not_said_twice() {
        let bare = Failure::Failed(Error::new(ErrorKind::AlreadyExists, "out is finished"));
        assert_eq!(bare.hint(), Some("--overwrite replaces it"));
        let full = Error::new(ErrorKind::AlreadyExists, "out is finished; use --overwrite");
        assert_eq!(Failure::Failed(full).hint(), None);
    }

    #[test]
    fn errors_are_objects_for_machines() {
        let object = error_object(&Failure::usage("-k is missing"));
        assert_eq!(object["error"]["kind"], "usage");
        assert_eq!(object["error"]["message"], "-k is missing");
    }
}
