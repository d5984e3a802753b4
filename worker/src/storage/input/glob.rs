//! Patterns with `*`, `?` and `**` over slash-separated paths.

/// Whether `text` holds a wildcard.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `pattern` matches the whole of `path`. `*` and `?` stay within one name and do not
/// match hidden ones; `**` is any number of folders.
pub(super) fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"**", rest)), None) => matches(rest, path),
        (Some((&"**", rest)), Some((name, below))) => {
            matches(rest, path) || (!is_hidden(name) && matches(pattern, below))
        }
        (Some(_), None) => false,
        (Some((first, rest)), Some((name, below))) => {
            name_matches(first, name) && matches(rest, below)
        }
    }
}

/// Whether tools leave files of this name alone: `_SUCCESS`, `_metadata`, `.part.crc`.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

fn name_matches(pattern: &str, name: &str) -> bool {
    if pattern.starts_with(['*', '?']) && is_hidden(name) {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Backtracks to the last star only: linear in practice, quadratic at worst.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            Some(_) | None => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str) -> bool {
        let pattern: Vec<_> = pattern.split('/').collect();
        let path: Vec<_> = path.split('/').collect();
        matches(&pattern, &path)
    }

    #[test]
    fn stars_stay_within_a_name() {
        assert!(check("*.parquet", "a.parquet"));
        assert!(check("p?rt-*-x.parquet", "part-0-7-x.parquet"));
        assert!(!check("*.parquet", "a/b.parquet"));
        assert!(!check("*.parquet", "a.parquet.crc"));
        assert!(!check("a*b", "a"));
    }

    #[test]
    fn double_stars_span_folders_but_not_hidden_ones() {
        assert!(check("**/*.parquet", "b.parquet"));
        assert!(check("**/*.parquet", "x/y/b.parquet"));
        assert!(check("x/**", "x/y/b.parquet"));
        assert!(!check("**/*.parquet", "_temporary/b.parquet"));
        assert!(!check("*.parquet", "_metadata.parquet"));
        assert!(check("_x/*.parquet", "_x/b.parquet"));
    }
}
