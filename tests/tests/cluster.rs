//! Any process may die, freeze or be cut off: the job ends with the same bytes as undisturbed.
//!
//! Faults of processes and networks; those of disks and of the machine are in `hardship.rs`,
//! random ones in `chaos.rs`.

use std::time::Duration;

use rankmill_tests::cluster::{CALM, Cluster, Shape};
use rankmill_tests::program::{Bench, Signal, wait_until};
use rankmill_tests::proxy::Weather;
use rankmill_tests::result::digests;
use rankmill_tests::scene::{LIMIT, Scene, timed};

/// What the documentation promises of a failover with default settings.
const FAILOVER: Duration = Duration::from_secs(20);

/// Three times the lease, or the takeover, of hasty settings.
const LONG: Duration = Duration::from_secs(6);

/// Links slow enough that a job lasts for a few seconds.
const SLOW: Weather = Weather::Slow {
    delay: Duration::from_millis(20),
    rate: 10_000_000,
};

fn slow(scene: &Scene) {
    for worker in 0..scene.cluster.workers.len() {
        scene.cluster.isolate_worker(worker, SLOW);
    }
}

#[test]
fn nothing_happens() {
    Scene::start(Shape::default()).succeeds(0);
}

#[test]
fn a_run_here_leaves_a_state_that_is_led_alone() {
    let mut scene = Scene::start(Shape::default());
    let state = scene.cluster.state().display().to_string();
    let out = scene.bench.path("here");
    let mut arguments = scene.workload.arguments(&out.display().to_string());
    arguments.extend(["--state".to_owned(), state]);
    let (code, said) = scene.bench.fail(&arguments);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("--coordinator"), "{said}");
    scene.succeeds(0);
    for coordinator in scene.cluster.coordinators.iter_mut().rev() {
        coordinator.signal(Signal::Terminate);
        assert!(coordinator.wait(LIMIT).success());
    }
    scene.bench.succeed(&arguments);
    assert_eq!(digests(&out), scene.workload.digests);
}

#[test]
fn a_job_that_succeeded_is_not_called_failed_where_its_result_cannot_be_read() {
    let mut scene = Scene::start(Shape::default());
    scene.succeeds(0);
    let mut jobs = std::fs::read_dir(scene.cluster.state().join("jobs")).expect("jobs");
    let id = jobs.next().expect("a job").expect("a folder").file_name();
    let id = id.to_string_lossy();
    let watch = ["jobs", "watch", &id, "--coordinator", &scene.cluster.url()];
    std::fs::remove_file(scene.job.out.join("_manifest.json")).expect("removed");
    let said = scene.bench.succeed(watch).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("has succeeded, but"), "{said}");
}

#[test]
fn a_worker_is_killed_in_the_middle_of_a_stage() {
    let mut scene = Scene::start(Shape::default());
    for (worker, percent) in [(0, 10), (1, 50)] {
        scene.wait_for_percent(percent);
        scene.cluster.workers[worker].kill();
    }
    scene.succeeds(2);
}

#[test]
fn a_worker_is_killed_after_its_outputs_were_written() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(30);
    // Objects of attempts appear by rename, before their report: one more has just been written.
    let objects = || {
        let files = rankmill_tests::program::files_below(&scene.cluster.state().join("jobs"));
        files
            .iter()
            .filter(|path| !path.to_string_lossy().contains("/log/"))
            .count()
    };
    let before = objects();
    wait_until("another object", LIMIT, || objects() > before);
    for worker in &mut scene.cluster.workers {
        worker.kill();
        worker.start();
    }
    scene.succeeds(3);
}

#[test]
fn everything_is_killed_and_started_again() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(40);
    let cluster = &mut scene.cluster;
    for member in cluster.coordinators.iter_mut().chain(&mut cluster.workers) {
        member.kill();
    }
    let before = scene.log();
    let cluster = &mut scene.cluster;
    for member in cluster.coordinators.iter_mut().chain(&mut cluster.workers) {
        member.start();
    }
    let after = scene.succeeds(1);
    Scene::continued(&before, &after);
}

#[test]
fn without_workers_the_job_fails_with_a_reason() {
    let mut scene = Scene::start(Shape {
        workers: 2,
        settings: CALM.replace("no-workers-seconds = 120", "no-workers-seconds = 2"),
        ..Shape::default()
    });
    scene.wait_for_percent(30);
    for worker in &mut scene.cluster.workers {
        worker.kill();
    }
    let ended = scene.fails(LIMIT);
    assert_eq!(ended.code, 7, "{}", ended.said);
    for word in ["no worker", "rankmill worker"] {
        assert!(ended.said.contains(word), "{}", ended.said);
    }
}

