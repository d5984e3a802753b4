//! The file of profiles. Walked by hand: the usual errors of a parser quote the line they are
//! about, and lines of this file hold secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rankmill_common::{Error, Result};
use toml::{Table, Value};

use super::access::{Field, Settings, Source};
use super::{Profile, Unlisted};
use crate::location::{Location, Scheme};

pub(super) fn parse(text: &str) -> Result<(Vec<Profile>, Unlisted)> {
    let table: Table = text.parse().map_err(|e| not_toml(text, &e))?;
    let mut unlisted = Unlisted::Refuse;
    let mut profiles: Vec<Profile> = Vec::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("allow-unlisted", value) => {
                if boolean("allow-unlisted", &value)? {
                    unlisted = Unlisted::Environment;
                }
            }
            ("stores", Value::Table(stores)) => {
                for (name, value) in stores {
                    profiles.push(profile(name, value)?);
                }
            }
            ("stores", _) => return invalid("stores must hold tables: [stores.NAME]"),
            (other, _) => {
                return invalid(&format!(
                    "no key is called {other:?}: there are [stores.NAME] and allow-unlisted"
                ));
            }
        }
    }
    refuse_twins(&profiles)?;
    Ok((profiles, unlisted))
}

/// The parser's own words say what it expected and found as tokens, without the text around.
fn not_toml(text: &str, error: &toml::de::Error) -> Error {
    let line = error.span().map_or(0, |span| {
        text.get(..span.start)
            .map_or(0, |before| before.matches('\n').count() + 1)
    });
    Error::invalid_input(format!(
        "line {line} is no TOML; the line is not shown, it may be secret"
    ))
}

fn profile(name: String, value: Value) -> Result<Profile> {
    let Value::Table(mut table) = value else {
        return invalid(&format!("stores.{name} must be a table: [stores.{name}]"));
    };
    let place = match table.remove("url") {
        Some(Value::String(url)) => Location::parse(&url)?,
        _ => {
            return invalid(&format!(
                "stores.{name} needs a url: the prefix that it serves, such as \"s3://bucket\""
            ));
        }
    };
    if matches!(place.scheme(), Scheme::File | Scheme::Memory) {
        return invalid(&format!(
            "stores.{name}.url: a profile is for s3, gs or az; local files need none"
        ));
    }
    let access = settings(&name, place.scheme(), table)?;
    Ok(Profile {
        name,
        place,
        access,
    })
}

fn settings(name: &str, scheme: Scheme, table: Table) -> Result<Settings> {
    let mut settings = Settings::default();
    for (key, value) in table {
        let place = format!("stores.{name}.{key}");
        match key.as_str() {
            "allow-http" => settings.allow_http = boolean(&place, &value)?,
            "anonymous" => settings.anonymous = boolean(&place, &value)?,
            key => {
                let known = Field::of(scheme);
                let Some(key) = known.iter().find(|known| known.as_str() == key) else {
                    let names: Vec<_> = known.iter().map(|key| key.as_str()).collect();
                    return invalid(&format!(
                        "{place}: a {} profile has no such key; there are url, {}, allow-http and \
                         anonymous",
                        scheme.as_str(),
                        names.join(", ")
                    ));
                };
                settings.values.insert(*key, source(&place, value)?);
            }
        }
    }
    check_pairs(name, &settings.values)?;
    Ok(settings)
}

/// A key without its secret would be filled up from the environment of somebody else.
fn check_pairs(name: &str, values: &BTreeMap<Field, Source>) -> Result<()> {
    let has = |key| values.contains_key(&key);
    let id = has(Field::AccessKeyId);
    if id != has(Field::SecretAccessKey) || (has(Field::SessionToken) && !id) {
        return invalid(&format!(
            "stores.{name}: access-key-id and secret-access-key belong together"
        ));
    }
    if has(Field::AccountKey) && !has(Field::AccountName) {
        return invalid(&format!("stores.{name}: account-key needs an account-name"));
    }
    Ok(())
}

fn source(place: &str, value: Value) -> Result<Source> {
    let wrong = || {
        Error::invalid_input(format!(
            "{place} must be a text, {{ env = \"VARIABLE\" }} or {{ file = \"PATH\" }}"
        ))
    };
    let table = match value {
        Value::String(text) => return Ok(Source::Here(text.into())),
        Value::Table(table) if table.len() == 1 => table,
        _ => return Err(wrong()),
    };
    match table.into_iter().next() {
        Some((key, Value::String(name))) if key == "env" => Ok(Source::Variable(name)),
        Some((key, Value::String(path))) if key == "file" => Ok(Source::File(PathBuf::from(path))),
        _ => Err(wrong()),
    }
}

fn boolean(place: &str, value: &Value) -> Result<bool> {
    value
        .as_bool()
        .ok_or_else(|| Error::invalid_input(format!("{place} must be true or false")))
}

/// Two profiles for one prefix: which of them would be meant?
fn refuse_twins(profiles: &[Profile]) -> Result<()> {
    for (index, one) in profiles.iter().enumerate() {
        if let Some(other) = profiles[..index]
            .iter()
            .find(|other| other.place == one.place)
        {
            return invalid(&format!(
                "stores.{} and stores.{} are both for {}",
                other.name,
                one.name,
                one.place.url()
            ));
        }
    }
    Ok(())
}

fn invalid<T>(message: &str) -> Result<T> {
    Err(Error::invalid_input(message))
}
