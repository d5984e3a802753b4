//! Single schedules, each about one rule.

use std::collections::BTreeSet;

use rankmill_common::ErrorKind;

use super::super::state::{TaskKey, Worker};
use super::*;

#[test]
fn reclaims_a_task_when_its_worker_falls_silent() {
    let mut world = World::new(2);
    world.poll(0);
    let first = world.leases[0].1.clone();
    world.now = LIMITS.lease_ms / 2;
    world.poll(1);
    world.now = LIMITS.lease_ms + 1;
    world.step(Event::Tick);
    world.poll(1);
    let again = &world.leases.last().expect("a lease").1;
    assert_eq!((again.stage, again.task), (first.stage, first.task));
    assert_ne!(again.attempt, first.attempt);
}

#[test]
fn a_zombie_s_report_is_acknowledged_and_ignored() {
    let mut world = World::new(2);
    world.poll(0);
    let zombie = world.leases[0].clone();
    world.now = LIMITS.lease_ms + 1;
    world.step(Event::Tick);
    world.leases = vec![zombie];
    world.report(0, done());
    assert!(world.commits.is_empty());
}

#[test]
fn invalid_input_ends_the_job_without_a_retry() {
    let mut world = World::new(1);
    world.poll(0);
    world.report(0, failed(ErrorKind::InvalidInput));
    let error = world.ended.expect("ended").expect_err("failed");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[test]
fn a_task_that_keeps_failing_ends_the_job_after_the_limit() {
    let mut world = World::new(1);
    let mut failures = 0;
    while world.ended.is_none() {
        world.poll(0);
        world.leases.retain(|(_, lease)| lease.task == TaskIndex(0));
        if !world.leases.is_empty() {
            world.report(0, failed(ErrorKind::Internal));
            failures += 1;
        }
        world.now += 40_000;
        world.join(0);
    }
    assert_eq!(failures, LIMITS.task_failures);
}

#[test]
fn a_worker_that_fails_twice_leaves_the_stage_to_others() {
    let mut world = World::new(2);
    world.fail_twice(0);
    world.now += 1_000;
    world.poll(0);
    assert_eq!(world.leases, []);
    world.poll(1);
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_task_is_not_left_to_an_owner_that_may_not_have_it() {
    let mut world = World::new(2);
    world.fail_twice(0);
    for _ in 2..TASKS {
        world.poll(1);
        world.report(0, done());
    }
    // Both wait, the owner of what is left behind the other.
    world.poll(1);
    world.poll(0);
    world.now += 1_000;
    world.step(Event::Tick);
    let holders: Vec<_> = world.leases.iter().map(|(worker, _)| worker).collect();
    assert_eq!(holders, [&worker(1)]);
}

#[test]
fn a_worker_that_keeps_failing_rests_longer_each_time() {
    let mut world = World::new(2);
    world.fail_twice(0);
    world.now = 250;
    for _ in 0..TASKS {
        world.poll(1);
        world.report(0, done());
    }
    assert_eq!(world.stage, 1, "the next stage has begun");
    world.poll(0);
    assert_eq!(world.leases, [], "it rests, although it never failed here");
    world.now = 500;
    world.step(Event::Tick);
    world.report(0, failed(ErrorKind::Unavailable));
    world.poll(0);
    world.now = 1_499;
    world.step(Event::Tick);
    assert_eq!(world.leases, [], "twice as long");
    world.now = 1_500;
    world.step(Event::Tick);
    world.report(0, done());
    world.poll(0);
    assert_eq!(world.leases.len(), 1, "a success ends the rest");
}

#[test]
fn the_first_rest_is_short_whatever_the_patience() {
    let key = TaskKey {
        job: job(),
        stage: StageId(0),
        task: TaskIndex(0),
    };
    for patience in [1, 2, 100] {
        let mut worker = Worker::new(0, 100, "process".to_owned());
        for _ in 1..patience {
            worker.failed(7, &key, patience);
        }
        assert_eq!(worker.rests_until, 0);
        worker.failed(7, &key, patience);
        assert_eq!(worker.rests_until, 507);
    }
}

#[test]
fn a_stage_goes_on_where_every_worker_has_failed_in_it() {
    let mut world = World::new(2);
    for index in [0, 0, 1, 1] {
        world.poll(index);
        world.report(0, failed(ErrorKind::Internal));
    }
    world.now += 1_000;
    world.poll(0);
    assert_eq!(world.leases.len(), 1);
}

#[test]
fn a_task_that_kills_two_workers_is_set_aside() {
    let mut world = World::new(1);
    for victim in 0..2 {
        world.join(victim);
        world.poll(victim);
        world.now += LIMITS.lease_ms + 1;
        world.step(Event::Tick);
    }
    world.now += LIMITS.quarantine_ms;
    world.step(Event::Tick);
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("set aside"), "{error}");
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
}

#[test]
fn workers_that_were_cut_off_and_come_back_have_not_died() {
    let mut world = World::new(1);
    for victim in [0, 1] {
        world.join(victim);
        world.poll(victim);
        world.now += LIMITS.lease_ms + 1;
        world.step(Event::Tick);
    }
    world.join(1);
    world.now += LIMITS.quarantine_ms;
    world.join(1);
    world.step(Event::Tick);
    assert!(world.ended.is_none(), "{:?}", world.ended);
    world.leases.clear();
    world.poll(1);
    assert_eq!(world.leases.len(), 1, "the task is open again");
}

#[test]
fn a_task_goes_back_to_the_worker_that_ran_it_before() {
    let mut world = World::new(2);
    for index in [0, 1, 0, 1, 1] {
        world.poll(index);
    }
    let owner: BTreeMap<_, _> = world
        .leases
        .iter()
        .map(|(worker, lease)| (lease.task, worker.clone()))
        .collect();
    while !world.leases.is_empty() {
        world.report(0, done());
    }
    for index in [1, 1, 1] {
        world.poll(index);
    }
    for (worker, lease) in &world.leases {
        assert_eq!(owner[&lease.task], *worker);
    }
}

#[test]
fn nobody_has_two_tasks_while_somebody_has_none() {
    let mut world = World::new(TASKS);
    for _ in 1..TASKS {
        world.poll(0);
        world.report(0, done());
    }
    world.poll(0);
    for index in [0, 0, 1, 2, 2, 1, 3, 3, 4, 4] {
        world.poll(index);
    }
    world.report(0, done());
    assert_eq!(world.stage, 1, "the next stage has begun");
    let tasks = &world.scheduler.jobs[&job()].stages[&StageId(1)].tasks;
    let holders: BTreeSet<_> = tasks.iter().map(|task| &task.attempts[0].worker).collect();
    assert_eq!(holders.len(), TASKS, "{holders:?}");
}

#[test]
fn a_task_that_no_worker_can_hold_fails_with_the_numbers() {
    let mut world = World::new(1);
    let task = TaskPlan {
        name: "Gram",
        memory: 1 << 40,
        committed: None,
    };
    world.ask_for(9, vec![task], None);
    let error = world.ended.expect("ended").expect_err("failed");
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    assert!(error.message.contains("1.00 TiB"), "{error}");
}

#[test]
fn a_task_of_a_later_stage_that_no_worker_can_hold_fails_the_job_now() {
    let mut world = World::new(1);
    let need = Need {
        name: "NormalMultiply",
        memory: 1 << 40,
    };
    world.ask_for(9, plan(TASKS), Some(need));
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(
        error.message.starts_with("NormalMultiply needs 1.00 TiB"),
        "{error}"
    );
}

#[test]
fn a_repeated_task_that_makes_other_bytes_is_an_alarm() {
    let mut world = World::new(1);
    let key = run_stage(&mut world);
    world.poll(0);
    world.report(0, Outcome::Failed(Error::input_lost(key, "test")));
    world.poll(0);
    let lease = world.leases.last().expect("a repair").1.clone();
    assert_eq!((lease.stage, lease.task), (StageId(0), TaskIndex(0)));
    let other = Report::FoundMatrix(rankmill_common::operator::FoundMatrix { matrix: None });
    world.report(
        0,
        Outcome::Done {
            report: Box::new(other),
            cost: TaskCost::default(),
        },
    );
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("other bytes"), "{error}");
}

