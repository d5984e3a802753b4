//! Bad input: a clear error with the place and the way out, and nothing half written.

use std::path::{Path, PathBuf};

use rankmill_tests::input::{column, write_parquet};
use rankmill_tests::program::{self, Bench, workspace};

const INVALID_INPUT: i32 = 3;
const RESOURCE_EXHAUSTED: i32 = 6;

struct Case {
    bench: Bench,
    input: PathBuf,
}

impl Case {
    fn new(values: Vec<Option<f64>>) -> Self {
        let bench = Bench::new();
        let input = bench.path("input.parquet");
        let n = values.len() as i64;
        let users: Vec<i64> = (0..n).map(|i| i % 7).collect();
        let items: Vec<i64> = (0..n).map(|i| i % 5).collect();
        let columns = vec![
            ("user", column(users)),
            ("item", column(items)),
            ("rating", column(values)),
        ];
        write_parquet(&input, columns, 20);
        Self { bench, input }
    }

    fn good() -> Self {
        Self::new((0..50).map(|i| Some(f64::from(i % 9) + 1.0)).collect())
    }

    fn with(place: usize, value: Option<f64>) -> Self {
        let mut values: Vec<_> = (0..50).map(|i| Some(f64::from(i % 9) + 1.0)).collect();
        values[place] = value;
        Self::new(values)
    }

    fn arguments(&self, extra: &[&str]) -> Vec<String> {
        let (input, out) = (
            self.input.display().to_string(),
            self.out().display().to_string(),
        );
        let mut arguments = vec!["svd".to_owned(), input];
        for flag in [
            "--row", "user", "--col", "item", "--value", "rating", "-k", "2", "-o", &out,
        ] {
            arguments.push(flag.to_owned());
        }
        // Later flags win over earlier ones where a test repeats them.
        for pair in extra.chunks(2) {
            match arguments.iter().position(|argument| argument == pair[0]) {
                Some(at) if pair.len() == 2 => arguments[at + 1] = pair[1].to_owned(),
                Some(_) | None => arguments.extend(pair.iter().map(|text| (*text).to_owned())),
            }
        }
        arguments
    }

    fn out(&self) -> PathBuf {
        self.bench.path("out")
    }

    /// Runs it, and expects all of `words` in the error and no file in the output.
    fn refuses(&self, extra: &[&str], words: &[&str]) {
        let (code, message) = self.bench.fail(self.arguments(extra));
        assert_eq!(code, INVALID_INPUT, "{message}");
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
        assert_eq!(files_below(&self.out()), 0, "something was written");
    }
}

fn files_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            _ => 1,
        })
        .sum()
}

#[test]
fn a_good_input_succeeds() {
    let case = Case::good();
    case.bench.succeed(case.arguments(&[]));
    assert_eq!(files_below(&case.out()), 4);
}

#[test]
fn a_missing_file_is_named() {
    let mut case = Case::good();
    case.input = case.bench.path("nowhere.parquet");
    case.refuses(&[], &["nowhere.parquet"]);
}

#[test]
fn a_missing_column_lists_those_there_are() {
    Case::good().refuses(&["--col", "movie"], &["movie", "user", "item", "rating"]);
}

#[test]
fn a_column_of_the_wrong_type_is_named() {
    let mut case = Case::good();
    case.input = case.bench.path("text.parquet");
    let columns = vec![
        ("user", column(vec![1i64, 2])),
        ("item", column(vec![1i64, 2])),
        ("rating", column(vec!["good", "bad"])),
    ];
    write_parquet(&case.input, columns, 10);
    case.refuses(&[], &["rating", "text.parquet"]);
}

#[test]
fn nulls_nan_and_infinity_are_found_with_their_place() {
    for value in [
        None,
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
    ] {
        // Row 31 of the file is row 11 of row group 1.
        Case::with(31, value).refuses(&[], &["input.parquet", "row group 1", "row 11", "rating"]);
    }
}

#[test]
fn bad_rows_can_be_skipped_and_are_counted() {
    let case = Case::with(31, None);
    case.bench
        .succeed(case.arguments(&["--on-bad-row", "skip"]));
    let manifest = std::fs::read_to_string(case.out().join("_manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"skipped_rows\": 1"), "{manifest}");
}

#[test]
fn a_number_too_large_for_f32_is_refused() {
    Case::with(3, Some(1e300)).refuses(&[], &["row group 0", "row 3", "rating"]);
}

