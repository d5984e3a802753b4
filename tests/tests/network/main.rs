//! The real coordinator, worker and gRPC stack on a simulated network: partitions, slow links,
//! lost replies, crashed coordinators. Whatever the network does, the result's bytes are those of
//! the undisturbed run.
//!
//! `RANKMILL_NETWORK_SEEDS=N` runs N seeds of each kind of weather, `RANKMILL_NETWORK_SEED=S` one.

mod net;

use std::path::Path;
use std::time::Duration;

use rankmill_common::ByteSize;
use rankmill_common::job::JobSpec;
use rankmill_common::status::{JobState, JobStatus};
use rankmill_coordinator::{Coordinator, CoordinatorConfig};
use rankmill_proto::pb::job_service_client::JobServiceClient;
use rankmill_proto::{Coordinators, convert, pb};
use rankmill_store::Store;
use rankmill_tests::program::Bench;
use rankmill_tests::reference;
use rankmill_tests::result::digests;
use rankmill_worker::WorkerConfig;
use turmoil::{Builder, Sim};

const COORDINATORS: [&str; 2] = ["c0", "c1"];
const WORKERS: [&str; 2] = ["w0", "w1"];

/// Seeds of each kind of weather in an ordinary run.
const SEEDS: u64 = 2;

/// Simulated time within which every job must end, long after the weather has cleared.
const LIMIT: Duration = Duration::from_secs(1_800);

/// Simulated time for which the weather lasts.
const BAD_WEATHER: Duration = Duration::from_secs(240);

/// Simulated time between two changes of the weather.
const CHANGE: Duration = Duration::from_millis(200);

/// What the network does at each change.
type Weather = fn(&mut Sim<'_>, &mut Dice);

/// Choices that follow from the seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn link(&mut self) -> (&'static str, &'static str) {
        let coordinator = COORDINATORS[self.below(2) as usize];
        let other = ["w0", "w1", "client"][self.below(3) as usize];
        (coordinator, other)
    }
}

#[test]
fn partitions_change_nothing() {
    weather("partitions", |sim, dice| {
        let (a, b) = dice.link();
        match dice.below(3) {
            0 => sim.partition(a, b),
            _ => sim.repair(a, b),
        }
    });
}

#[test]
fn slow_links_change_nothing() {
    weather("slow links", |sim, dice| {
        let (a, b) = dice.link();
        let latency = [2, 50, 900, 6_000][dice.below(4) as usize];
        sim.set_link_latency(a, b, Duration::from_millis(latency));
    });
}

#[test]
fn lost_requests_and_lost_replies_change_nothing() {
    weather("lost replies", |sim, dice| {
        let (coordinator, other) = dice.link();
        match dice.below(4) {
            0 => sim.partition_oneway(coordinator, other),
            1 => sim.partition_oneway(other, coordinator),
            _ => sim.repair(coordinator, other),
        }
    });
}

#[test]
fn crashes_of_coordinators_and_workers_change_nothing() {
    weather("crashes", |sim, dice| {
        let hosts = ["c0", "c1", "w0", "w1"];
        let host = hosts[dice.below(4) as usize];
        match dice.below(20) {
            0..=1 => sim.crash(host),
            2..=5 if !sim.is_host_running(host) => sim.bounce(host),
            _ => {}
        }
    });
}

/// Runs the job under `weather` with several seeds and compares the bytes.
fn weather(name: &str, weather: Weather) {
    let bench = Bench::new();
    let spec = undisturbed(&bench);
    let expected = digests(&bench.path("clean"));
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("RANKMILL_NETWORK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RANKMILL_NETWORK_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let out = bench.path(&format!("out-{seed}"));
        let ended = simulate(&bench, &spec, &out, seed, name, weather);
        let replay = format!("{name}: replay with RANKMILL_NETWORK_SEED={seed}");
        assert_eq!(ended.error, None, "{replay}");
        assert_eq!(digests(&out), expected, "{replay}");
    }
}

/// The job and its result without a network.
fn undisturbed(bench: &Bench) -> JobSpec {
    let wordnet = reference::all()
        .into_iter()
        .find(|reference| reference.name == "examples/wordnet")
        .expect("the example");
    let out = bench.path("clean");
    let mut arguments = wordnet.arguments();
    let out_text = out.display().to_string();
    arguments.extend(["-k", "8", "--method", "lanczos", "-o", &out_text].map(str::to_owned));
    bench.succeed(&arguments);
    let text = std::fs::read(out.join("_manifest.json")).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    serde_json::from_value(manifest["parameters"].clone()).expect("a specification")
}

