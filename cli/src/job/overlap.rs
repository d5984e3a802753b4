//! Refuses an output that would become part of the input, or the other way round.

use std::path::PathBuf;

use rankmill_common::{Error, Result};
use rankmill_store::Location;

pub(super) fn refuse_overlap(inputs: &[Location], output: &Location) -> Result<()> {
    for input in inputs {
        let shown = input.display("");
        let shown = shown.trim_end_matches('/');
        let out = output.display("");
        let out = out.trim_end_matches('/');
        if takes_in(input, output) {
            return Err(Error::invalid_input(format!(
                "the output {out} lies inside the input {shown}: a later run would read its own \
                 results; choose another -o"
            )));
        }
        if output.contains(&fixed_part(input)) {
            return Err(Error::invalid_input(format!(
                "the input {shown} lies inside the output {out}: writing could damage it; choose \
                 another -o"
            )));
        }
    }
    Ok(())
}

/// Whether reading `input` would find files below `output`.
fn takes_in(input: &Location, output: &Location) -> bool {
    let base = fixed_part(input);
    if base == *input {
        return input.contains(output);
    }
    if !base.contains(output) {
        return false;
    }
    let depth = base.display("").trim_end_matches('/').len();
    let below = |place: &Location| -> Vec<String> {
        let shown = place.display("");
        let parts = shown[depth..].split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (pattern, output) = (below(input), below(output));
    pattern.iter().any(|part| part.contains("**"))
        || pattern
            .iter()
            .zip(&output)
            .all(|(pattern, name)| matches(pattern.as_bytes(), name.as_bytes()))
}

/// The folders of a glob before its first wildcard; a path without one as it is, and a path that
/// exists, whatever its name: who reads it takes it for no glob either.
pub(super) fn fixed_part(place: &Location) -> Location {
    let mut fixed = place.clone();
    if local(place).is_some_and(|path| path.exists()) {
        return fixed;
    }
    while is_glob(&fixed) {
        let folder = fixed.split_last().0;
        if folder == fixed {
            break;
        }
        fixed = folder;
    }
    fixed
}

/// The path of a local place, without the slash at its end that makes a file look like a folder.
pub(super) fn local(place: &Location) -> Option<PathBuf> {
    let path = place.local_path("")?;
    Some(path.components().collect())
}

fn is_glob(place: &Location) -> bool {
    place.display("").contains(['*', '?'])
}

/// Whether one folder name fits a pattern of `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => matches(rest, name),
        (Some((b'*', rest)), Some((_, tail))) => matches(rest, name) || matches(pattern, tail),
        (Some((b'?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((letter, rest)), Some((other, tail))) => letter == other && matches(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, output: &str) -> Result<()> {
        refuse_overlap(&[Location::parse(input)?], &Location::parse(output)?)
    }

    #[test]
    fn apart_is_fine() {
        for (input, output) in [
            ("/data/ratings.parquet", "/data/out"),
            ("/data/ratings", "/data/ratings-out"),
            ("/data/*.parquet", "/data/out"),
            ("/data/2026-*/part-*.parquet", "/data/out"),
            ("s3://bucket/in", "s3://bucket/out"),
            ("s3://bucket/in", "s3://other/in"),
        ] {
            assert_eq!(check(input, output), Ok(()), "{input} {output}");
        }
    }

    #[test]
    fn a_path_that_exists_is_no_glob() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(place("in*")).expect("made");
        for name in ["g[1].parquet", "g*.parquet"] {
            std::fs::write(place(name), b"x").expect("written");
            assert_eq!(check(&place(name), &place("gl")), Ok(()), "{name}");
            assert_eq!(check(&place(name), &place("gx.parquet")), Ok(()), "{name}");
        }
        let inside = check(&place("in*"), &place("in*/out")).expect_err("inside");
        assert!(inside.message.contains("inside the input"), "{inside}");
        assert_eq!(check(&place("in*"), &place("inner")), Ok(()));
    }

    #[test]
    fn a_bracket_is_a_letter() {
        assert_eq!(check("/data/g[1].parquet", "/data/g1"), Ok(()));
        assert_eq!(check("/data/g[1]*", "/data/g1"), Ok(()));
        assert!(check("/data/g[1]*", "/data/g[1]x").is_err());
    }

    #[test]
    fn a_percent_sign_hides_no_wildcard() {
        assert!(check("/data/50%/?", "/data/50%/x").is_err());
        assert_eq!(check("/data/50%/?", "/data/50%/xy"), Ok(()));
    }

    #[test]
    fn an_output_inside_the_input_is_refused() {
        for (input, output) in [
            ("/data", "/data/out"),
            ("/data", "/data"),
            ("/data/*", "/data/out"),
            ("/data/**/*.parquet", "/data/out"),
            ("/data/*/*.parquet", "/data/x.parquet"),
            ("s3://bucket", "s3://bucket/out"),
        ] {
            let error = check(input, output).expect_err(input);
            assert!(error.message.contains("inside the input"), "{error}");
        }
    }

    #[test]
    fn an_input_inside_the_output_is_refused() {
        for (input, output) in [
            ("/data/a.parquet", "/data"),
            ("/data/in/*.parquet", "/data"),
            ("/data/a.parquet", "/"),
        ] {
            let error = check(input, output).expect_err(input);
            assert!(error.message.contains("inside the output"), "{error}");
        }
    }
}
