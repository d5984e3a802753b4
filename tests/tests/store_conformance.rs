//! Every backend passes one suite, S3 also while it misbehaves in every way that S3 is known to.
//!
//! There is no emulator of Google's store that could run here; its client is tried by nobody but
//! its library. Azure's runs where `RANKMILL_TEST_AZURE` names an emulator.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rankmill_common::ErrorKind;
use rankmill_store::{Created, Store, StoreProfiles};
use rankmill_tests::conformance::{conforms, race};
use rankmill_tests::s3::{BUCKET, Fault, S3Server};

/// How often a fault strikes when it is the only one.
const RATE: f64 = 0.2;

fn open(server: &S3Server) -> Store {
    let profiles = StoreProfiles::parse(&server.profile()).expect("a profile");
    let url = format!("s3://{BUCKET}/some/prefix");
    profiles.open(&url).expect("a client")
}

async fn conforms_and_races(store: &Store) {
    conforms(store).await.expect("no error");
    let race = race(store, 20).await;
    assert_eq!((race.settled, race.uncertain), (20, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_directory_conforms() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(&folder.path().display().to_string()).expect("opened");
    conforms_and_races(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let store = Store::open("memory://conformance/some/prefix").expect("opened");
    conforms_and_races(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms() {
    let server = S3Server::new();
    conforms_and_races(&open(&server)).await;
    assert_eq!(server.faults().total(), 0);
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_conforms() {
    let Ok(text) = std::env::var("RANKMILL_TEST_AZURE") else {
        eprintln!("SKIPPED: RANKMILL_TEST_AZURE names no file of store profiles for az://bench");
        return;
    };
    let profiles = StoreProfiles::read(text.as_ref()).expect("profiles");
    let run = std::process::id();
    let store = profiles.open(&format!("az://bench/run-{run}"));
    conforms_and_races(&store.expect("a client")).await;
}

async fn survives(fault: Fault) {
    let server = S3Server::new();
    let store = open(&server);
    server.faults().seeded(7, &[(fault, RATE)]);
    conforms(&store)
        .await
        .unwrap_or_else(|e| panic!("{fault:?}: {e}"));
    let race = race(&store, 20).await;
    assert_eq!((race.settled, race.uncertain), (20, 0), "{fault:?}");
    let injected = server.faults().total();
    assert!(injected >= 20, "{fault:?} struck {injected} times only");
    println!("{fault:?}: survived {injected}");
}

macro_rules! survives {
    ($($test:ident: $fault:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            survives(Fault::$fault).await;
        })+
    };
}

survives! {
    survives_internal_errors: InternalError,
    survives_requests_to_slow_down: SlowDown,
    survives_too_many_requests: TooManyRequests,
    survives_conflicts_that_nobody_wins: Conflict,
    survives_writes_that_land_and_fail: LandsAndFails,
    survives_writes_that_land_in_silence: LandsInSilence,
    survives_writes_that_land_late: LandsLate,
    survives_lost_connections: Reset,
    survives_answers_that_break_off: Truncated,
    survives_slow_answers: Latency,
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_everything_at_once() {
    for seed in 0..5 {
        let server = S3Server::new();
        let store = open(&server);
        let rates = Fault::QUICK.map(|fault| (fault, 0.03));
        server.faults().seeded(seed, &rates);
        conforms(&store)
            .await
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let race = race(&store, 20).await;
        assert_eq!((race.settled, race.uncertain), (20, 0), "seed {seed}");
        assert!(server.faults().total() > 30, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_breaks_off_is_asked_for_again() {
    let server = S3Server::new();
    let store = open(&server);
    for index in 0..50 {
        let key = format!("list/{index:02}");
        store.put(&key, Bytes::new()).await.expect("written");
    }
    // The second page of three.
    let faults = [Fault::Latency, Fault::Truncated];
    server.faults().script(&faults);
    assert_eq!(store.list("list").await.expect("listed").len(), 50);
    assert_eq!(server.faults().total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_hangs_is_settled_by_reading_back() {
    let server = S3Server::new();
    let store = open(&server);
    server.faults().script(&[Fault::LandsAndHangs]);
    let start = Instant::now();
    let created = store.create("slot", Bytes::from_static(b"mine")).await;
    assert_eq!(created, Ok(Created::Mine));
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(server.faults().total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_settles_is_an_error_and_not_a_guess() {
    let server = S3Server::new();
    let store = open(&server);
    server.faults().seeded(1, &[(Fault::Conflict, 1.0)]);
    let created = store.create("slot", Bytes::from_static(b"mine")).await;
    let error = created.expect_err("nobody knows");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("refuses to create it"), "{error}");
    assert!(server.objects().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_end_was_not_heard_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, vec![7; 20 << 20]).expect("written");
    for fault in [Fault::LandsAndFails, Fault::LandsInSilence] {
        let server = S3Server::new();
        let store = open(&server);
        // Begin, three parts and the end: the fifth write is the end.
        server.faults().script(&[Fault::Latency; 4]);
        server.faults().script(&[fault]);
        store.upload_file("large", &path).await.expect("uploaded");
        assert!(server.faults().injected().contains_key(&fault));
        assert_eq!(store.head("large").await.expect("there").size, 20 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_mend_and_are_not_retried() {
    let server = S3Server::new();
    let open = |text: String| {
        let profiles = StoreProfiles::parse(&text).expect("a profile");
        profiles
            .open(&format!("s3://{BUCKET}/x"))
            .expect("a client")
    };
    let start = Instant::now();
    let stranger = server.profile().replace("rankmill-test", "somebody");
    let forger = server.profile().replace("correct-horse", "wrong-horse");
    for profile in [stranger, forger] {
        assert_ne!(profile, server.profile());
        let store = open(profile);
        let created = store.create("a", Bytes::from_static(b"x")).await;
        let got = store.get("a").await;
        for error in [created.expect_err("refused"), got.expect_err("refused")] {
            assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
            assert!(error.message.contains("check the credentials"), "{error}");
        }
    }
    let elsewhere = StoreProfiles::parse(&server.profile().replace("s3://bench", "s3://nowhere"));
    let store = elsewhere.expect("a profile").open("s3://nowhere/x");
    let store = store.expect("a client");
    let created = store.create("a", Bytes::from_static(b"x")).await;
    let got = store.get("a").await.map(drop);
    let listed = store.list("a").await.map(drop);
    let errors = [created.map(drop), got, listed].map(Result::err);
    for error in errors.map(|error| error.expect("no bucket")) {
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
        assert!(error.message.contains("no such bucket"), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}
