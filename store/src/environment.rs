//! What the environment says about a store.
//!
//! Read here and not by the client library, which panics at the first request when a value is of
//! no use. An empty variable counts as unset.
//!
//! Invariant: errors name the variable and never its value.

use std::str::FromStr;

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use rankmill_common::{Error, Result};

use crate::setting::{self, Http, Meaning};

/// Who says where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The profile, so that the environment is not asked.
    Known,
    /// The environment, if anybody.
    Wanted,
}

/// The variables of this process that are set and are text, by name: the order in which a process
/// has them means nothing.
pub(crate) fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let mut variables: Vec<_> = std::env::vars_os().filter_map(text).collect();
    variables.retain(|(_, value)| !value.is_empty());
    variables.sort();
    variables
}

/// Whether `variable` says that unencrypted requests are meant.
pub(crate) fn allows_http(variables: &[(String, String)], variable: &str) -> bool {
    let yes = |value: &str| matches!(value, "1" | "true" | "on" | "yes" | "y");
    variables
        .iter()
        .any(|(name, value)| name == variable && yes(&value.trim().to_ascii_lowercase()))
}

/// The settings of an S3 client, `AWS_*`.
///
/// # Errors
///
/// `InvalidInput` naming the variable that is of no use.
pub(crate) fn s3(
    variables: &[(String, String)],
    endpoint: Endpoint,
    http: Http,
) -> Result<Vec<(AmazonS3ConfigKey, String)>> {
    use AmazonS3ConfigKey as Key;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    let meaning = |key: &Key| match key {
        Key::Endpoint | Key::S3Endpoint => Meaning::Endpoint,
        Key::MetadataEndpoint | Key::StsEndpoint | Key::ContainerCredentialsFullUri => {
            Meaning::Service
        }
        Key::Region | Key::DefaultRegion => Meaning::Region,
        Key::AccessKeyId | Key::Token => Meaning::Header,
        Key::SecretAccessKey | Key::ContainerCredentialsRelativeUri => Meaning::Secret,
        _ => Meaning::Other,
    };
    settings(variables, "AWS_", meaning, endpoint, http)
}

/// The settings of a client of Google's store, `GOOGLE_*`.
///
/// # Errors
///
/// As [`s3`].
pub(crate) fn gcs(
    variables: &[(String, String)],
    endpoint: Endpoint,
    http: Http,
) -> Result<Vec<(GoogleConfigKey, String)>> {
    use GoogleConfigKey as Key;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    let meaning = |key: &Key| match key {
        Key::BaseUrl => Meaning::Endpoint,
        Key::BearerToken => Meaning::Header,
        _ => Meaning::Other,
    };
    settings(variables, "GOOGLE_", meaning, endpoint, http)
}

/// The settings of an Azure client, `AZURE_*`.
///
/// # Errors
///
/// As [`s3`].
pub(crate) fn azure(
    variables: &[(String, String)],
    endpoint: Endpoint,
    http: Http,
) -> Result<Vec<(AzureConfigKey, String)>> {
    use AzureConfigKey as Key;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    let meaning = |key: &Key| match key {
        Key::Endpoint => Meaning::Endpoint,
        Key::MsiEndpoint | Key::AuthorityHost => Meaning::Service,
        Key::AccountName | Key::Token | Key::FabricSessionToken => Meaning::Header,
        Key::AccessKey | Key::SasKey | Key::ClientSecret => Meaning::Secret,
        _ => Meaning::Other,
    };
    settings(variables, "AZURE_", meaning, endpoint, http)
}