#[test]
fn truncated_and_corrupted_files_are_refused() {
    let case = Case::good();
    let bytes = std::fs::read(&case.input).expect("the input");
    for cut in [0, 3, 10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&case.input, &bytes[..cut]).expect("written");
        case.refuses(&[], &["input.parquet"]);
    }
    for byte in 4..bytes.len() - 8 {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 0xff;
        if byte % 97 == 0 {
            std::fs::write(&case.input, &flipped).expect("written");
            let output = case.bench.run(case.arguments(&["--overwrite"]));
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            // A flip in a value without a checksum cannot be seen; a crash or a hang would be.
            assert!(
                matches!(output.status.code(), Some(0 | INVALID_INPUT)),
                "byte {byte}: {:?} {message}",
                output.status
            );
        }
    }
}

#[test]
fn zero_rows_one_row_and_all_zeros_are_refused() {
    Case::new(Vec::new()).refuses(&[], &["row"]);
    Case::new(vec![Some(1.0)]).refuses(&["-k", "1"], &["row"]);
    Case::new(vec![Some(0.0); 30]).refuses(&[], &["zero"]);
}

#[test]
fn ranks_beyond_the_matrix_are_refused_with_its_shape() {
    Case::good().refuses(&["-k", "6"], &["7×5", "-k"]);
    let case = Case::good();
    let (code, message) = case.bench.fail(case.arguments(&["-k", "0"]));
    assert!(code == INVALID_INPUT || code == 2, "{code}: {message}");
    assert!(message.contains("-k"), "{message}");
    let mut estimate = vec!["estimate".to_owned()];
    estimate.extend(case.arguments(&["-k", "51"]));
    let (code, message) = case.bench.fail(estimate);
    assert_eq!(code, INVALID_INPUT, "{message}");
    assert!(message.contains("-k is 51"), "{message}");
}

#[test]
fn a_file_cannot_be_imported_into_itself() {
    let bench = Bench::new();
    let file = bench.path("table.parquet");
    std::fs::write(&file, "id,value\n1,2\n").expect("written");
    let text = file.display().to_string();
    let import = ["import", "csv", &text, "-o", &text, "--overwrite"];
    let (code, message) = bench.fail(import);
    assert_eq!(code, INVALID_INPUT, "{message}");
    assert!(message.contains("cannot be the output"), "{message}");
    assert_eq!(std::fs::read(&file).expect("there"), b"id,value\n1,2\n");
}

#[test]
fn an_output_inside_the_input_is_refused() {
    let mut case = Case::good();
    let folder = case.bench.path("folder");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::rename(&case.input, folder.join("part.parquet")).expect("moved");
    case.input = folder.clone();
    let out = folder.join("out").display().to_string();
    let (code, message) = case.bench.fail(case.arguments(&["-o", &out]));
    assert_eq!(code, INVALID_INPUT, "{message}");
    assert!(
        message.contains("input") && message.contains("output"),
        "{message}"
    );
}

#[test]
fn an_output_among_the_state_is_refused() {
    let case = Case::good();
    for place in ["state/matrices/out", "state", ""] {
        let out = case.bench.path(place).join("").display().to_string();
        let (code, message) = case.bench.fail(case.arguments(&["-o", &out]));
        assert_eq!(code, INVALID_INPUT, "{message}");
        assert!(message.contains("inside one another") || message.contains("inside the output"));
    }
    let beside = case.bench.path("state/out").display().to_string();
    case.bench.succeed(case.arguments(&["-o", &beside]));
}

#[test]
fn a_file_where_a_result_has_a_folder_is_named_and_stays() {
    let case = Case::good();
    let file = case.out().join("singular_values.parquet");
    std::fs::create_dir(case.out()).expect("made");
    std::fs::write(&file, b"mine").expect("written");
    let (code, message) = case.bench.fail(case.arguments(&["--overwrite"]));
    assert_eq!(code, INVALID_INPUT, "{message}");
    assert!(message.contains("is a file"), "{message}");
    assert_eq!(files_below(&case.out()), 1);
    assert_eq!(std::fs::read(&file).expect("there"), b"mine");
}

#[test]
fn negative_values_have_no_tf_idf() {
    for transform in ["tfidf", "bm25", "log1p"] {
        Case::with(7, Some(-2.0)).refuses(&["--transform", transform], &[transform, "negative"]);
    }
}

