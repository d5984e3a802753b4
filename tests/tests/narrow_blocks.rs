//! Block Lanczos with blocks narrower than the rank: nothing is missed, however often a value
//! occurs and however few there are.

use rankmill_tests::input::{column, write_diagonal, write_parquet};
use rankmill_tests::program::Bench;
use rankmill_tests::reference;
use rankmill_tests::result::FactorFiles;

fn lanczos(bench: &Bench, input: &str, flags: &str) -> FactorFiles {
    let out = bench.path("out");
    let output = out.display().to_string();
    let mut arguments = vec!["svd", input, "-o", &output, "--method", "lanczos"];
    arguments.extend("--row row --col col --value value".split(' '));
    arguments.extend(flags.split(' '));
    bench.succeed(arguments);
    FactorFiles::read(&out)
}

/// Checks the leading singular values, the factors' orthogonality and the residuals.
fn check(found: &FactorFiles, expected: &[f64], what: &str) {
    assert_eq!(found.values.len(), expected.len(), "{what}");
    for (index, (value, wanted)) in found.values.iter().zip(expected).enumerate() {
        assert!(
            (value - wanted).abs() <= 2e-4 * expected[0],
            "{what}: value {index} is {value}, not {wanted}"
        );
    }
    assert!(found.left.orthogonality_error() < 1e-4, "{what}");
    assert!(found.right.orthogonality_error() < 1e-4, "{what}");
    assert_eq!(found.manifest["convergence"]["converged"], true, "{what}");
}

#[test]
fn all_copies_of_a_value_are_found() {
    let tail = |from: f64| (1..=200).map(move |i| from * 0.97f64.powi(i));
    let cases: [(&str, Vec<f64>, usize); 5] = [
        (
            "first",
            [5.0; 30].into_iter().chain(tail(4.0)).collect(),
            40,
        ),
        (
            "second",
            [9.0, 8.0]
                .into_iter()
                .chain([5.0; 50])
                .chain(tail(4.0))
                .collect(),
            60,
        ),
        ("nothing else", vec![3.0; 120], 20),
        (
            "twice",
            [6.0; 20]
                .into_iter()
                .chain([2.0; 20])
                .chain(tail(1.0))
                .collect(),
            45,
        ),
        (
            "nearly equal",
            (0..30)
                .map(|i| 5.0 - f64::from(i) * 1e-6)
                .chain(tail(3.0))
                .collect(),
            40,
        ),
    ];
    for (what, values, k) in cases {
        for width in [7, 16] {
            let bench = Bench::new();
            let input = write_diagonal(&bench.path("input.parquet"), &values);
            let input = input.display().to_string();
            let flags = format!("-k {k} --block-width {width} --max-reads 200");
            let found = lanczos(&bench, &input, &flags);
            check(&found, &values[..k], &format!("{what}, blocks of {width}"));
        }
    }
}

#[test]
fn a_matrix_of_fewer_values_than_asked_for_is_filled_up() {
    let bench = Bench::new();
    let rows: Vec<i64> = (0..300).collect();
    let cols: Vec<i64> = rows.iter().map(|row| row % 5).collect();
    let more: Vec<i64> = rows.iter().map(|row| 5 + row % 40).collect();
    let columns = vec![
        ("row", column([rows.clone(), rows].concat())),
        ("col", column([cols, more].concat())),
        ("value", column([vec![1.0; 300], vec![0.0; 300]].concat())),
    ];
    let input = write_parquet(&bench.path("input.parquet"), columns, 1000);
    let found = lanczos(
        &bench,
        &input.display().to_string(),
        "-k 20 --block-width 6",
    );
    let expected: Vec<f64> = (0..20)
        .map(|i| if i < 5 { 60f64.sqrt() } else { 0.0 })
        .collect();
    check(&found, &expected, "rank 5");
}

#[test]
fn a_block_as_narrow_as_a_column_agrees_with_the_references() {
    for (name, k) in [("sparse-power-0.5", 12), ("examples/wordnet", 24)] {
        let reference = reference::all()
            .into_iter()
            .find(|reference| reference.name == name)
            .expect("a reference");
        for width in [1, 5, k] {
            let bench = Bench::new();
            let out = bench.path("out").display().to_string();
            let mut arguments = reference.arguments();
            let flags = format!("-k {k} --method lanczos --block-width {width} --max-reads 200 -o");
            arguments.extend(flags.split(' ').map(str::to_owned));
            arguments.push(out);
            bench.succeed(&arguments);
            let found = FactorFiles::read(&bench.path("out"));
            for (value, wanted) in found.values.iter().zip(&reference.singular_values) {
                let error = (value - wanted).abs() / wanted;
                assert!(error <= 1e-4, "{name}, blocks of {width}: off by {error:e}");
            }
        }
    }
}
