//! Looks for local inputs before anything else starts.

use std::path::Path;

use rankmill_common::job::JobSpec;
use rankmill_common::{Error, Result};
use rankmill_store::Location;

use super::overlap::{fixed_part, local};

/// Entries of a folder that are compared with a name that is not there.
const MOST_NAMES: usize = 1000;

/// Refuses inputs on this machine's disks that do not exist. Remote ones are for the workers to
/// find.
///
/// # Errors
///
/// `InvalidInput` naming the path, and a similar one where there is one.
pub(crate) fn check_local_inputs(spec: &JobSpec) -> Result<()> {
    for url in spec.paths() {
        let place = Location::parse(url)?;
        if let Some(wanted) = local(&fixed_part(&place))
            && !wanted.exists()
        {
            return Err(missing(&wanted));
        }
    }
    Ok(())
}

fn missing(path: &Path) -> Error {
    let hint = similar(path).map_or_else(String::new, |name| {
        format!("; did you mean {}?", path.with_file_name(name).display())
    });
    Error::invalid_input(format!(
        "no such file or directory: {}{hint}",
        path.display()
    ))
}

fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?.take(MOST_NAMES);
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let nearest = names.map(|name| (distance(wanted, &name), name)).min()?;
    let limit = (wanted.len() / 4).clamp(1, 3);
    (nearest.0 <= limit).then_some(nearest.1)
}

/// Levenshtein's edit distance.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("ratings", "ratings"), 0);
        assert_eq!(distance("ratings", "rating"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_missing_file_is_named_with_its_nearest_neighbour() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ratings.parquet"), b"").expect("written");
        let error = missing(&folder.path().join("rating.parquet"));
        assert!(error.message.starts_with("no such file"), "{error}");
        assert!(error.message.ends_with("ratings.parquet?"), "{error}");
        let error = missing(&folder.path().join("else.csv"));
        assert!(!error.message.contains("did you mean"), "{error}");
    }
}