/// The value of one variable that the library knows by no key of its own.
pub(crate) fn one<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = variables.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn settings<K: FromStr>(
    variables: &[(String, String)],
    prefix: &str,
    meaning: impl Fn(&K) -> Meaning,
    endpoint: Endpoint,
    http: Http,
) -> Result<Vec<(K, String)>> {
    let mut settings = Vec::new();
    for (name, value) in variables {
        if !name.starts_with(prefix) {
            continue;
        }
        // Many variables with this prefix are for other programs.
        let Ok(key) = name.to_ascii_lowercase().parse::<K>() else {
            continue;
        };
        let meaning = meaning(&key);
        if meaning == Meaning::Endpoint && endpoint == Endpoint::Known {
            continue;
        }
        let named = |reason: &str| {
            Error::invalid_input(format!("the environment variable {name}: {reason}"))
        };
        setting::check(meaning, value).map_err(named)?;
        if meaning == Meaning::Endpoint && http == Http::Refused && setting::is_http(value) {
            return Err(named(&format!(
                "the endpoint is http://: set {prefix}ALLOW_HTTP=true, or allow-http in the store \
                 profile"
            )));
        }
        settings.push((key, value.clone()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-5b20e7";

    fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    fn refusal(name: &str, value: &str) -> String {
        let variables = environment(&[(name, value)]);
        let error = match name.split_once('_').expect("a prefix").0 {
            "AWS" => s3(&variables, Endpoint::Wanted, Http::Refused).expect_err("refused"),
            "GOOGLE" => gcs(&variables, Endpoint::Wanted, Http::Refused).expect_err("refused"),
            _ => azure(&variables, Endpoint::Wanted, Http::Refused).expect_err("refused"),
        };
        assert_eq!(error.kind, rankmill_common::ErrorKind::InvalidInput);
        assert!(error.message.contains(name), "{error}");
        assert!(!error.message.contains(CANARY), "{error}");
        error.message
    }

    #[test]
    fn what_would_end_the_process_is_refused_by_the_name_of_its_variable() {
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"] {
            refusal(name, "localhost");
            refusal(name, &format!("{CANARY}:9000"));
            refusal(name, &format!("https://me:{CANARY}@host"));
            assert!(refusal(name, "http://host").contains("AWS_ALLOW_HTTP=true"));
        }
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_TOKEN",
            "GOOGLE_BEARER_TOKEN",
        ] {
            refusal(name, &format!("{CANARY}\n{CANARY}"));
            refusal(name, &format!("{CANARY}\u{7f}"));
        }
        refusal("AWS_REGION", "us east");
        refusal("AWS_DEFAULT_REGION", "us\neast");
        refusal("AZURE_STORAGE_ENDPOINT", "localhost:10000");
        refusal("GOOGLE_BASE_URL", "localhost");
    }

    #[test]
    fn what_a_client_can_use_comes_through() {
        let variables = environment(&[
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_ENDPOINT_URL", "http://host:9000"),
            ("AWS_PAGER", "less\n"),
            ("AWS_SECRET_ACCESS_KEY", "secret/+="),
            ("HOME", "/root"),
        ]);
        let settings = s3(&variables, Endpoint::Wanted, Http::Allowed).expect("settings");
        let keys: Vec<_> = settings.into_iter().map(|(key, _)| key).collect();
        use AmazonS3ConfigKey as Key;
        assert_eq!(
            keys,
            [Key::AccessKeyId, Key::Endpoint, Key::SecretAccessKey]
        );
    }

    #[test]
    fn an_unencrypted_endpoint_has_to_be_meant() {
        let said = refusal("AZURE_STORAGE_ENDPOINT", "http://host:10000");
        assert!(said.contains("set AZURE_ALLOW_HTTP=true, or allow-http in the store profile"));
        let variables = environment(&[("AWS_ENDPOINT_URL", "http://host")]);
        assert!(s3(&variables, Endpoint::Wanted, Http::Allowed).is_ok());
    }

    #[test]
    fn an_endpoint_from_elsewhere_is_not_overruled() {
        let variables = environment(&[("AWS_ENDPOINT_URL_S3", "nonsense"), ("AWS_REGION", "x")]);
        let settings = s3(&variables, Endpoint::Known, Http::Refused).expect("settings");
        assert_eq!(settings.len(), 1);
    }

    #[test]
    fn permission_for_http_is_a_yes_however_it_is_spelled() {
        for (value, allowed) in [("true", true), ("1", true), ("YES", true), ("false", false)] {
            let variables = environment(&[("AWS_ALLOW_HTTP", value)]);
            assert_eq!(allows_http(&variables, "AWS_ALLOW_HTTP"), allowed);
            assert!(!allows_http(&variables, "AZURE_ALLOW_HTTP"));
        }
    }
}
