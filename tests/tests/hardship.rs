//! What the machine does to processes: full disks, damaged files, too little memory, too few file
//! descriptors. The job ends with the same bytes, or with a clear error and nothing half written.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rankmill_tests::cluster::{CALM, Cluster, Follower, HASTY, Shape};
use rankmill_tests::program::{Bench, files_below, wait_until};
use rankmill_tests::proxy::Weather;
use rankmill_tests::result::digests;
use rankmill_tests::scene::{LIMIT, Scene};
use rankmill_tests::workload::Workload;

const INVALID_INPUT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 6;
const UNAVAILABLE: i32 = 7;
/// After so long a job of a few seconds does not move any more.
const HUNG: Duration = Duration::from_secs(60);

/// Links slow enough that a job lasts for a few seconds.
const SLOW: Weather = Weather::Slow {
    delay: Duration::from_millis(20),
    rate: 10_000_000,
};

fn slow(cluster: &Cluster) {
    for worker in 0..cluster.workers.len() {
        cluster.isolate_worker(worker, SLOW);
    }
}

/// Objects that attempts have written: blocks and scratch.
fn objects(state: &Path) -> Vec<PathBuf> {
    let mut files = files_below(state);
    files.retain(|path| path.components().any(|part| part.as_os_str() == "a"));
    files
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let shape = Shape {
        settings: CALM.to_owned() + "task-failures = 100\nworker-failures = 100\n",
        ..Shape::default()
    };
    let bench = Bench::new();
    // Where blocks should go lies a file: no directory can be made there.
    let obstacle = bench.path("cluster/matrices");
    let place = obstacle.clone();
    let mut scene = Scene::set(bench, shape, move |_| {
        std::fs::write(&place, "in the way").expect("written");
    });
    wait_until("a failure", LIMIT, || {
        let failed = scene.cluster.count("rankmill_attempts_failed_total");
        failed.is_some_and(|times| times > 0)
    });
    std::fs::remove_file(&obstacle).expect("removed");
    // Attempts that failed count as granted.
    scene.succeeds(20);
}

#[test]
fn what_keeps_failing_ends_the_job_with_the_reason() {
    let bench = Bench::new();
    let obstacle = bench.path("cluster/matrices");
    let shape = Shape {
        settings: format!("{HASTY}transient-failures = 4\n"),
        ..Shape::default()
    };
    let mut scene = Scene::set(bench, shape, move |_| {
        std::fs::write(&obstacle, "in the way").expect("written");
    });
    let ended = scene.fails(LIMIT);
    assert_eq!(ended.code, UNAVAILABLE, "{}", ended.said);
    for word in ["failed 4 times", "matrices"] {
        assert!(ended.said.contains(word), "no {word:?} in: {}", ended.said);
    }
}

#[test]
fn objects_that_were_lost_are_made_again() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene.cluster);
    for percent in [20, 60] {
        scene.wait_for_percent(percent);
        for object in objects(scene.cluster.state()) {
            // One that is being written may be gone by now.
            let _ = std::fs::remove_file(object);
        }
    }
    let ended = scene.job.wait(LIMIT);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(digests(&scene.job.out), scene.workload.digests);
    // Repairs are attempts, but no commits.
    let log = scene.log();
    assert_eq!(log.commits.len(), scene.workload.tasks);
    assert!(log.commits_per_task().values().all(|&times| times == 1));
}

#[test]
fn objects_that_were_damaged_are_made_again() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene.cluster);
    scene.wait_for_percent(40);
    // Between two stages there may be no object at all for a moment.
    wait_until("an object to damage", LIMIT, || {
        let objects = objects(scene.cluster.state());
        let damaged = objects.iter().filter(|object| flip_a_byte(object));
        damaged.count() > 0
    });
    let ended = scene.job.wait(LIMIT);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(digests(&scene.job.out), scene.workload.digests);
}

/// Changes one byte in the middle of an object, by replacing its file: what is mapped stays.
fn flip_a_byte(object: &Path) -> bool {
    let Ok(mut bytes) = std::fs::read(object) else {
        return false;
    };
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else {
        return false;
    };
    *byte ^= 1;
    let other = object.with_extension("damaged");
    std::fs::write(&other, bytes).expect("written");
    std::fs::rename(&other, object).is_ok()
}

#[test]
fn damaged_blocks_of_an_earlier_job_are_named_and_built_anew() {
    let bench = Bench::new();
    let workload = Workload::get();
    let cluster = Cluster::of(&bench, Shape::default());
    let follow = |out: &str| {
        Follower::start(&bench, &cluster, out, |out| workload.arguments(out)).wait(LIMIT)
    };
    assert_eq!(follow("first").code, 0);
    let blocks = objects(cluster.state());
    assert!(blocks.iter().any(|block| flip_a_byte(block)), "no blocks");
    let ended = follow("second");
    assert_eq!(ended.code, UNAVAILABLE, "{}", ended.said);
    assert!(
        ended.said.contains("run the same command again"),
        "{}",
        ended.said
    );
    assert!(files_below(&bench.path("second")).is_empty());
    let ended = follow("second");
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(digests(&bench.path("second")), workload.digests);
}

