//! Turns what the user typed (files, directories, globs) into a list of files.

use std::collections::BTreeSet;
use std::path::Path;

use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::{Location, Store, local_url};

use super::glob::{is_hidden, is_pattern, matches};
use super::io_error;
use crate::context::TaskContext;

/// Deeper folders are taken for a loop of links.
const MAX_DEPTH: usize = 64;

/// The files that `paths` name, as URLs, sorted, each once.
///
/// # Errors
///
/// `InvalidInput` where a path names no file, `Unavailable` where a store is out of reach.
pub(crate) fn expand(context: &TaskContext, paths: &[String]) -> Result<Vec<String>> {
    if paths.is_empty() {
        return Err(Error::invalid_input("there is no input path"));
    }
    let mut urls = BTreeSet::new();
    for path in paths {
        let found = match Location::parse(path)?.local_path("") {
            Some(local) => expand_local(path, &local)?,
            None => expand_remote(context, path)?,
        };
        if found.is_empty() {
            return Err(Error::invalid_input(format!(
                "{path} names no Parquet file: a directory must hold *.parquet files whose names \
                 start with neither _ nor ., a glob must match some"
            )));
        }
        urls.extend(found);
    }
    Ok(urls.into_iter().collect())
}

fn expand_local(text: &str, path: &Path) -> Result<Vec<String>> {
    let path = path.to_string_lossy();
    let path = path.trim_end_matches('/');
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let files = walk(path)?;
            let below = files.iter().filter(|file| is_visible_parquet(file));
            Ok(below
                .map(|file| local_url(&format!("{path}/{file}")))
                .collect())
        }
        Ok(_) => Ok(vec![local_url(path)]),
        Err(_) if is_pattern(path) => {
            let (base, pattern) = split_pattern(path);
            let files = match std::fs::metadata(&base) {
                Ok(_) => walk(&base)?,
                Err(_) => Vec::new(),
            };
            let below = files.iter().filter(|file| is_selected(&pattern, file));
            Ok(below
                .map(|file| local_url(&format!("{base}/{file}")))
                .collect())
        }
        Err(error) => Err(io_error(text, &error)),
    }
}

fn expand_remote(context: &TaskContext, text: &str) -> Result<Vec<String>> {
    let location = Location::parse(text)?;
    let url = location.url();
    let head = match Store::open_object(&url) {
        Ok((store, name)) if !name.is_empty() => context.block_on(store.head(&name)),
        Ok(_) => Err(Error::new(ErrorKind::NotFound, "a bucket is no file")),
        Err(error) => Err(error),
    };
    match head {
        Ok(_) => Ok(vec![url]),
        Err(error) if error.kind == ErrorKind::NotFound && is_pattern(&url) => {
            let (base, pattern) = split_pattern(&url);
            let files = list(context, &base)?;
            let below = files.iter().filter(|file| is_selected(&pattern, file));
            Ok(below.map(|file| format!("{base}/{file}")).collect())
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            let files = list(context, &url)?;
            let below = files.iter().filter(|file| is_visible_parquet(file));
            let found: Vec<_> = below.map(|file| format!("{url}/{file}")).collect();
            if found.is_empty() && files.is_empty() {
                return Err(super::missing(text));
            }
            Ok(found)
        }
        Err(error) => Err(error),
    }
}

fn list(context: &TaskContext, url: &str) -> Result<Vec<String>> {
    let store = Store::open(url)?;
    let entries = context.block_on(store.list(""))?;
    Ok(entries.into_iter().map(|entry| entry.key).collect())
}

/// Files below a directory, as paths relative to it.
fn walk(root: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let place = format!("{root}/{folder}");
        for entry in std::fs::read_dir(&place).map_err(|e| io_error(&place, &e))? {
            let entry = entry.map_err(|e| io_error(&place, &e))?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| Error::invalid_input(format!("{place}{name:?} is not UTF-8")))?;
            // A file that goes while the directory is read is as good as never there.
            let Ok(metadata) = std::fs::metadata(entry.path()) else {
                continue;
            };
            if !metadata.is_dir() {
                files.push(format!("{folder}{name}"));
            } else if depth < MAX_DEPTH {
                folders.push((format!("{folder}{name}/"), depth + 1));
            }
        }
    }
    Ok(files)
}

/// The part before the first name with a wildcard, and the names from there on.
fn split_pattern(text: &str) -> (String, Vec<&str>) {
    let names: Vec<_> = text.split('/').collect();
    let first = names.iter().position(|name| is_pattern(name));
    let first = first.unwrap_or(names.len());
    (names[..first].join("/"), names[first..].to_vec())
}

/// Whether a glob means this file: it matches the file itself, or a folder above it.
fn is_selected(pattern: &[&str], file: &str) -> bool {
    let names: Vec<_> = file.split('/').collect();
    let open_end = pattern.last().is_some_and(|last| last.ends_with('*'));
    if matches(pattern, &names) && (!open_end || file.ends_with(".parquet")) {
        return true;
    }
    (1..names.len()).any(|depth| {
        matches(pattern, &names[..depth]) && is_visible_parquet(&names[depth..].join("/"))
    })
}

fn is_visible_parquet(file: &str) -> bool {
    file.ends_with(".parquet") && !file.split('/').any(is_hidden)
}
