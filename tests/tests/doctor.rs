//! `rankmill doctor store` passes stores that keep their promises and catches those that do not.

use std::path::Path;
use std::process::{Command, Output};

use rankmill_tests::program::Bench;
use rankmill_tests::s3::{BUCKET, Fault, Honesty, S3Server};
use serde_json::Value;

fn doctor(bench: &Bench, place: &str) -> Command {
    bench.command(["doctor", "store", place])
}

fn on_server(bench: &Bench, server: &S3Server) -> Command {
    let mut command = doctor(bench, &format!("s3://{BUCKET}/some/prefix"));
    server.serve_by_environment(&mut command);
    command
}

fn run(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .expect("a folder")
        .next()
        .is_none()
}

#[test]
fn good_stores_pass_and_nothing_is_left() {
    let (bench, server) = (Bench::new(), S3Server::new());
    let folder = bench.path("store");
    let local = doctor(&bench, &folder.display().to_string());
    let memory = doctor(&bench, "memory://doctor/x");
    for command in [local, memory, on_server(&bench, &server)] {
        let (code, said, errors) = run(command);
        assert_eq!(code, 0, "{said}{errors}");
        assert!(said.contains("ok        create race: one winner in each of 20 rounds"));
        assert!(said.contains("ok        clean up"), "{said}");
    }
    assert!(is_empty(&folder));
    assert!(server.objects().is_empty());
}

#[test]
fn a_store_that_ignores_conditions_is_caught() {
    let (bench, server) = (Bench::new(), S3Server::new());
    server.set_honesty(Honesty::Ignore);
    let (code, said, errors) = run(on_server(&bench, &server));
    assert_eq!(code, 3, "{said}{errors}");
    assert!(said.contains("LIES      create: an object that exists was created again"));
    assert!(
        said.contains("LIES      create race: in 20 of 20 rounds"),
        "{said}"
    );
    assert!(errors.contains("do not use it for --state"), "{errors}");
    assert!(server.objects().is_empty());
}

#[test]
fn a_store_that_checks_and_then_writes_is_caught() {
    let (bench, server) = (Bench::new(), S3Server::new());
    server.set_honesty(Honesty::CheckThenWrite);
    let mut command = on_server(&bench, &server);
    command.arg("--json");
    let (code, said, errors) = run(command);
    assert_eq!(code, 3, "{said}{errors}");
    let answer: Value = serde_json::Deserializer::from_str(&said)
        .into_iter()
        .next()
        .expect("an answer")
        .expect("JSON");
    assert_eq!(answer["ok"], false);
    let checks = answer["checks"].as_array().expect("checks");
    let of = |name: &str| {
        let found = checks.iter().find(|check| check["check"] == name);
        found.expect("a check")["ok"].as_bool()
    };
    // One at a time it looks well; only the race shows it.
    assert_eq!((of("create"), of("create race")), (Some(true), Some(false)));
}

#[test]
fn a_store_that_stumbles_is_not_a_liar() {
    let (bench, server) = (Bench::new(), S3Server::new());
    let rates = Fault::QUICK.map(|fault| (fault, 0.02));
    server.faults().seeded(11, &rates);
    let (code, said, errors) = run(on_server(&bench, &server));
    assert_eq!(code, 0, "{said}{errors}");
    assert!(server.faults().total() > 20);
}

#[test]
fn no_answer_and_no_permission_have_their_own_exit_codes() {
    let (bench, server) = (Bench::new(), S3Server::new());
    let mut nobody = on_server(&bench, &server);
    nobody.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let (code, said, errors) = run(nobody);
    assert_eq!(code, 7, "{said}{errors}");
    assert!(said.contains("FAILED    write and read"), "{said}");
    assert!(errors.contains("check the store's endpoint"), "{errors}");
    let mut stranger = on_server(&bench, &server);
    stranger.env("AWS_ACCESS_KEY_ID", "somebody");
    let (code, _, errors) = run(stranger);
    assert_eq!(code, 3, "{errors}");
    assert!(errors.contains("check the credentials"), "{errors}");
}
