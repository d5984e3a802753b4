//! Whole jobs whose every byte passes through an object store, good or bad.
//!
//! `RANKMILL_TEST_SEEDS` sets how many schedules of faults are tried.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rankmill_tests::cluster::Cluster;
use rankmill_tests::program::{Bench, wait_until};
use rankmill_tests::reference;
use rankmill_tests::result::digests;
use rankmill_tests::s3::{BUCKET, Fault, S3Server};

/// Where the input lies.
const INPUT: &str = "input/wordnet/relations.parquet";

fn url(key: &str) -> String {
    format!("s3://{BUCKET}/{key}")
}

/// The arguments of a job on `input`.
fn job(input: &str, out: &str) -> Vec<String> {
    let options = "--row source --col target --value weight -k 8 --method lanczos --max-reads 3";
    let words = ["svd", input].into_iter().chain(options.split(' '));
    words.chain(["-o", out]).map(str::to_owned).collect()
}

/// A server with the input in it.
fn server() -> S3Server {
    let server = S3Server::new();
    server.place_file(INPUT, &wordnet());
    server
}

fn wordnet() -> std::path::PathBuf {
    let found = reference::all()
        .into_iter()
        .find(|reference| reference.name == "examples/wordnet");
    found.and_then(|r| r.file).expect("the example")
}

/// What a run on local files makes.
fn expected() -> std::collections::BTreeMap<String, String> {
    let bench = Bench::new();
    let out = bench.path("out");
    let input = wordnet().display().to_string();
    bench.succeed(job(&input, &out.display().to_string()));
    digests(&out)
}

/// What lies below `out` in the bucket.
fn digests_of(server: &S3Server, out: &str) -> std::collections::BTreeMap<String, String> {
    let bench = Bench::new();
    server.copy_to(out, &bench.path("copy"));
    digests(&bench.path("copy"))
}

fn run(mut command: Command) -> Output {
    let output = command.output().expect("the binary starts");
    assert!(
        output.status.success(),
        "exit {:?}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn input_and_output_may_lie_in_a_bucket() {
    let (server, bench) = (server(), Bench::new());
    let mut command = bench.command(job(&url("input/wordnet"), &url("out")));
    server.serve_by_environment(&mut command);
    run(command);
    assert_eq!(digests_of(&server, "out"), expected());
    let mut again = bench.command(["show", &url("out"), "--verify"]);
    server.serve_by_environment(&mut again);
    run(again);
}

#[test]
fn a_bucket_that_misbehaves_changes_no_byte() {
    let expected = expected();
    let seeds = std::env::var("RANKMILL_TEST_SEEDS").map_or(2, |n| n.parse().expect("a number"));
    for seed in 0..seeds {
        let (server, bench) = (server(), Bench::new());
        let rates = Fault::QUICK.map(|fault| (fault, 0.02));
        server.faults().seeded(seed, &rates);
        let mut command = bench.command(job(&url(INPUT), &url("out")));
        server.serve_by_environment(&mut command);
        command.args(["--state", &url("state")]);
        run(command);
        server.faults().stop();
        assert_eq!(digests_of(&server, "out"), expected, "seed {seed}");
        assert!(server.faults().total() > 20, "seed {seed}");
        println!("seed {seed}: {:?}", server.faults().injected());
    }
}

#[test]
fn a_cluster_may_keep_its_state_in_a_bucket() {
    let (server, bench) = (server(), Bench::new());
    let cluster = Cluster::start_on(&bench, 2, &url("state"), |command| {
        server.serve_by_environment(command);
    });
    let mut command = bench.command(job(&url(INPUT), &url("out")));
    command.args(["--coordinator", &cluster.url()]);
    server.serve_by_environment(&mut command);
    run(command);
    assert_eq!(digests_of(&server, "out"), expected());
}

#[test]
fn a_cluster_on_a_bucket_that_misbehaves_changes_no_byte() {
    let (server, bench) = (server(), Bench::new());
    let rates = Fault::QUICK.map(|fault| (fault, 0.02));
    server.faults().seeded(3, &rates);
    let cluster = Cluster::start_on(&bench, 2, &url("state"), |command| {
        server.serve_by_environment(command);
    });
    let mut command = bench.command(job(&url(INPUT), &url("out")));
    command.args(["--coordinator", &cluster.url()]);
    server.serve_by_environment(&mut command);
    run(command);
    server.faults().stop();
    assert_eq!(digests_of(&server, "out"), expected());
    assert!(server.faults().total() > 20);
    println!("{:?}", server.faults().injected());
}

#[test]
fn a_bucket_that_is_away_for_a_while_changes_no_byte() {
    let (server, bench) = (server(), Bench::new());
    let mut command = bench.command(job(&url(INPUT), &url("out")));
    server.serve_by_environment(&mut command);
    command
        .args(["--state", &url("state")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the binary starts");
    wait_until("some progress", Duration::from_secs(20), || {
        server.objects().len() > 20
    });
    server.faults().seeded(1, &[(Fault::SlowDown, 1.0)]);
    std::thread::sleep(Duration::from_secs(3));
    server.faults().stop();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(server.faults().total() > 3, "it did not notice");
    assert_eq!(digests_of(&server, "out"), expected());
}

#[test]
fn profiles_open_what_they_serve_and_nothing_else() {
    let (server, bench) = (server(), Bench::new());
    let path = bench.path("stores.toml");
    let narrow = |prefix: &str| server.profile().replace("s3://bench", prefix);
    let input = narrow("s3://bench/input/wordnet");
    let out = narrow("s3://bench/out").replace("stores.test", "stores.out");
    std::fs::write(&path, input.clone() + &out).expect("written");
    let stores = path.display().to_string();
    let mut arguments = vec!["--stores".to_owned(), stores.clone()];
    arguments.extend(job(&url("input/wordnet"), &url("out/one")));
    run(bench.command(&arguments));
    assert_eq!(digests_of(&server, "out/one"), expected());
    let before = server.objects().len();
    for (input, out) in [("input/wordnet", "elsewhere"), ("input", "out/two")] {
        let mut arguments = job(&url(input), &url(out));
        arguments.extend(["--stores".to_owned(), stores.clone()]);
        let (code, said) = bench.fail(&arguments);
        assert_eq!(code, 3, "{said}");
        assert!(
            said.contains("no store profile serves this place"),
            "{said}"
        );
    }
    assert_eq!(server.objects().len(), before);
}
