//! How words, lists and ids are written in flags and job files.

use serde::{Deserialize, Deserializer};

/// How ids become indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IdKind {
    /// Any integers, strings or bytes
    Keys,
    /// Indices 0, 1, 2, … already
    Dense,
}

/// Reads one of the words of a closed enum as its serde names have it, so that flags, job files
/// and the wire agree on them.
pub(super) fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|e| e.to_string())
}

pub(super) fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(text) => vec![text],
        Written::Many(texts) => texts,
    })
}

/// As [`one_or_many`], for ids: numbers are fine, too.
pub(super) fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected a string, an integer, or a list of them"
    )]
    enum Written {
        One(Id),
        Many(Vec<Id>),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
    }
    let text = |id| match id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    };
    Ok(match Written::deserialize(deserializer)? {
        Written::One(id) => vec![text(id)],
        Written::Many(ids) => ids.into_iter().map(text).collect(),
    })
}
