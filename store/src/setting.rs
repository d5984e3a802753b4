//! What values of settings a client can live with.
//!
//! The client library takes them as they come and ends the process at the first request whose URL
//! or headers cannot be made of them, so they are checked wherever they come from.
//!
//! Invariant: no reason given here repeats a value.

use std::result::Result;

use url::Url;

/// What a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// URL that requests for objects go to.
    Endpoint,
    /// URL of a service beside the store, whose transport is its own business.
    Service,
    /// Becomes part of a host name and of signatures.
    Region,
    /// Travels in a header.
    Header,
    /// Is a key to compute with.
    Secret,
    /// Nothing can go wrong that the library does not report.
    Other,
}

/// Whether requests may go out unencrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    Allowed,
    Refused,
}

/// Errs with what is wrong with a value of that meaning.
pub(crate) fn check(meaning: Meaning, value: &str) -> Result<(), &'static str> {
    match meaning {
        Meaning::Endpoint => {
            check_url(value)?;
            // Behind a mark the path of an object would not be a path, and what the parser mends,
            // such as a blank at the end, the client does not.
            let (_, rest) = value.split_once("://").unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
            refuse_unless(
                !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(plain),
                "must be https://HOST with at most a port and a path, without blanks and special \
                 characters",
            )
        }
        Meaning::Service => check_url(value),
        Meaning::Region => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            refuse_unless(value.chars().all(plain), "is no name of a region")
        }
        Meaning::Header => {
            check(Meaning::Secret, value)?;
            refuse_unless(value.is_ascii(), "holds a character that is not ASCII")
        }
        Meaning::Secret => refuse_unless(
            !value.chars().any(char::is_control),
            "holds a control character, such as a line break",
        ),
        Meaning::Other => Ok(()),
    }
}

/// URLs are said in errors and logs, so they must not hold a password.
fn check_url(value: &str) -> Result<(), &'static str> {
    let url = Url::parse(value).map_err(|_| "is no URL such as https://host:9000")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or a password: there are settings for both");
    }
    refuse_unless(
        matches!(url.scheme(), "http" | "https"),
        "must start with https:// or http://",
    )
}

/// Whether requests to this endpoint go out unencrypted.
pub(crate) fn is_http(endpoint: &str) -> bool {
    Url::parse(endpoint).is_ok_and(|url| url.scheme() == "http")
}

fn refuse_unless(good: bool, reason: &'static str) -> Result<(), &'static str> {
    if good { Ok(()) } else { Err(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_no_request_could_be_sent_to_are_refused() {
        let check = |value| check(Meaning::Endpoint, value);
        for value in [
            "https://host",
            "http://127.0.0.1:9000/",
            "https://[::1]:9000/path/below",
            "HTTPS://Host.example.com",
        ] {
            assert_eq!(check(value), Ok(()), "{value}");
        }
        for value in [
            "",
            "localhost",
            "localhost:9000",
            "127.0.0.1:9000",
            "host/path",
            "http:host",
            "http:///host",
            "http://",
            "ftp://host",
            "http://host:99999",
            "http://host ",
            "http://ho st",
            "http://host\n",
            "http://host?x",
            "http://host#x",
            "http://h\u{f6}st",
            "http://me@host",
            "http://host\\x",
            "http://host/<x>",
        ] {
            assert!(check(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn services_may_be_asked_with_a_query() {
        let check = |value| check(Meaning::Service, value);
        assert_eq!(check("http://169.254.170.23/v1/credentials?x=y"), Ok(()));
        assert!(check("169.254.170.23").is_err());
        assert!(check("http://me:it@host").is_err());
    }

    #[test]
    fn unencrypted_endpoints_are_known_by_their_scheme() {
        assert!(is_http("http://host") && is_http("HTTP://host"));
        assert!(!is_http("https://host") && !is_http("host"));
    }

    #[test]
    fn what_goes_into_headers_has_to_fit_there() {
        let fits = |meaning, value| check(meaning, value).is_ok();
        assert!(fits(Meaning::Header, "AKIA/+= x"));
        assert!(!fits(Meaning::Header, "AK\nIA"));
        assert!(!fits(Meaning::Header, "AKIA\u{e9}"));
        assert!(fits(Meaning::Secret, "s\u{e9}cret/+"));
        assert!(!fits(Meaning::Secret, "secret\r"));
        assert!(fits(Meaning::Region, "eu-central-1"));
        assert!(!fits(Meaning::Region, "eu central"));
        assert!(!fits(Meaning::Region, "eu/"));
        // A key of a service account is a JSON text of many lines.
        assert!(fits(Meaning::Other, "{\n}"));
    }
}
