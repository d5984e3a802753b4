//! What the numbers mean: ids, duplicates, layouts, transforms, ranks by energy.

use std::path::PathBuf;

use arrow::datatypes::DataType;
use rankmill_tests::input::{IntoColumn, column, write_parquet};
use rankmill_tests::program::Bench;
use rankmill_tests::result::FactorFiles;

fn triplets<I: IntoColumn, J: IntoColumn>(
    bench: &Bench,
    rows: I,
    cols: J,
    values: Vec<f64>,
) -> PathBuf {
    let columns = vec![
        ("row", column(rows)),
        ("col", column(cols)),
        ("value", column(values)),
    ];
    write_parquet(&bench.path("input.parquet"), columns, 1000)
}

fn svd(bench: &Bench, input: &std::path::Path, extra: &[&str]) -> FactorFiles {
    let out = bench.path("out");
    let (input, output) = (input.display().to_string(), out.display().to_string());
    let mut arguments = vec!["svd", &input, "-o", &output];
    if !extra.contains(&"--vector") {
        arguments.extend(["--row", "row", "--col", "col", "--value", "value"]);
    }
    arguments.extend(extra);
    bench.succeed(&arguments);
    FactorFiles::read(&out)
}

/// diag(3, 2) with an id scheme on both sides: u and v are unit vectors.
#[test]
fn every_type_of_id_comes_back_as_it_was() {
    let bench = Bench::new();
    let input = triplets(&bench, vec!["zoë", "ann"], vec![-7i32, 9], vec![3.0, 2.0]);
    let result = svd(&bench, &input, &["-k", "2"]);
    assert_eq!(result.left.id_type, DataType::Utf8);
    assert_eq!(result.right.id_type, DataType::Int32);
    let entry = |factor: &rankmill_tests::result::Factor, id: &str, component: usize| {
        factor.row(factor.index[id])[component].abs()
    };
    assert!((entry(&result.left, "zoë", 0) - 1.0).abs() < 1e-6);
    assert!((entry(&result.right, "-7", 0) - 1.0).abs() < 1e-6);
    assert!((entry(&result.left, "ann", 1) - 1.0).abs() < 1e-6);
    assert!((result.values[0] - 3.0).abs() < 1e-6 && (result.values[1] - 2.0).abs() < 1e-6);
}

#[test]
fn binary_ids_come_back_as_binary() {
    let bench = Bench::new();
    let ids: Vec<&[u8]> = vec![&[0, 255], &[7]];
    let input = triplets(&bench, ids, vec![1i64, 2], vec![3.0, 2.0]);
    let result = svd(&bench, &input, &["-k", "1"]);
    assert_eq!(result.left.id_type, DataType::Binary);
    assert_eq!(result.left.index.len(), 2);
}

#[test]
fn duplicates_follow_the_policy() {
    for (policy, expected) in [("sum", 6.0), ("max", 4.0), ("last", 2.0)] {
        let bench = Bench::new();
        let rows = vec![1i64, 2, 1];
        let input = triplets(&bench, rows, vec![1i64, 2, 1], vec![4.0, 1.0, 2.0]);
        let result = svd(&bench, &input, &["-k", "2", "--duplicates", policy]);
        assert!(
            (result.values[0] - expected).abs() < 1e-5,
            "{policy}: {:?}",
            result.values
        );
    }
}

#[test]
fn dense_ids_keep_empty_rows_and_columns() {
    let bench = Bench::new();
    let input = triplets(&bench, vec![0i64, 3], vec![2i64, 0], vec![5.0, 4.0]);
    let result = svd(
        &bench,
        &input,
        &["-k", "2", "--ids", "dense", "--shape", "6x4"],
    );
    assert_eq!((result.left.index.len(), result.right.index.len()), (6, 4));
    assert_eq!(result.left.row(result.left.index["1"]), [0.0, 0.0]);
}

#[test]
fn numeric_columns_form_a_dense_matrix_with_their_names_as_ids() {
    let bench = Bench::new();
    let columns = vec![
        ("name", column(vec!["a", "b", "c"])),
        ("height", column(vec![1.0, 2.0, 3.0])),
        ("weight", column(vec![0.0, 1.0, 0.0])),
    ];
    let input = write_parquet(&bench.path("input.parquet"), columns, 2);
    let result = svd(
        &bench,
        &input,
        &["-k", "2", "--id", "name", "--vector", "height,weight"],
    );
    assert_eq!(
        result.right.index.keys().collect::<Vec<_>>(),
        ["height", "weight"]
    );
    let total: f64 = result.values.iter().map(|value| value * value).sum();
    assert!((total - 15.0).abs() < 1e-5);
}

