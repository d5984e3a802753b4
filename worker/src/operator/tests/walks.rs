//! Walks on parts of a graph leave the file that walks on the whole graph leave.

use rankmill_common::ObjectRef;
use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::{BlockFormat, BlockRef, RowRange};
use rankmill_common::operator::{GatherWalks, Walk, WalkPart, Walked};

use crate::operator::support::{Bench, Rows};
use crate::operator::{walk, walk_part};

const VERTICES: usize = 50;

/// Weights of a graph with sinks and loops; row = from.
fn weights() -> Rows {
    let weight = |from: usize, to: usize| match (5 * from + 3 * to + from * to) % 13 {
        0 | 4 if !from.is_multiple_of(7) => 1.0 + (to % 3) as f64,
        _ => 0.0,
    };
    (0..VERTICES)
        .map(|from| (0..VERTICES).map(|to| weight(from, to)).collect())
        .collect()
}

fn all() -> RowRange {
    RowRange {
        start: 0,
        count: VERTICES as u64,
    }
}

fn whole(bench: &Bench, blocks: Vec<BlockRef>, dangling: Dangling) -> Walk {
    let output = bench.directory.path().join("out").display().to_string();
    Walk {
        format: BlockFormat::Sparse,
        blocks,
        vertices: VERTICES as u64,
        rows: all(),
        damping: 0.85,
        dangling,
        walks: 30,
        visits: 200,
        entries: 9,
        seed: 5,
        output,
        path: "whole.parquet".to_owned(),
    }
}

/// Rounds of walks from `starts` on parts of `rows` vertices each; returns what they visited, and
/// how many rounds there were.
fn rounds(bench: &Bench, walk: &Walk, rows: u64, starts: RowRange) -> (Vec<ObjectRef>, usize) {
    let parts = RowRange::cut(VERTICES as u64, rows);
    let (mut visits, mut round) = (Vec::new(), 0);
    let mut frontiers: Option<Vec<ObjectRef>> = None;
    loop {
        let mut sent = Vec::new();
        for part in 0..parts.len() {
            let operator = WalkPart {
                format: walk.format,
                blocks: walk.blocks.clone(),
                vertices: walk.vertices,
                parts: parts.clone(),
                part: part as u32,
                starts,
                arrived: frontiers.clone(),
                damping: walk.damping,
                dangling: walk.dangling,
                walks: walk.walks,
                visits: walk.visits,
                seed: walk.seed,
            };
            let attempt = format!("{rows}-{}-{round}-{part}", starts.start);
            let walked = walk_part::run(&bench.attempt(&attempt), &operator).expect("a round");
            visits.extend(walked.visits);
            sent.extend(walked.frontier);
        }
        round += 1;
        if sent.is_empty() {
            return (visits, round);
        }
        frontiers = Some(sent);
    }
}

fn gather(bench: &Bench, walk: &Walk, visits: Vec<ObjectRef>) -> Walked {
    let operator = GatherWalks {
        rows: walk.rows,
        visits,
        damping: walk.damping,
        walks: walk.walks,
        entries: walk.entries,
        output: walk.output.clone(),
        path: walk.path.clone(),
    };
    walk_part::gather(&bench.context, &operator).expect("fingerprints")
}

#[test]
fn walks_that_travel_leave_the_same_fingerprints() {
    for dangling in [Dangling::Restart, Dangling::SelfLoop] {
        let bench = Bench::new();
        let blocks = bench.wide_blocks(&weights(), 20);
        let operator = whole(&bench, blocks, dangling);
        let expected = walk::run(&bench.context, &operator).expect("walks");
        assert!(expected.entries > 100 && expected.missing > 0.0);
        for rows in [7, 20, 50] {
            let mut visits = Vec::new();
            for starts in RowRange::cut(VERTICES as u64, 2 * rows) {
                let (visited, count) = rounds(&bench, &operator, rows, starts);
                assert!(rows == 50 || count > 3, "{count} rounds");
                visits.extend(visited);
            }
            let found = gather(&bench, &operator, visits);
            assert_eq!(found, expected, "{dangling:?}, parts of {rows}");
        }
    }
}