#[test]
fn an_index_outside_the_declared_shape_is_refused() {
    Case::good().refuses(&["--ids", "dense", "--shape", "7x4"], &["item", "4"]);
    let mut case = Case::good();
    case.input = case.bench.path("negative.parquet");
    let columns = vec![
        ("user", column(vec![0i64, -1, 2])),
        ("item", column(vec![0i64, 1, 2])),
        ("rating", column(vec![1.0, 2.0, 3.0])),
    ];
    write_parquet(&case.input, columns, 10);
    case.refuses(&["--ids", "dense"], &["user", "row 1", "-1"]);
}

#[test]
fn duplicates_can_be_refused() {
    Case::good().refuses(
        &["--duplicates", "error"],
        &["row 0, column 0", "--duplicates"],
    );
}

/// Kinds of bad input: what is wrong, what is asked, what the error has to name.
fn bad_kinds() -> Vec<(Case, Vec<&'static str>, Vec<&'static str>)> {
    let place = || vec!["input.parquet", "row group 1", "row 11", "rating"];
    let mut kinds: Vec<_> = [None, Some(f64::NAN), Some(f64::INFINITY), Some(1e300)]
        .into_iter()
        .map(|value| (Case::with(31, value), vec![], place()))
        .collect();
    let mut missing = Case::good();
    missing.input = missing.bench.path("nowhere.parquet");
    let truncated = Case::good();
    let bytes = std::fs::read(&truncated.input).expect("the input");
    std::fs::write(&truncated.input, &bytes[..bytes.len() / 2]).expect("written");
    kinds.extend([
        (missing, vec![], vec!["nowhere.parquet"]),
        (truncated, vec![], vec!["input.parquet"]),
        (Case::good(), vec!["--col", "movie"], vec!["movie", "item"]),
        (Case::good(), vec!["-k", "6"], vec!["7×5", "-k"]),
        (
            Case::good(),
            vec!["--duplicates", "error"],
            vec!["--duplicates"],
        ),
        (
            Case::good(),
            vec!["--ids", "dense", "--shape", "7x4"],
            vec!["item", "4"],
        ),
        (
            Case::with(7, Some(-2.0)),
            vec!["--transform", "bm25"],
            vec!["bm25", "negative"],
        ),
        (Case::new(Vec::new()), vec![], vec!["row"]),
        (Case::new(vec![Some(0.0); 30]), vec![], vec!["zero"]),
    ]);
    kinds
}

#[test]
fn memory_that_the_last_read_lacks_is_asked_for_before_the_first() {
    let bench = Bench::new();
    let relations = workspace().join("examples/wordnet/relations.parquet");
    let out = bench.path("out");
    let (relations, out) = (relations.display().to_string(), out.display().to_string());
    let words = "--row source --col target --value weight -k 64 --method lanczos --memory 200MiB";
    let arguments = ["svd", &relations, "-o", &out]
        .into_iter()
        .chain(words.split(' '));
    let (code, said) = bench.fail(arguments);
    assert_eq!(code, RESOURCE_EXHAUSTED, "{said}");
    assert!(said.contains("NormalMultiply needs"), "{said}");
    let log = program::files_below(&bench.path("state/jobs"));
    let log: Vec<_> = log
        .iter()
        .map(|file| std::fs::read(file).expect("readable"))
        .collect();
    let started = |stage: &str| {
        let text = log.iter().map(|bytes| String::from_utf8_lossy(bytes));
        text.filter(|text| text.contains(stage)).count() > 0
    };
    assert!(started("build blocks"));
    assert!(!started("multiply by A"), "A was read before");
}

#[test]
fn the_cluster_says_the_same_of_bad_input_and_tries_nothing_twice() {
    let bench = Bench::new();
    let cluster = rankmill_tests::cluster::Cluster::start(&bench, 2);
    cluster.wait_for_workers(2);
    let url = cluster.url();
    let failures = || {
        cluster
            .metric(0, "rankmill_attempts_failed_total")
            .expect("a leader")
    };
    for (case, extra, words) in bad_kinds() {
        let before = failures();
        let extra = [&extra[..], &["--coordinator", &url]].concat();
        case.refuses(&extra, &words);
        assert!(
            failures() <= before + 1,
            "{words:?}: bad input was tried again"
        );
    }
    let good = Case::good();
    good.bench.succeed(good.arguments(&["--coordinator", &url]));
}
