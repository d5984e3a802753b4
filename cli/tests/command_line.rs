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

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    for command in [
        &["svd", "x.parquet"][..],
        &["worker"],
        &["generate", "rmat"],
    ] {
        let mut arguments = command.to_vec();
        arguments.extend(["--threads", "100000"]);
        let output = rankmill(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("1..=4096"), "{text}");
    }
}

/// Where nothing can be written.
#[cfg(target_os = "linux")]
fn full_disk() -> std::process::Stdio {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    full.expect("/dev/full").into()
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_that_cannot_be_written_does_not_change_the_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let exit = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rankmill"));
        command.args(arguments).current_dir(folder.path());
        let status = command.stderr(full_disk()).status();
        status.expect("the binary starts").code()
    };
    let generated = exit(&["generate", "rmat", "--scale", "4", "-o", "g.parquet"]);
    assert_eq!(generated, Some(0));
    let missing = exit(&["import", "edges", "nope", "-o", "e.parquet"]);
    assert_eq!(missing, Some(3));
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], stdout: std::process::Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rankmill"));
        command.args(arguments).current_dir(folder.path());
        let output = command.stdout(stdout).output();
        output.expect("the binary starts")
    };
    let generate = ["generate", "rmat", "--scale", "4", "-o", "g.parquet"];
    assert!(run(&generate, std::process::Stdio::null()).status.success());
    let estimate = ["estimate", "pagerank", "g.parquet"];
    let output = run(&estimate, full_disk());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("the disk is full"), "{text}");
    // A reader that has gone is none.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = run(&estimate, writer.into());
    assert_eq!(output.status.code(), Some(0));
}
