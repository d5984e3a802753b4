//! No secret leaves the process that was given it: not in state, outputs, manifests, errors or the
//! most talkative log.

use std::path::{Path, PathBuf};
use std::process::Command;

use rankmill_tests::cluster::Cluster;
use rankmill_tests::program::Bench;
use rankmill_tests::reference;
use rankmill_tests::s3::{BUCKET, S3Server};
use tempfile::TempDir;

/// Part of every secret that these tests plant.
const CANARY: &str = "canaryK7pQz3";

/// A bench whose commands log everything, with secrets beside it.
struct Cage {
    bench: Bench,
    server: S3Server,
    /// Not within the bench: this is where the secrets may be.
    secrets: TempDir,
    /// What commands have said.
    said: String,
}

impl Cage {
    fn new() -> Self {
        let server = S3Server::with_secret(&format!("{CANARY}-secret"));
        let bench = Bench::new();
        server.place_file("input/relations.parquet", &wordnet());
        Self {
            bench,
            server,
            secrets: tempfile::tempdir().expect("a folder"),
            said: String::new(),
        }
    }

    /// A file of profiles, with a session token more than the server asks for.
    fn profiles(&self, text: &str) -> PathBuf {
        let path = self.secrets.path().join("stores.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn good_profile(&self) -> String {
        let token = format!("session-token = \"{CANARY}-token\"\n");
        self.server.profile() + &token
    }

    /// Runs a command with the given profiles, and a stranger's secrets in the environment.
    fn run(&mut self, profiles: &str, arguments: &[&str]) -> i32 {
        let path = self.profiles(profiles);
        let mut command = self.bench.command(arguments);
        strangers_environment(&mut command);
        command.env("RANKMILL_STORES", path);
        self.finish(command)
    }

    fn finish(&mut self, mut command: Command) -> i32 {
        command.env("RANKMILL_LOG", "trace");
        let output = command.output().expect("the binary starts");
        let (out, errors) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            errors.contains("TRACE") || errors.contains("error:"),
            "{errors}"
        );
        self.said.push_str(&out);
        self.said.push_str(&errors);
        output.status.code().unwrap_or(-1)
    }

    /// Looks for the secret wherever anything was written; and where it is, to know that looking
    /// finds it.
    fn search(&self) {
        let path = self.profiles(&self.good_profile());
        assert!(holds_canary(&std::fs::read(path).expect("a file")));
        assert!(!self.said.contains(CANARY), "said: {}", around(&self.said));
        let mut searched = 0;
        search_folder(self.bench.path("").as_path(), &mut searched);
        for (key, bytes) in self.server.objects() {
            assert!(!holds_canary(&bytes), "in the object {key}");
            searched += 1;
        }
        println!(
            "searched {searched} files and {} bytes said",
            self.said.len()
        );
        assert!(searched > 0);
    }
}

fn strangers_environment(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", "stranger")
        .env("AWS_SECRET_ACCESS_KEY", format!("{CANARY}-environment"))
        .env("AWS_SESSION_TOKEN", format!("{CANARY}-environment-token"))
        .env("AZURE_STORAGE_ACCOUNT_KEY", format!("{CANARY}-azure"));
}

fn search_folder(folder: &Path, searched: &mut usize) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search_folder(&path, searched);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            assert!(!holds_canary(&bytes), "in {}", path.display());
            *searched += 1;
        }
    }
}

fn holds_canary(bytes: &[u8]) -> bool {
    bytes
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes())
}

fn around(text: &str) -> &str {
    let found = text.find(CANARY).unwrap_or(0);
    let start = text[..found].rfind('\n').unwrap_or(0);
    let end = text[found..]
        .find('\n')
        .map_or(text.len(), |end| found + end);
    &text[start..end]
}

fn wordnet() -> PathBuf {
    let found = reference::all()
        .into_iter()
        .find(|reference| reference.name == "examples/wordnet");
    found.and_then(|r| r.file).expect("the example")
}