#[test]
fn a_standby_takes_over_within_20_s_of_default_settings() {
    let mut scene = Scene::start(Shape {
        settings: String::new(),
        ..Shape::default()
    });
    scene.wait_for_percent(20);
    scene.cluster.coordinators[0].kill();
    let before = scene.log();
    let took = timed(|| scene.cluster.wait_for_leader(1));
    eprintln!("the standby took over after {took:?}");
    assert!(took <= FAILOVER, "it took {took:?}");
    let after = scene.succeeds(1);
    Scene::continued(&before, &after);
}

#[test]
fn leaders_are_killed_one_after_another() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene);
    for (leader, percent) in [(0, 20), (1, 50), (0, 80)] {
        scene.wait_for_percent(percent);
        scene.cluster.wait_for_leader(leader);
        scene.cluster.coordinators[leader].kill();
        scene.cluster.wait_for_leader(1 - leader);
        scene.cluster.coordinators[leader].start();
    }
    let log = scene.succeeds(3);
    assert!(log.epoch >= 4, "epoch {}", log.epoch);
}

#[test]
fn a_leader_that_was_frozen_does_not_write_again() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene);
    scene.wait_for_percent(30);
    scene.cluster.coordinators[0].freeze();
    let before = scene.log();
    std::thread::sleep(LONG);
    scene.cluster.wait_for_leader(1);
    scene.cluster.coordinators[0].thaw();
    let after = scene.succeeds(1);
    Scene::continued(&before, &after);
    let cluster = &mut scene.cluster;
    wait_until("the end of the old term", LIMIT, || {
        cluster.leader() == Some(1) && cluster.coordinators[0].said().contains("no longer leading")
    });
    // It is a standby now, as good as any.
    cluster.coordinators[1].kill();
    cluster.wait_for_leader(0);
}

#[test]
fn a_worker_that_was_frozen_changes_nothing() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(30);
    scene.cluster.workers[0].freeze();
    std::thread::sleep(LONG);
    scene.cluster.workers[0].thaw();
    scene.succeeds(1);
    // It is welcome again.
    scene.cluster.wait_for_workers(3);
}

#[test]
fn all_workers_are_frozen_for_a_while() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(50);
    for worker in &scene.cluster.workers {
        worker.freeze();
    }
    std::thread::sleep(LONG);
    for worker in &scene.cluster.workers {
        worker.thaw();
    }
    scene.succeeds(1);
}

/// Tries to make a straggler; the job may end before its slow worker has held a task for long.
const TRIES: usize = 5;

#[test]
fn a_straggler_is_tried_elsewhere_and_one_attempt_counts() {
    assert!(
        (0..TRIES).any(|_| has_straggler()),
        "nothing was tried twice"
    );
}

/// Runs the job with a worker that has become slow; whether one of its tasks was tried elsewhere.
fn has_straggler() -> bool {
    let mut scene = Scene::start(Shape {
        workers: 2,
        settings: CALM.replace("lease-ms = 2000", "lease-ms = 60000") + "straggler-ms = 300\n",
        ..Shape::default()
    });
    slow(&scene);
    // After the first read of the matrix, so that it is known how long such tasks take.
    wait_until("the first read", LIMIT, || {
        let commits = scene.log().commits_per_task();
        (0..4).all(|task| commits.contains_key(&(7, task)))
    });
    // Reports of this one now come later than a second attempt could.
    let crawling = Weather::Slow {
        delay: Duration::from_secs(1),
        rate: 10_000_000,
    };
    scene.cluster.isolate_worker(0, crawling);
    let mut speculated = 0;
    wait_until("a second attempt", LIMIT, || {
        let count = scene.cluster.count("rankmill_attempts_speculated_total");
        speculated = count.unwrap_or(speculated);
        speculated > 0 || !scene.job.is_running()
    });
    scene.cluster.isolate_worker(0, Weather::Fair);
    scene.succeeds(1);
    let lost = scene.cluster.count("rankmill_workers_lost_total");
    assert_eq!(lost, Some(0), "it was no straggler: its lease had run out");
    speculated > 0
}

