//! What bounds of jobs on graphs say where rounding is most of what is left: long sums of weights
//! that lie far apart, tolerances below what f64 can prove, damping close to one.

use rankmill_tests::graph::GraphCase;
use rankmill_tests::input::column;

/// Weights that vanish when they are added to the first one by one.
const LARGE: f64 = 1_073_741_824.0;
const SMALL: f64 = 0.49 / 4_194_304.0;

fn graph(edges: Vec<(i64, i64, f64)>) -> GraphCase {
    let src: Vec<_> = edges.iter().map(|edge| edge.0).collect();
    let dst: Vec<_> = edges.iter().map(|edge| edge.1).collect();
    let weight = edges.iter().map(|edge| Some(edge.2)).collect();
    GraphCase::new((src, dst), weight, 1 << 20)
}

/// Vertex 0 and an edge to each of `leaves` others, with none back.
fn star(leaves: i64) -> GraphCase {
    graph((1..=leaves).map(|leaf| (0, leaf, 1.0)).collect())
}

/// Seeds at all leaves of a star: the large weight at the first, small ones at the others.
fn seeds(case: &GraphCase, leaves: i64) -> String {
    let weight = |leaf| Some(if leaf == 1 { LARGE } else { SMALL });
    let columns = vec![
        ("source", column(vec![0i64; leaves as usize])),
        ("vertex", column((1..=leaves).collect::<Vec<_>>())),
        (
            "weight",
            column((1..=leaves).map(weight).collect::<Vec<_>>()),
        ),
    ];
    case.table("seeds", columns)
}

/// The flag with which push goes in parts.
fn in_parts(case: &GraphCase, flags: &[&str]) -> String {
    let flags = [flags, &["--method", "push", "--task-memory", "1MiB"]].concat();
    let (_, text) = case.bench.fail(case.arguments("ppr", &flags));
    let least = text.split_once("give --task-memory ");
    let least = least.and_then(|(_, least)| least.split_whitespace().next());
    least
        .unwrap_or_else(|| panic!("no refusal: {text}"))
        .to_owned()
}

#[test]
fn shares_of_seeds_are_within_the_bound_that_is_reported() {
    const LEAVES: i64 = 20_000;
    let case = star(LEAVES);
    let seeds = seeds(&case, LEAVES);
    // Where seeds keep what they have, scores are their shares.
    let flags = ["--seeds", &seeds, "--dangling", "self-loop"];
    let small = f64::from(SMALL as f32);
    let total = LARGE + (LEAVES - 1) as f64 * small;
    let parts = in_parts(&case, &flags);
    for method in [
        &["--method", "push"][..],
        &["--method", "power"],
        &["--method", "push", "--task-memory", &parts],
    ] {
        let all = [
            &flags[..],
            method,
            &["--tol", "1e-13", "--top-k", "20000", "--overwrite"],
        ]
        .concat();
        let result = case.ppr(&all);
        let residual = result.manifest["convergence"]["max_residual"].as_f64();
        let scores = &result.answers["0"].targets;
        let off = |(target, score): &(String, f64)| {
            let weight = if target == "1" { LARGE } else { small };
            (score - weight / total).abs()
        };
        // Push may not have come to seeds of small weights.
        let absent = (LEAVES as usize - scores.len()) as f64 * small / total;
        let distance = absent + scores.iter().map(off).sum::<f64>();
        // What the exact shares are themselves rounded by.
        let slack = 2.0 * f64::EPSILON;
        assert!(
            residual.is_some_and(|residual| distance <= residual + slack && residual < 1e-4),
            "{method:?}: {distance:e} is not within {residual:?}"
        );
    }
}

#[test]
fn push_in_parts_goes_on_until_rounding_is_what_is_left() {
    const LEAVES: i64 = 20_000;
    let there = (1..=LEAVES).map(|leaf| (0, leaf, 1.0));
    let back = (1..=LEAVES).map(|leaf| (leaf, 0, 1.0));
    let case = graph(there.chain(back).collect());
    let flags = ["--sources", "0"];
    let parts = in_parts(&case, &flags);
    let residual = |tol: &str| {
        let push = ["--method", "push", "--task-memory", &parts, "--tol", tol];
        let all = [&flags[..], &push, &["--overwrite"]].concat();
        let result = case.ppr(&all);
        let quality = &result.manifest["convergence"];
        let method = quality["method"].as_str().unwrap_or_default();
        assert!(method.contains("parts"), "{quality}");
        quality["max_residual"].as_f64().expect("a bound")
    };
    let (loose, tight) = (residual("1e-6"), residual("1e-13"));
    assert!(loose <= 1e-6);
    assert!((1e-13..1e-8).contains(&tight), "{tight:e}");
}

/// A ring with a chord: walks mix slowly.
fn ring() -> GraphCase {
    let around = (0..60).map(|vertex| (vertex, (vertex + 1) % 60, 1.0));
    graph(around.chain([(0, 2, 0.3)]).collect())
}

#[test]
fn pagerank_stops_where_rounding_hides_its_tolerance() {
    let case = ring();
    let quality = |tol: &str, more: &[&str]| {
        let flags = [&["--weight", "weight", "--tol", tol, "--overwrite"], more].concat();
        case.page_rank(&flags).manifest["convergence"].clone()
    };
    let hopeless = quality("1e-16", &[]);
    assert_eq!(hopeless["converged"], false);
    assert!(hopeless["iterations"].as_u64() < Some(400), "{hopeless}");
    assert!(hopeless["residual"].as_f64() < Some(1e-11), "{hopeless}");
    let met = quality("1e-10", &[]);
    assert_eq!(met["converged"], true, "{met}");
}

#[test]
fn no_bound_is_larger_than_two_distributions_may_be_apart() {
    let case = ring();
    let few = ["--damping", "0.9999", "--max-iterations", "2"];
    let sensible = |residual: Option<f64>| {
        assert!(
            residual.is_some_and(|residual| residual > 0.1 && residual < 2.1),
            "{residual:?}"
        );
    };
    let ranks = case.page_rank(&[&few[..], &["--weight", "weight"]].concat());
    sensible(ranks.manifest["convergence"]["residual"].as_f64());
    let power = ["--sources", "0", "--method", "power", "--overwrite"];
    let result = case.ppr(&[&few[..], &power].concat());
    sensible(result.manifest["convergence"]["max_residual"].as_f64());
    sensible(Some(result.answers["0"].residual));
}