fn job(bucket: &str, out: &str) -> Vec<String> {
    let options = "--row source --col target --value weight -k 4 --method sketch";
    let input = format!("s3://{bucket}/input/relations.parquet");
    let out = format!("s3://{bucket}/{out}");
    let words = ["svd", &input].into_iter().chain(options.split(' '));
    words.chain(["-o", &out]).map(str::to_owned).collect()
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn a_job_that_succeeds_tells_no_secret() {
    let mut cage = Cage::new();
    let good = cage.good_profile();
    assert_eq!(
        cage.run(&good, &words(&job(BUCKET, "out"))),
        0,
        "{}",
        cage.said
    );
    let out = format!("s3://{BUCKET}/out");
    assert_eq!(cage.run(&good, &["show", &out, "--json"]), 0);
    assert_eq!(
        cage.run(&good, &["doctor", "store", &out, "--rounds", "2"]),
        0
    );
    cage.search();
}

#[test]
fn a_cluster_tells_no_secret() {
    let mut cage = Cage::new();
    let path = cage.profiles(&cage.good_profile());
    let state = format!("s3://{BUCKET}/state");
    let cluster = Cluster::start_on(&cage.bench, 1, &state, |command| {
        strangers_environment(command);
        command
            .env("RANKMILL_STORES", &path)
            .env("RANKMILL_LOG", "trace");
    });
    let mut arguments = job(BUCKET, "out");
    arguments.extend(["--coordinator".to_owned(), cluster.url()]);
    let good = cage.good_profile();
    assert_eq!(cage.run(&good, &words(&arguments)), 0, "{}", cage.said);
    // The cluster has no profile for this place, and says so.
    let mut arguments = job("elsewhere", "out");
    arguments.extend(["--coordinator".to_owned(), cluster.url()]);
    assert_eq!(cage.run(&good, &words(&arguments)), 3);
    assert!(cage.said.contains("no store profile serves this place"));
    drop(cluster);
    for log in ["coordinator-0.log", "worker-0.log"] {
        let text = std::fs::read_to_string(cage.bench.path(log)).expect("a log");
        assert!(text.contains("TRACE"), "{log} is not talkative");
    }
    cage.search();
}

#[test]
fn jobs_that_fail_tell_no_secret() {
    let mut cage = Cage::new();
    let good = cage.good_profile();
    let endpoint = cage.server.endpoint().to_owned();
    let unreachable = good.replace(&endpoint, "http://127.0.0.1:9");
    let refused = good.replace(&format!("{CANARY}-secret"), &format!("{CANARY}-wrong"));
    let no_bucket = good.replace("s3://bench", "s3://nowhere");
    assert_eq!(cage.run(&unreachable, &words(&job(BUCKET, "out"))), 7);
    assert_eq!(cage.run(&refused, &words(&job(BUCKET, "out"))), 3);
    assert_eq!(cage.run(&no_bucket, &words(&job("nowhere", "out"))), 3);
    assert!(
        cage.said
            .contains("there is no such bucket (404 NoSuchBucket)")
    );
    let broken = good.replace(&format!("\"{CANARY}-secret\""), CANARY);
    assert_eq!(cage.run(&broken, &words(&job(BUCKET, "out"))), 2);
    assert!(cage.said.contains("is no TOML"));
    let out_of_reach = "http://127.0.0.1:9";
    for (place, keys) in [
        (
            "az",
            format!("account-name = 'x'\naccount-key = '{CANARY}!'"),
        ),
        (
            "az",
            format!("account-name = 'x'\naccount-key = '{CANARY}'"),
        ),
        (
            "gs",
            format!("service-account-key = '{{ \"private_key\": \"{CANARY}\" }}'"),
        ),
        ("gs", format!("service-account-key = '{CANARY}'")),
    ] {
        let url = format!("{place}://bench");
        let profile = format!(
            "[stores.x]\nurl = '{url}'\nendpoint = '{out_of_reach}'\nallow-http = true\n{keys}\n"
        );
        let code = cage.run(&profile, &["show", &format!("{url}/out")]);
        assert!([3, 7].contains(&code), "{place}: {code}\n{}", cage.said);
    }
    cage.search();
}

#[test]
fn credentials_of_the_environment_are_as_secret() {
    let mut cage = Cage::new();
    for (access_key, expected) in [("rankmill-test", 0), ("somebody", 3)] {
        let mut command = cage.bench.command(job(BUCKET, access_key));
        cage.server.serve_by_environment(&mut command);
        command
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SESSION_TOKEN", format!("{CANARY}-token"));
        assert_eq!(cage.finish(command), expected, "{}", cage.said);
    }
    cage.search();
}