#[test]
fn a_late_attempt_at_a_committed_task_may_find_its_input_gone() {
    let mut world = World::new(2);
    let input = run_stage(&mut world);
    for _ in 0..TASKS {
        world.poll(0);
    }
    while world.leases.len() > 1 {
        world.report(1, done());
    }
    world.now += LIMITS.straggler_ms + 1;
    world.poll(1);
    assert_eq!(world.leases.len(), 2, "the straggler is tried again");
    world.report(1, done());
    assert_eq!(world.stage, 2, "the second attempt has won");
    world.report(0, Outcome::Failed(Error::input_lost(input, "released")));
    assert!(world.ended.is_none());
    world.poll(0);
    let lease = &world.leases.last().expect("a lease").1;
    assert_eq!(lease.stage, StageId(2), "nothing is made again");
}

#[test]
fn a_lost_output_whose_inputs_are_gone_is_made_anew_from_the_first_of_them() {
    let mut world = World::new(1);
    let first = run_stage(&mut world);
    let second = run_stage(&mut world);
    let lose = |world: &mut World, key: &str, stage: u32| {
        world.poll(0);
        let lease = world.leases.last().expect("a lease").1.clone();
        assert_eq!((lease.stage, lease.task), (StageId(stage), TaskIndex(0)));
        world.report(0, Outcome::Failed(Error::input_lost(key, "gone")));
    };
    lose(&mut world, &second, 2);
    lose(&mut world, &first, 1);
    for stage in 0..3 {
        world.poll(0);
        let lease = world.leases.last().expect("a lease").1.clone();
        assert_eq!((lease.stage, lease.task), (StageId(stage), TaskIndex(0)));
        world.report(0, done());
    }
    assert!(world.ended.is_none(), "{:?}", world.ended);
}

/// Runs the stage at hand to its end; returns what its first task has made.
fn run_stage(world: &mut World) -> String {
    let stage = StageId(world.stage);
    for _ in 0..TASKS {
        world.poll(0);
        world.report(0, done());
    }
    let tasks = &world.scheduler.jobs[&job()].stages[&stage].tasks;
    let committed = tasks[0].committed.as_ref().expect("committed");
    format!("{}/shard", committed.output_prefix)
}

#[test]
fn jobs_without_workers_fail_after_a_while_and_say_why() {
    let mut world = World::new(0);
    world.step(Event::Tick);
    world.now = LIMITS.no_workers_ms + 1;
    world.step(Event::Tick);
    let error = world.ended.expect("ended").expect_err("failed");
    assert!(error.message.contains("no worker"), "{error}");
}

#[test]
fn an_unknown_worker_is_told_to_register() {
    let mut scheduler = Scheduler::new(Epoch(1), LIMITS);
    let effects = scheduler.step(
        0,
        Event::Heartbeat {
            request: RequestId(1),
            worker: worker(7),
            attempts: vec![AttemptId::new("1-1")],
            bytes: vec![0],
        },
    );
    assert!(matches!(
        effects[..],
        [Effect::Pulse {
            cancelled: None,
            ..
        }]
    ));
}
