//! What jobs on graphs mean and what they refuse: ids, edges, sources, seeds, bad input.

use arrow::datatypes::DataType;
use rankmill_tests::graph::{GraphCase, PersonalFiles};
use rankmill_tests::input::{IntoColumn, column};
use rankmill_tests::program::{Bench, workspace};

const USAGE: i32 = 2;
const INVALID_INPUT: i32 = 3;

fn graph<I: IntoColumn, J: IntoColumn>(src: I, dst: J, weight: Vec<Option<f64>>) -> GraphCase {
    GraphCase::new((src, dst), weight, 2)
}

/// 1 → 2 → 3, twice 3 → 1, and 4 → 4.
fn small() -> GraphCase {
    graph(
        vec![1i64, 2, 3, 3, 4],
        vec![2i64, 3, 1, 1, 4],
        vec![Some(1.0); 5],
    )
}

#[test]
fn ids_come_back_in_their_own_type_and_order() {
    let text = graph(vec!["b", "ä", "a"], vec!["a", "b", "z"], vec![Some(1.0); 3]);
    let result = text.page_rank(&[]);
    assert_eq!(result.id_type, DataType::Utf8);
    assert_eq!(result.order, ["a", "b", "z", "ä"]);
    let bytes = |ids: [&'static [u8]; 2]| ids.to_vec();
    let binary = graph(
        bytes([&[0, 255], &[7]]),
        bytes([&[7], &[0, 255]]),
        vec![Some(1.0); 2],
    );
    assert_eq!(binary.page_rank(&[]).id_type, DataType::Binary);
    let narrow = graph(vec![5i32, -3], vec![-3i32, 5], vec![Some(1.0); 2]);
    let result = narrow.page_rank(&[]);
    assert_eq!(
        (result.id_type, result.order),
        (DataType::Int32, vec!["-3".into(), "5".into()])
    );
}

#[test]
fn dense_ids_count_vertices_that_no_edge_names() {
    let case = graph(vec![0i64, 4], vec![4i64, 0], vec![Some(1.0); 2]);
    let result = case.page_rank(&["--ids", "dense", "--vertices", "7"]);
    assert_eq!(result.order, ["0", "1", "2", "3", "4", "5", "6"]);
    // Dangling mass is spread over all seven; three isolated ones share what restarts bring.
    assert!((result.scores["1"] - result.scores["6"]).abs() < 1e-15);
    assert!((result.scores.values().sum::<f64>() - 1.0).abs() < 1e-14);
    let keys = graph(vec![0i64, 4], vec![4i64, 0], vec![Some(1.0); 2]);
    assert_eq!(keys.page_rank(&[]).order, ["0", "4"]);
}

#[test]
fn parallel_edges_merge_as_they_are_told_to() {
    let case = || {
        graph(vec![1i64, 1, 1, 2, 3], vec![2i64, 2, 3, 1, 1], {
            [1.0, 3.0, 2.0, 1.0, 1.0].map(Some).to_vec()
        })
    };
    // From 1 the weights to 2 and 3 are 4 : 2, 3 : 2 or, counted without weights, 2 : 1.
    for (flags, share) in [
        (&["--weight", "weight"][..], 4.0 / 6.0),
        (&["--weight", "weight", "--duplicates", "max"], 3.0 / 5.0),
        (&["--weight", "weight", "--duplicates", "last"], 3.0 / 5.0),
        (&[], 2.0 / 3.0),
        (&["--duplicates", "max"], 1.0 / 2.0),
    ] {
        let result = case().page_rank(flags);
        let (two, three) = (result.scores["2"] - 0.05, result.scores["3"] - 0.05);
        assert!(
            (two / (two + three) - share).abs() < 1e-9,
            "{flags:?}: {:?}",
            result.scores
        );
    }
    case().refuse(
        "pagerank",
        &["--duplicates", "error"],
        INVALID_INPUT,
        &["--duplicates"],
    );
}

#[test]
fn an_undirected_edge_is_followed_both_ways() {
    let case = graph(vec![1i64, 2], vec![2i64, 3], vec![Some(1.0); 2]);
    let result = case.page_rank(&["--undirected", "--tol", "1e-10"]);
    assert_eq!(result.manifest["matrix"]["nnz"], 4);
    assert!((result.scores["1"] - result.scores["3"]).abs() < 1e-10);
    assert!(result.scores["2"] > result.scores["1"]);
}

#[test]
fn a_loop_keeps_its_walks_and_a_sink_sends_them_home() {
    let result = small().ppr(&["--sources", "4,1", "--tol", "1e-10"]);
    assert_eq!(result.answers["4"].targets.len(), 1);
    assert!((result.answers["4"].targets[0].1 - 1.0).abs() < 1e-9);
    assert!(result.answers["4"].proven && result.answers["1"].proven);
    assert_eq!(result.order, ["1", "4"]);
    for method in ["power", "push"] {
        let case = graph(vec![1i64], vec![2i64], vec![Some(1.0)]);
        let result = case.ppr(&["--sources", "1", "--method", method, "--tol", "1e-10"]);
        // 1 : 2 = 1 : 0.85, as every walk that ends at 2 starts anew at 1.
        let expected = [1.0 / 1.85, 0.85 / 1.85];
        for ((_, score), expected) in result.answers["1"].targets.iter().zip(expected) {
            assert!((score - expected).abs() < 1e-9, "{method}: {score}");
        }
    }
}

/// Walks run between 1 and 4; the way on to 2 and 3 has weights that are nearly nothing. The score
/// of 3 is too small for what power iteration moves, but it belongs to the best.
#[test]
fn a_set_is_not_proven_while_a_score_is_rounded_to_zero() {
    let case = graph(
        vec![1i64, 4, 1, 2, 2, 3],
        vec![4i64, 1, 2, 2, 3, 3],
        [1.0, 1.0, 1e-30, 1.0, 1e-30, 1.0].map(Some).to_vec(),
    );
    let flags = ["--weight", "weight", "--sources", "1", "--method", "power"];
    for tol in ["1e-2", "1e-4", "1e-11"] {
        let power = case.ppr(&[&flags[..], &["--tol", tol, "--overwrite"]].concat());
        let answer = &power.answers["1"];
        assert!(!answer.proven, "{tol}: {answer:?}");
        assert!(answer.residual <= tol.parse().expect("a number"));
    }
}

#[test]
fn sources_come_from_files_and_missing_ones_are_named_or_left_out() {
    let case = small();
    let some: Vec<i64> = vec![3, 99, 1, 3];
    let file = case.table("some.parquet", vec![("user", column(some))]);
    case.refuse(
        "ppr",
        &["--sources", &file],
        INVALID_INPUT,
        &[
            "1 of 3 sources are not in the graph: 99",
            "--on-missing-source skip",
        ],
    );
    let result = case.ppr(&["--sources", &file, "--on-missing-source", "skip"]);
    assert_eq!(result.order, ["1", "3"]);
    assert_eq!(result.manifest["convergence"]["skipped_sources"], 1);
    let many: Vec<i64> = (100..120).collect();
    let file = case.table(
        "many.parquet",
        vec![("user", column(many.clone())), ("n", column(many))],
    );
    let case = small();
    case.refuse(
        "ppr",
        &["--sources", &file],
        INVALID_INPUT,
        &["--source-column", "user, n"],
    );
    let named = ["--sources", &file, "--source-column", "user"];
    case.refuse(
        "ppr",
        &named,
        INVALID_INPUT,
        &["20 of 20", "100, 101", "109, …"],
    );
    let skipped = [&named[..], &["--on-missing-source", "skip"]].concat();
    case.refuse(
        "ppr",
        &skipped,
        INVALID_INPUT,
        &["none of the sources is in the graph"],
    );
}

#[test]
fn a_tighter_tolerance_than_rounding_allows_gives_what_rounding_allows() {
    let bench = Bench::new();
    let edges = workspace().join("examples/wordnet/relations.parquet");
    let (edges, out) = (edges.display().to_string(), bench.path("out"));
    let out_text = out.display().to_string();
    let mut arguments = vec!["ppr", &edges, "-o", &out_text, "--sources", "00001740-a"];
    arguments.extend([
        "--src", "source", "--dst", "target", "--method", "push", "--tol", "1e-13",
    ]);
    bench.succeed(&arguments);
    let residual = PersonalFiles::read(&out).answers["00001740-a"].residual;
    assert!(residual < 1e-10, "{residual}");
}

#[test]
fn sources_that_power_iteration_leaves_are_pushed() {
    let case = graph(vec![1i64, 2, 3], vec![2i64, 3, 1], vec![Some(1.0); 3]);
    let flags = "--sources 1,2,3 --damping 0.99 --tol 1e-8 --method auto";
    let flags: Vec<&str> = flags.split(' ').collect();
    let result = case.ppr(&flags);
    assert!(
        result
            .answers
            .values()
            .all(|answer| answer.residual <= 1e-8)
    );
}

#[test]
fn sources_may_begin_with_a_minus_sign() {
    let case = graph(vec![-5i64, 7], vec![7i64, -5], vec![Some(1.0); 2]);
    let result = case.ppr(&["--sources", "-5,7"]);
    let sources: Vec<_> = result.answers.keys().map(String::as_str).collect();
    assert_eq!(sources, ["-5", "7"]);
}

#[test]
fn a_seed_table_names_its_own_sources() {
    let case = small();
    let seeds = case.table(
        "seeds.parquet",
        vec![
            ("source", column(vec!["zoë", "ann", "ann", "ann"])),
            ("vertex", column(vec![4i32, 4, 1, 1])),
            ("weight", column(vec![5.0, 1.0, 0.5, 0.5])),
        ],
    );
    for method in ["power", "push"] {
        let case = small();
        let result = case.ppr(&["--seeds", &seeds, "--method", method, "--tol", "1e-9"]);
        assert_eq!(result.order, ["ann", "zoë"]);
        let ann: std::collections::BTreeMap<_, _> =
            result.answers["ann"].targets.iter().cloned().collect();
        // Half of the walks start at 4 and stay, half run around 1 → 2 → 3.
        assert!((ann["4"] - 0.5).abs() < 1e-8, "{ann:?}");
        let first = 0.5 * 0.15 / (1.0 - 0.85f64.powi(3));
        assert!((ann["1"] - first).abs() < 1e-8, "{ann:?}");
    }
    let bad = case.table(
        "bad.parquet",
        vec![
            ("source", column(vec!["ann", "ann"])),
            ("vertex", column(vec![4i64, 1])),
            ("weight", column(vec![1.0, -1.0])),
        ],
    );
    case.refuse(
        "ppr",
        &["--seeds", &bad],
        INVALID_INPUT,
        &["bad.parquet", "row 1", "-1"],
    );
    case.refuse(
        "ppr",
        &["--seeds", &bad, "--sources", "1"],
        USAGE,
        &["--seeds", "--sources"],
    );
}

#[test]
fn bad_edges_are_refused_with_their_place() {
    for (weight, part) in [
        (Some(0.0), "weights of edges are positive"),
        (Some(-2.0), "is -2"),
        (Some(f64::NAN), "NaN"),
        (Some(f64::INFINITY), "infinite"),
        (None, "null"),
    ] {
        let weights = vec![Some(1.0), Some(1.0), weight];
        let case = graph(vec![1i64, 2, 3], vec![2i64, 3, 1], weights);
        let parts = ["row group 1, row 0", "\"weight\"", part];
        case.refuse("pagerank", &["--weight", "weight"], INVALID_INPUT, &parts);
    }
    let skipped = graph(
        vec![1i64, 2],
        vec![2i64, 1],
        vec![Some(f64::NAN), Some(1.0)],
    );
    let result = skipped.page_rank(&["--weight", "weight", "--on-bad-row", "skip"]);
    assert_eq!(result.manifest["matrix"]["skipped_rows"], 1);
    let nothing = graph(vec![1i64], vec![2i64], vec![None]);
    let flags = ["--weight", "weight", "--on-bad-row", "skip"];
    nothing.refuse("pagerank", &flags, INVALID_INPUT, &["no edges"]);
    let twice = graph(
        vec!["mill", "a", "mill", "b"],
        vec!["a", "weir", "a", "a"],
        vec![Some(1.0); 4],
    );
    let flags = ["--duplicates", "error"];
    twice.refuse("pagerank", &flags, INVALID_INPUT, &["from mill to a"]);
    let huge = graph(vec![-5i64, 7], vec![70i64, -5], vec![Some(1.0), Some(3e38)]);
    let both = graph(
        vec![-5i64, -5, 7],
        vec![70i64, 70, -5],
        vec![Some(3e38), Some(3e38), Some(1.0)],
    );
    huge.page_rank(&["--weight", "weight"]);
    let parts = ["from -5 to 70", "32-bit"];
    both.refuse("pagerank", &["--weight", "weight"], INVALID_INPUT, &parts);
    let mixed = graph(vec!["a", "b"], vec![1i64, 2], vec![Some(1.0); 2]);
    mixed.refuse("pagerank", &[], INVALID_INPUT, &["\"dst\"", "one type"]);
    let empty = graph(Vec::<i64>::new(), Vec::<i64>::new(), Vec::new());
    empty.refuse("pagerank", &[], INVALID_INPUT, &["no rows"]);
    small().refuse(
        "pagerank",
        &["--src", "from"],
        INVALID_INPUT,
        &["no column \"from\"", "\"dst\" (int64)"],
    );
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let case = small();
    for damping in ["0", "1", "-0.5", "1.5", "nan"] {
        case.refuse(
            "pagerank",
            &["--damping", damping],
            INVALID_INPUT,
            &["--damping"],
        );
    }
    for job in [&["pagerank"][..], &["ppr", "--sources", "1"]] {
        let flags = [&job[1..], &["--alpha", "0.85"]].concat();
        case.refuse(job[0], &flags, USAGE, &["--damping", "--restart-prob"]);
    }
    case.refuse("pagerank", &["--tol", "0"], INVALID_INPUT, &["--tol"]);
    case.refuse("pagerank", &["--vertices", "9"], USAGE, &["--ids dense"]);
    case.refuse(
        "ppr",
        &["--sources", "1", "--top-k", "0"],
        INVALID_INPUT,
        &["--top-k"],
    );
    case.refuse(
        "ppr",
        &["--sources", "one"],
        INVALID_INPUT,
        &["\"one\"", "int64"],
    );
    case.refuse("ppr", &[], USAGE, &["--sources"]);
    let uniform = [
        "--sources",
        "1",
        "--method",
        "push",
        "--dangling",
        "uniform",
    ];
    case.refuse("ppr", &uniform, INVALID_INPUT, &["--method power"]);
    let texts = case.table("texts.parquet", vec![("id", column(vec!["1", "2"]))]);
    case.refuse(
        "ppr",
        &["--sources", &texts],
        INVALID_INPUT,
        &["of type string, the graph of type int64"],
    );
    case.refuse(
        "ppr",
        &["--sources", "/no/such.parquet"],
        INVALID_INPUT,
        &["no such file"],
    );
}

#[test]
fn too_few_iterations_are_said_and_strict_makes_them_an_error() {
    let case = graph(vec![1i64, 2, 3], vec![2i64, 3, 2], vec![Some(1.0); 3]);
    let result = case.page_rank(&["--max-iterations", "3"]);
    let quality = &result.manifest["convergence"];
    assert_eq!(
        (&quality["converged"], &quality["iterations"]),
        (&false.into(), &3.into())
    );
    assert!(quality["residual"].as_f64() > Some(1e-6));
    let strict = ["--max-iterations", "3", "--strict", "--overwrite"];
    let (code, message) = case.bench.fail(case.arguments("pagerank", &strict));
    assert_eq!(code, 8, "{message}");
    let flags = [
        "--sources",
        "1",
        "--method",
        "power",
        "--max-iterations",
        "2",
        "--strict",
        "--overwrite",
    ];
    let (code, message) = case.bench.fail(case.arguments("ppr", &flags));
    assert_eq!(code, 8, "{message}");
}

#[test]
fn results_and_costs_are_shown() {
    let case = small();
    let json = case.bench.succeed(case.arguments("pagerank", &["--json"]));
    let answer: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(answer["manifest"]["convergence"]["converged"], true);
    let out = case.out().display().to_string();
    let shown = case.bench.succeed(["show", "--verify", &out]).stdout;
    let shown = String::from_utf8(shown).expect("text");
    for part in ["4 vertices, 4 edges", "damping 0.85", "checked by blake3"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let profile = case.bench.succeed(["show", "--profile", &out]).stdout;
    let profile = String::from_utf8(profile).expect("text");
    for part in ["iterate from", "gathered GB/s", "build blocks"] {
        assert!(profile.contains(part), "{part} in {profile}");
    }
    let edges = case.edges.display().to_string();
    for flags in [&["pagerank"][..], &["ppr", "--sources", "all"]] {
        let arguments = [&["estimate"], flags, &[&edges]].concat();
        let cost = String::from_utf8(case.bench.succeed(arguments).stdout).expect("text");
        assert!(
            cost.contains("at most 4 vertices") && cost.contains("fits into"),
            "{cost}"
        );
    }
}