#[test]
fn rank_by_energy_takes_as_few_components_as_it_needs() {
    for method in ["gram", "lanczos", "subspace"] {
        let bench = Bench::new();
        let ids: Vec<i64> = (0..40).collect();
        let values = ids.iter().map(|i| 1.0 / ((*i + 1) as f64)).collect();
        let input = triplets(&bench, ids.clone(), ids, values);
        let result = svd(&bench, &input, &["--energy", "0.9", "--method", method]);
        let all: f64 = (1..=40).map(|i| 1.0 / f64::from(i * i)).sum();
        let (mut sum, mut needed) = (0.0, 0);
        while sum < 0.9 * all {
            needed += 1;
            sum += 1.0 / f64::from(needed * needed);
        }
        assert_eq!(result.values.len(), needed as usize, "{method}");
        let captured = result.manifest["convergence"]["captured_energy"].as_f64();
        assert!(
            (captured.expect("a number") - sum / all).abs() < 1e-5,
            "{method}"
        );
    }
}

#[test]
fn energy_that_is_not_reached_is_said() {
    let bench = Bench::new();
    let ids: Vec<i64> = (0..40).collect();
    let input = triplets(&bench, ids.clone(), ids, vec![1.0; 40]);
    let (input, out) = (input.display().to_string(), bench.path("out"));
    let out = out.display().to_string();
    let flags = [
        "--row", "row", "--col", "col", "--value", "value", "-o", &out,
    ];
    let energy = ["-k", "10", "--energy", "0.9", "--method", "gram"];
    let ended = bench.succeed(["svd", &input].iter().chain(&flags).chain(&energy));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.contains("10 components hold 0.2500 of the energy, not 0.9 (-k allows more)"),
        "{said}"
    );
}

#[test]
fn the_largest_left_entry_of_each_component_is_positive() {
    let reference = rankmill_tests::reference::all()
        .into_iter()
        .find(|reference| reference.name == "sparse-power-0.5")
        .expect("a reference");
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = reference.arguments();
    arguments.extend(["-k", "12", "-o", &out.display().to_string()].map(str::to_owned));
    bench.succeed(&arguments);
    let result = FactorFiles::read(&out);
    for component in 0..12 {
        let column = result.left.vectors.iter().skip(component).step_by(12);
        let largest = column.fold(
            0.0,
            |best: f64, x| if x.abs() > best.abs() { *x } else { best },
        );
        assert!(largest > 0.0, "component {component}");
    }
}

#[test]
fn one_read_is_enough_for_a_sketch_and_its_residuals_are_bounds() {
    let reference = rankmill_tests::reference::all()
        .into_iter()
        .find(|reference| reference.name == "dense-power-1")
        .expect("a reference");
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = reference.arguments();
    arguments.extend(["-k", "8", "--method", "sketch", "-o"].map(str::to_owned));
    arguments.push(out.display().to_string());
    bench.succeed(&arguments);
    let result = FactorFiles::read(&out);
    assert_eq!(result.manifest["convergence"]["reads"], 1);
    assert!((result.values[0] - reference.singular_values[0]).abs() < 0.02);
    assert!(result.left.orthogonality_error() < 1e-4);
    assert!(result.right.orthogonality_error() < 1e-4);
}

#[test]
fn not_converged_is_said_and_strict_makes_it_an_error() {
    let reference = rankmill_tests::reference::all()
        .into_iter()
        .find(|reference| reference.name == "sparse-power-0.25")
        .expect("a reference");
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = reference.arguments();
    arguments
        .extend(["-k", "20", "--method", "lanczos", "--max-reads", "3", "-o"].map(str::to_owned));
    arguments.push(out.display().to_string());
    bench.succeed(&arguments);
    let result = FactorFiles::read(&out);
    assert_eq!(result.manifest["convergence"]["converged"], false);
    assert_eq!(result.manifest["convergence"]["reads"], 3);
    assert_eq!(result.values.len(), 20);
    arguments.extend(["--strict", "--overwrite"].map(str::to_owned));
    let (code, message) = bench.fail(&arguments);
    assert_eq!(code, 8, "{message}");
}