#[test]
fn a_task_that_two_workers_die_of_is_set_aside() {
    let settings = CALM.replace(
        "lost-workers = 1000",
        "lost-workers = 2\nquarantine-ms = 2000",
    );
    let shape = Shape {
        workers: 2,
        settings: settings.replace("poll-ms = 1000", "poll-ms = 60000"),
        ..Shape::default()
    };
    // A frozen worker is a dead one that still holds what it was given last. The first one has
    // asked for work and is given the first task;
    let mut scene = Scene::set(Bench::new(), shape, |cluster| {
        cluster.workers[1].kill();
        cluster.wait_for_workers(1);
        cluster.workers[0].freeze();
    });
    let cluster = &mut scene.cluster;
    let running = |cluster: &Cluster| cluster.count("rankmill_tasks_running") == Some(1);
    wait_until("the first lease", LIMIT, || running(cluster));
    cluster.wait_for_workers(0);
    // the second one is given the same task, but is frozen before it hears of it.
    let late = Weather::Slow {
        delay: Duration::from_millis(500),
        rate: 10_000_000,
    };
    cluster.isolate_worker(1, late);
    cluster.workers[1].start();
    wait_until("the second lease", LIMIT, || running(cluster));
    cluster.workers[1].freeze();
    let ended = scene.fails(LIMIT);
    for word in ["Inspect", "died while they ran it", "set aside"] {
        assert!(ended.said.contains(word), "no {word:?} in: {}", ended.said);
    }
}

#[test]
fn a_worker_is_cut_off_and_joins_again() {
    for weather in [Weather::Silent, Weather::Cut] {
        let mut scene = Scene::start(Shape::default());
        scene.wait_for_percent(30);
        scene.cluster.isolate_worker(0, weather);
        std::thread::sleep(LONG / 2);
        scene.cluster.isolate_worker(0, Weather::Fair);
        scene.succeeds(1);
        scene.cluster.wait_for_workers(3);
    }
}

#[test]
fn all_workers_are_cut_off_and_join_again() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(30);
    for worker in 0..3 {
        scene.cluster.isolate_worker(worker, Weather::Silent);
    }
    std::thread::sleep(LONG / 2);
    for worker in 0..3 {
        scene.cluster.isolate_worker(worker, Weather::Fair);
    }
    scene.succeeds(3);
    scene.cluster.wait_for_workers(3);
}

#[test]
fn a_client_that_was_cut_off_finds_its_job_again() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene);
    for percent in [10, 30, 50] {
        scene.wait_for_percent(percent);
        for link in &scene.cluster.client_links {
            link.reset();
        }
    }
    scene.cluster.isolate_coordinator(0, SLOW);
    scene.succeeds(0);
}

#[test]
fn a_standby_is_killed_and_nobody_notices() {
    let mut scene = Scene::start(Shape::default());
    scene.wait_for_percent(30);
    scene.cluster.coordinators[1].kill();
    scene.succeeds(0);
}

#[test]
fn a_coordinator_without_standby_comes_back_at_its_address() {
    let mut scene = Scene::start(Shape {
        coordinators: 1,
        ..Shape::default()
    });
    for percent in [20, 60] {
        scene.wait_for_percent(percent);
        scene.cluster.coordinators[0].kill();
        scene.cluster.coordinators[0].start();
    }
    scene.succeeds(2);
}

#[test]
fn workers_that_are_asked_to_stop_finish_what_they_do() {
    let mut scene = Scene::start(Shape::default());
    slow(&scene);
    for worker in [0, 1] {
        scene.wait_for_percent(30 + 20 * worker);
        scene.cluster.workers[worker].signal(Signal::Terminate);
        let status = scene.cluster.workers[worker].wait(LIMIT);
        assert_eq!(status.code(), Some(0), "worker {worker}: {status}");
    }
    // Nothing that they had begun was lost.
    scene.succeeds(0);
}

#[test]
fn a_leader_that_is_asked_to_stop_hands_over_at_once() {
    let mut scene = Scene::start(Shape {
        settings: String::new(),
        ..Shape::default()
    });
    scene.wait_for_percent(30);
    scene.cluster.coordinators[0].signal(Signal::Terminate);
    let status = scene.cluster.coordinators[0].wait(LIMIT);
    assert_eq!(status.code(), Some(0), "{status}");
    scene.cluster.wait_for_leader(1);
    scene.succeeds(1);
}
