use std::collections::{BTreeMap, BTreeSet};

use super::super::table::tests::{assert_same_for_any_threads, bytes};
use super::*;

fn args(nnz: u64) -> RatingsArgs {
    RatingsArgs {
        rows: 2_000,
        cols: 1_000,
        nnz,
        rank: 20,
        zipf: 1.0,
        id_type: IdWidth::Int64,
    }
}

fn table(nnz: u64, seed: u64) -> Ratings {
    args(nnz).table(seed).expect("ratings")
}

#[test]
fn the_number_of_threads_does_not_show() {
    let mut args = args(2_500_000);
    (args.rows, args.cols) = (20_000, 5_000);
    assert_same_for_any_threads(&args.table(1).expect("ratings"));
}

#[test]
fn the_seed_shows() {
    assert!(bytes(&table(1_000, 1), 1) != bytes(&table(1_000, 2), 1));
}

#[test]
fn pairs_are_in_range_and_seldom_repeat() {
    let table = table(60_000, 3);
    let pairs: BTreeSet<(u64, u64)> = (0..60_000)
        .map(|index| table.row(index))
        .inspect(|(user, item, rating)| {
            assert!(*user < 2_000 && *item < 1_000);
            assert!([1.0, 2.0, 3.0, 4.0, 5.0].contains(rating));
        })
        .map(|(user, item, _)| (user, item))
        .collect();
    assert!(pairs.len() > 57_000, "{} distinct pairs", pairs.len());
}

#[test]
fn some_are_far_more_popular_than_others() {
    let table = table(60_000, 3);
    let mut users = BTreeMap::new();
    let mut items = BTreeMap::new();
    for index in 0..60_000 {
        let (user, item, _) = table.row(index);
        *users.entry(user).or_insert(0u64) += 1;
        *items.entry(item).or_insert(0u64) += 1;
    }
    let busiest = |counts: &BTreeMap<u64, u64>| counts.values().max().copied().unwrap_or(0);
    assert!(
        (200..=250).contains(&busiest(&users)),
        "{}",
        busiest(&users)
    );
    assert!(
        (400..=1100).contains(&busiest(&items)),
        "{}",
        busiest(&items)
    );
    assert!(users.len() > 1_900 && items.len() > 950);
}

#[test]
fn buckets_hold_their_degrees() {
    for degree in 1..5_000 {
        assert!(largest_in(bucket(degree)) >= degree as f64, "{degree}");
        assert!(bucket(degree) <= bucket(degree + 1));
        assert!(
            largest_in(bucket(degree)) < 1.3 * degree as f64 + 1.0,
            "{degree}"
        );
    }
}

#[test]
fn impossible_requests_are_refused() {
    let mut dense = args(600_000);
    assert!(dense.clone().table(0).is_err());
    dense.nnz = 1_000;
    dense.rank = 65;
    assert!(dense.clone().table(0).is_err());
    dense.rank = 1;
    dense.zipf = f64::NAN;
    assert!(dense.table(0).is_err());
    for rows in [MOST_ROWS + 1, i64::MAX as u64 + 2, u64::MAX] {
        let mut many = args(1_000);
        many.rows = rows;
        let error = many.table(0).expect_err("too many");
        assert!(error.message.contains("at most 281474976710656"), "{error}");
    }
    let mut most = args(1_000);
    most.rows = MOST_ROWS;
    let most = most.table(0).expect("ratings");
    assert!((0..1_000).all(|index| most.row(index).0 < MOST_ROWS));
}
