//! Refuses an output that would become part of the input, or the other way round.

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
    let below = |place: &Location| -> Vec<String> {
        let rest = place.url()[base.url().len()..].to_owned();
        let parts = rest.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (pattern, output) = (below(input), below(output));
    pattern.iter().any(|part| part.contains("**"))
        || pattern
            .iter()
            .zip(&output)
            .all(|(pattern, name)| matches(pattern.as_bytes(), name.as_bytes()))
}

/// The folders of a glob before its first wildcard; a path without one as it is.
pub(super) fn fixed_part(place: &Location) -> Location {
    let mut fixed = place.clone();
    while is_glob(&fixed.url()) {
        let folder = fixed.split_last().0;
        if folder == fixed {
            break;
        }
        fixed = folder;
    }
    fixed
}

pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether one folder name fits a pattern of `*` and `?`. A bracket may stand for anything: this
/// check would rather refuse.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) | (Some((b'[', _)), _) => true,
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
