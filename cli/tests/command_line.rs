//! The binary as a person meets it first: help, version, usage errors.

use std::process::{Command, Output};

fn rankmill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rankmill"))
        .args(arguments)
        .output()
        .expect("the binary starts")
}

#[test]
fn help_names_every_command() {
    let output = rankmill(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for command in [
        "svd",
        "run",
        "estimate",
        "show",
        "coordinator",
        "worker",
        "jobs",
        "doctor",
        "generate",
        "import",
    ] {
        assert!(text.contains(command), "no {command} in:\n{text}");
    }
}

#[test]
fn version_is_the_package_s() {
    let output = rankmill(&["--version"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

#[test]
fn a_job_without_a_rank_is_a_usage_error_that_says_what_to_add() {
    let output = rankmill(&["svd", "x.parquet", "--row", "a", "--col", "b", "-o", "y"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("-k"), "{text}");
}
