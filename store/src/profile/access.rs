//! What opens a store: settings as the file has them, and as they are once read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rankmill_common::{Error, Result};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::location::Scheme;

/// The settings with a text for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Endpoint,
    Region,
    AccessKeyId,
    SecretAccessKey,
    SessionToken,
    ServiceAccountPath,
    ServiceAccountKey,
    AccountName,
    AccountKey,
}

impl Field {
    /// The keys that mean something to a kind of store.
    pub(super) fn of(scheme: Scheme) -> &'static [Self] {
        match scheme {
            Scheme::File | Scheme::Memory => &[],
            Scheme::S3 => &[
                Self::Endpoint,
                Self::Region,
                Self::AccessKeyId,
                Self::SecretAccessKey,
                Self::SessionToken,
            ],
            Scheme::Gcs => &[
                Self::Endpoint,
                Self::ServiceAccountPath,
                Self::ServiceAccountKey,
            ],
            Scheme::Azure => &[Self::Endpoint, Self::AccountName, Self::AccountKey],
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Region => "region",
            Self::AccessKeyId => "access-key-id",
            Self::SecretAccessKey => "secret-access-key",
            Self::SessionToken => "session-token",
            Self::ServiceAccountPath => "service-account-path",
            Self::ServiceAccountKey => "service-account-key",
            Self::AccountName => "account-name",
            Self::AccountKey => "account-key",
        }
    }

    /// Whether a profile that has this key needs no credentials from elsewhere.
    fn is_credential(self) -> bool {
        match self {
            Self::Endpoint | Self::Region | Self::AccountName => false,
            Self::AccessKeyId
            | Self::SecretAccessKey
            | Self::SessionToken
            | Self::ServiceAccountPath
            | Self::ServiceAccountKey
            | Self::AccountKey => true,
        }
    }
}

/// Where the value of a setting comes from.
pub(super) enum Source {
    /// The file of profiles itself.
    Here(SecretString),
    /// `{ env = "VARIABLE" }`
    Variable(String),
    /// `{ file = "PATH" }`, a mounted secret.
    File(PathBuf),
}

/// A profile's settings as its file has them.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) values: BTreeMap<Field, Source>,
    pub(super) allow_http: bool,
    pub(super) anonymous: bool,
}

/// A profile's settings once read. Nothing at all for the environment.
#[derive(Default)]
pub(crate) struct Access {
    values: BTreeMap<Field, SecretString>,
    allow_http: bool,
    anonymous: bool,
}

impl Settings {
    pub(super) fn resolve(&self) -> Result<Access> {
        let mut values = BTreeMap::new();
        for (key, source) in &self.values {
            let value = source.read().map_err(|e| e.context(key.as_str()))?;
            values.insert(*key, value);
        }
        if let Some(endpoint) = values.get(&Field::Endpoint) {
            check_endpoint(endpoint.expose_secret(), self.allow_http)?;
        }
        Ok(Access {
            values,
            allow_http: self.allow_http,
            anonymous: self.anonymous,
        })
    }
}

impl Source {
    fn read(&self) -> Result<SecretString> {
        let (value, place) = match self {
            Self::Here(value) => (value.clone(), "the file".to_owned()),
            Self::Variable(name) => {
                let place = format!("the environment variable {name}");
                let value = std::env::var(name)
                    .map_err(|_| Error::invalid_input(format!("{place} is not set")))?;
                (value.into(), place)
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Error::invalid_input(format!("{}: {e}", path.display())))?;
                let value = text.trim_end_matches(['\r', '\n']).into();
                (value, path.display().to_string())
            }
        };
        if value.expose_secret().is_empty() {
            return Err(Error::invalid_input(format!("{place} holds no value")));
        }
        Ok(value)
    }
}

impl Access {
    pub(crate) fn values(&self) -> impl Iterator<Item = (Field, &SecretString)> {
        self.values.iter().map(|(key, value)| (*key, value))
    }

    pub(crate) fn allows_http(&self) -> bool {
        self.allow_http
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.anonymous || self.values.keys().any(|key| key.is_credential())
    }
}

/// An endpoint is said in errors and logs, so it must not hold a password.
fn check_endpoint(endpoint: &str, allow_http: bool) -> Result<()> {
    let invalid = |reason: &str| Err(Error::invalid_input(format!("endpoint {reason}")));
    let Ok(url) = Url::parse(endpoint) else {
        return invalid("is no URL such as https://host:9000");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("must not hold a name or a password: there are keys for both");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http => Ok(()),
        "http" => invalid("is not encrypted; allow-http = true says that this is meant"),
        _ => invalid("must start with https:// or http://"),
    }
}
