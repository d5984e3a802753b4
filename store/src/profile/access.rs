//! What opens a store: settings as the file has them, and as they are once read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rankmill_common::{Error, Result};
use secrecy::{ExposeSecret, SecretString};

use crate::location::Scheme;
use crate::setting::{self, Meaning};

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

    fn meaning(self) -> Meaning {
        match self {
            Self::Endpoint => Meaning::Endpoint,
            Self::Region => Meaning::Region,
            Self::AccessKeyId | Self::SessionToken | Self::AccountName => Meaning::Header,
            Self::SecretAccessKey | Self::AccountKey => Meaning::Secret,
            Self::ServiceAccountPath | Self::ServiceAccountKey => Meaning::Other,
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
            self.check(*key, value.expose_secret())?;
            values.insert(*key, value);
        }
        Ok(Access {
            values,
            allow_http: self.allow_http,
            anonymous: self.anonymous,
        })
    }

    fn check(&self, key: Field, value: &str) -> Result<()> {
        let invalid = |reason: &str| Error::invalid_input(format!("{}: {reason}", key.as_str()));
        setting::check(key.meaning(), value).map_err(invalid)?;
        if key == Field::Endpoint && !self.allow_http && setting::is_http(value) {
            return Err(invalid(
                "http:// is not encrypted; allow-http = true says that this is meant",
            ));
        }
        Ok(())
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