fn simulate(
    bench: &Bench,
    spec: &JobSpec,
    out: &Path,
    seed: u64,
    name: &str,
    weather: Weather,
) -> JobStatus {
    let state = format!("memory://network-{}-{seed}", name.replace(' ', "-"));
    let mut sim = Builder::new()
        .simulation_duration(LIMIT)
        .tick_duration(Duration::from_millis(10))
        .min_message_latency(Duration::from_millis(20))
        .max_message_latency(Duration::from_millis(150))
        .rng_seed(seed)
        .build();
    for host in COORDINATORS {
        let state = state.clone();
        sim.host(host, move || coordinate(host, state.clone()));
    }
    for host in WORKERS {
        let cache = bench.path(&format!("cache-{seed}-{host}"));
        sim.host(host, move || work(host, cache.clone()));
    }
    let (ended, mut answer) = tokio::sync::oneshot::channel();
    let mut spec = spec.clone();
    match &mut spec {
        JobSpec::Svd(svd) => svd.output.url = format!("file://{}", out.display()),
        JobSpec::PageRank(_) | JobSpec::Ppr(_) | JobSpec::PprIndex(_) => {
            unreachable!("the job is an svd")
        }
    }
    sim.client("client", async move {
        let _ = ended.send(submit_and_watch(spec).await);
        Ok(())
    });
    let mut dice = Dice(seed);
    let mut next = Duration::ZERO;
    let mut cleared = false;
    loop {
        if sim.elapsed() >= next && !cleared {
            weather(&mut sim, &mut dice);
            next += CHANGE;
        }
        if sim.elapsed() >= BAD_WEATHER && !cleared {
            clear(&mut sim);
            cleared = true;
        }
        let done = sim.step().unwrap_or_else(|error| {
            panic!("{name}: {error}; replay with RANKMILL_NETWORK_SEED={seed}")
        });
        if done {
            println!(
                "{name}, seed {seed}: ended after {:?} of simulated time",
                sim.elapsed()
            );
            return answer.try_recv().expect("the client has answered");
        }
    }
}

/// Everything works again.
fn clear(sim: &mut Sim<'_>) {
    for coordinator in COORDINATORS {
        for other in ["w0", "w1", "client"] {
            sim.repair(coordinator, other);
            sim.set_link_latency(coordinator, other, Duration::from_millis(5));
        }
    }
    for host in COORDINATORS.into_iter().chain(WORKERS) {
        if !sim.is_host_running(host) {
            sim.bounce(host);
        }
    }
}

async fn coordinate(host: &'static str, state: String) -> turmoil::Result {
    let state = Store::open(&state)?;
    let incoming = net::listen().await?;
    let config = CoordinatorConfig::default();
    Coordinator::one_of_several(state, config, host.to_owned())
        .serve(incoming, std::future::pending(), |_| {})
        .await?;
    Ok(())
}

async fn work(host: &'static str, cache: std::path::PathBuf) -> turmoil::Result {
    let config = WorkerConfig {
        hand_over: None,
        threads: 1,
        memory: ByteSize(2 << 30),
        cache: Some(cache),
        cache_size: ByteSize(1 << 30),
        host: host.to_owned(),
    };
    rankmill_worker::run(coordinators(), config, std::future::pending()).await?;
    Ok(())
}

fn coordinators() -> Coordinators {
    Coordinators::new(COORDINATORS.map(net::dial).to_vec())
}

/// As patient as the command line: asks until the job has ended.
async fn submit_and_watch(spec: JobSpec) -> JobStatus {
    let coordinators = coordinators();
    loop {
        let (channel, tried) = coordinators.current();
        let request = convert::submission(spec.clone(), "the only one".to_owned());
        let mut jobs = JobServiceClient::new(channel);
        let answer = tokio::time::timeout(Duration::from_secs(20), jobs.submit_job(request)).await;
        let status = match answer {
            Ok(Ok(response)) => response.into_inner().status.expect("a status"),
            Ok(Err(_)) | Err(_) => {
                coordinators.turn_from(tried);
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        };
        if let Some(ended) = watch(&mut jobs, status.job_id).await {
            return ended;
        }
        coordinators.turn_from(tried);
    }
}

/// The terminal status; none if the connection broke before it came.
async fn watch(
    jobs: &mut JobServiceClient<tonic::transport::Channel>,
    job_id: String,
) -> Option<JobStatus> {
    let request = pb::WatchJobRequest { job_id };
    let mut stream = jobs.watch_job(request).await.ok()?.into_inner();
    while let Ok(Some(message)) = stream.message().await {
        let status = JobStatus::try_from(message).expect("a status of this version");
        match status.state {
            JobState::Queued | JobState::Running => {}
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => return Some(status),
        }
    }
    None
}