/// A file system in memory; none where this machine does not let us mount one, which is said
/// loudly.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir_all(&place).expect("a folder");
        let options = format!("size={size}");
        let disk = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &place).then(|| Self(place));
        if disk.is_none() {
            eprintln!("SKIPPED: this machine lets nobody mount a tmpfs; full disks are not tested");
        }
        disk
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(mount(&["-o", &options], &self.0), "it cannot grow");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], place: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(place).output();
    mounted.is_ok_and(|output| output.status.success())
}

#[test]
fn a_run_on_a_full_state_disk_continues_when_there_is_space() {
    let bench = Bench::new();
    let workload = Workload::get();
    let Some(disk) = SmallDisk::mount(bench.path("state"), "1m") else {
        return;
    };
    let out = bench.path("out");
    let arguments = workload.arguments(&out.display().to_string());
    let (code, said) = bench.fail(&arguments);
    assert_eq!(code, RESOURCE_EXHAUSTED, "{said}");
    assert!(said.contains("disk is full"), "{said}");
    assert!(files_below(&out).is_empty(), "half a result was left");
    disk.grow("256m");
    bench.succeed(&arguments);
    assert_eq!(digests(&out), workload.digests);
}

#[test]
fn a_state_that_cannot_be_written_is_named_at_once() {
    let bench = Bench::new();
    let workload = Workload::get();
    let state = bench.path("state");
    let Some(disk) = SmallDisk::mount(state.clone(), "1m") else {
        return;
    };
    assert!(mount(&["-o", "remount,ro"], &disk.0), "still writable");
    let state = state.display().to_string();
    let run = workload.arguments(&bench.path("out").display().to_string());
    let serve = ["coordinator", "--listen", "127.0.0.1:0", "--state", &state];
    for arguments in [run, serve.map(str::to_owned).to_vec()] {
        let started = Instant::now();
        let (code, said) = bench.fail(&arguments);
        assert_eq!(code, INVALID_INPUT, "{said}");
        assert!(said.to_lowercase().contains("read-only"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(5), "{said}");
    }
}

#[test]
fn a_full_output_disk_fails_the_job_and_nothing_is_left_on_it() {
    let bench = Bench::new();
    let workload = Workload::get();
    let Some(disk) = SmallDisk::mount(bench.path("out"), "128k") else {
        return;
    };
    let out = bench.path("out/result");
    let arguments = workload.arguments(&out.display().to_string());
    let (code, said) = bench.fail(&arguments);
    assert_eq!(code, RESOURCE_EXHAUSTED, "{said}");
    assert!(said.contains("disk is full"), "{said}");
    assert_eq!(files_below(&out), Vec::<PathBuf>::new());
    disk.grow("64m");
    bench.succeed(&arguments);
    assert_eq!(digests(&out), workload.digests);
}

#[test]
fn a_cluster_survives_a_full_state_disk() {
    let bench = Bench::new();
    let state = bench.path("small");
    let Some(disk) = SmallDisk::mount(state.clone(), "1m") else {
        return;
    };
    let shape = Shape {
        state: Some(state),
        settings: CALM.to_owned(),
        ..Shape::default()
    };
    let mut scene = Scene::set(bench, shape, |_| {});
    let ended = scene.fails(LIMIT);
    assert_eq!(ended.code, RESOURCE_EXHAUSTED, "{}", ended.said);
    assert!(ended.said.contains("disk is full"), "{}", ended.said);
    disk.grow("256m");
    // Nobody was restarted; the same command goes on.
    let (bench, cluster, workload) = (&scene.bench, &scene.cluster, scene.workload);
    let mut again = Follower::start(bench, cluster, "out", |out| workload.arguments(out));
    let ended = again.wait(LIMIT);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(digests(&scene.job.out), scene.workload.digests);
    for coordinator in &mut scene.cluster.coordinators {
        assert!(
            coordinator.is_running(),
            "a coordinator died of a full disk"
        );
    }
}

#[test]
fn workers_with_few_file_descriptors_manage() {
    let bench = Bench::new();
    let workload = Workload::get();
    let shape = Shape {
        workers: 0,
        ..Shape::default()
    };
    let cluster = Cluster::of(&bench, shape);
    let script = format!(
        "ulimit -n 40; exec '{}' worker --threads 1 --memory 2GiB --coordinator '{}'",
        rankmill_tests::program::binary().display(),
        cluster.url()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    let log = bench.path("worker.log");
    let _worker = rankmill_tests::program::Process::start_logged(command, &log);
    cluster.wait_for_workers(1);
    let mut job = Follower::start(&bench, &cluster, "out", |out| workload.arguments(out));
    let ended = job.wait(LIMIT);
    assert_eq!(ended.code, 0, "{}", ended.said);
    assert_eq!(digests(&job.out), workload.digests);
}

#[test]
fn a_worker_that_gets_no_more_memory_does_not_stop_the_job() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene.cluster);
    scene.wait_for_percent(20);
    let worker = scene.cluster.workers[0].id().expect("it runs").to_string();
    // Below what it has already: everything it asks for from now on is refused.
    let limited = Command::new("prlimit")
        .args(["--pid", &worker, "--as=1000000"])
        .status();
    if !limited.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: there is no prlimit here; memory limits are not tested");
    }
    // What the starved worker fails at is granted again, and it does not hang either: threads that
    // its tasks need for their files are there from the start.
    let started = Instant::now();
    while scene.job.is_running() {
        assert!(started.elapsed() < HUNG, "the starved worker hangs");
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.succeeds(20);
}
