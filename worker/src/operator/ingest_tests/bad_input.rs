//! Bad input: each kind has its error, and the error names the place.

use arrow::array::{Float32Array, Float64Array, Int32Array, Int64Array, StringArray};
use rankmill_common::ErrorKind;

use super::*;

fn ints(values: Vec<Option<i32>>) -> ArrayRef {
    Arc::new(Int32Array::from(values))
}

fn floats(values: Vec<Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

/// Six rows in groups of four, with `values`.
fn with_values(workshop: &Workshop, values: ArrayRef) -> InputSpec {
    let ids = ints((0..6).map(Some).collect());
    let columns = [("r", Arc::clone(&ids)), ("c", ids), ("v", values)];
    triplets(&workshop.parquet("bad.parquet", &columns, 4), true)
}

fn refused(workshop: &Workshop, input: &InputSpec, parts: &[&str]) {
    let fine = Cut {
        piece_rows: 5,
        ..COARSE
    };
    refused_when_cut(workshop, input, fine, parts);
}

fn refused_when_cut(workshop: &Workshop, input: &InputSpec, cut: Cut, parts: &[&str]) {
    let Err(error) = workshop.ingest(input, cut) else {
        panic!("{parts:?} was accepted");
    };
    assert_eq!(error.kind, ErrorKind::InvalidInput, "{error}");
    for part in parts {
        assert!(error.message.contains(part), "{error} lacks {part:?}");
    }
}

const PLACE: [&str; 4] = ["bad.parquet", "row group 1", "row 1", "\"v\""];

#[test]
fn null_nan_infinity_and_overflow_are_refused_with_their_place() {
    let bad = [
        (None, "is null"),
        (Some(f64::NAN), "is NaN"),
        (Some(f64::NEG_INFINITY), "is infinite"),
        (Some(1e300), "32-bit"),
    ];
    for (value, what) in bad {
        let workshop = Workshop::new();
        let mut values = vec![Some(1.0); 6];
        values[5] = value;
        let input = with_values(&workshop, floats(values));
        refused(&workshop, &input, &[&PLACE[..], &[what]].concat());
    }
}

#[test]
fn bad_rows_are_skipped_and_counted_on_request() {
    let workshop = Workshop::new();
    let rows = ints(vec![Some(0), None, Some(2), Some(3), Some(9), Some(5)]);
    let cols: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        Some("a"),
        Some("only here"),
        Some("b"),
        None,
        Some("c"),
    ]));
    let values = floats(vec![
        Some(1.0),
        Some(1.0),
        Some(f64::NAN),
        Some(4.0),
        Some(1.0),
        Some(6.0),
    ]);
    let columns = [("r", rows), ("c", cols), ("v", values)];
    let mut input = triplets(&workshop.parquet("bad.parquet", &columns, 4), true);
    refused(
        &workshop,
        &input,
        &["row group 0, row 1, column \"r\"", "is null"],
    );
    input.on_bad_row = OnBadRow::Skip;
    let ingested = workshop.ingest(&input, COARSE).expect("ingest");
    assert_eq!(ingested.skipped, 3);
    assert_eq!(workshop.ids(&ingested.row_ids), ["0", "3", "5"]);
    assert_eq!(workshop.ids(&ingested.column_ids), ["a", "b", "c"]);
    assert_eq!(workshop.entries(&ingested).values().sum::<f32>(), 11.0);
}

#[test]
fn negative_values_are_refused_where_a_transform_has_no_meaning_for_them() {
    let workshop = Workshop::new();
    let mut values = vec![Some(1.0); 6];
    values[5] = Some(-3.0);
    let mut input = with_values(&workshop, floats(values));
    sparse(&mut input).transforms = vec![Transform::Tfidf];
    refused(&workshop, &input, &[&PLACE[..], &["tfidf", "-3"]].concat());
    sparse(&mut input).transforms = vec![Transform::L2Cols];
    workshop
        .ingest(&input, COARSE)
        .expect("a sign that means something");
}

#[test]
fn duplicates_are_refused_on_request() {
    let workshop = Workshop::new();
    let ids = ints(vec![Some(1), Some(2), Some(1)]);
    let columns = [("r", Arc::clone(&ids)), ("c", ids)];
    let mut input = triplets(&workshop.parquet("bad.parquet", &columns, 4), false);
    sparse(&mut input).duplicates = Duplicates::Error;
    refused(&workshop, &input, &["row 1, column 1", "--duplicates"]);
}

#[test]
fn indices_out_of_the_declared_shape_are_refused_with_their_place() {
    let workshop = Workshop::new();
    let mut input = with_values(&workshop, floats(vec![Some(1.0); 6]));
    sparse(&mut input).ids = Ids::Dense {
        shape: Some((6, 5)),
    };
    let place = [
        "bad.parquet",
        "row group 1, row 1, column \"c\"",
        "5 columns",
    ];
    refused(&workshop, &input, &place);
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![0, -2]));
    let columns = [("r", Arc::clone(&ids)), ("c", ids)];
    let mut input = triplets(&workshop.parquet("bad.parquet", &columns, 4), false);
    sparse(&mut input).ids = Ids::Dense { shape: None };
    refused(&workshop, &input, &["row 1, column \"r\"", "-2"]);
}

#[test]
fn missing_files_and_columns_say_what_there_is() {
    let workshop = Workshop::new();
    let folder = workshop.path("inputs");
    let missing = triplets(&folder.join("none.parquet").display().to_string(), false);
    refused(&workshop, &missing, &["none.parquet", "does not exist"]);
    assert!(!folder.exists(), "looking for a file made its folder");
    let glob = triplets(&folder.join("*.parquet").display().to_string(), false);
    refused(&workshop, &glob, &["*.parquet", "names no Parquet file"]);
    let mut input = with_values(&workshop, floats(vec![Some(1.0); 6]));
    sparse(&mut input).col = "item".to_owned();
    refused(
        &workshop,
        &input,
        &["no column \"item\"", "\"c\" (int32)", "\"v\" (float64)"],
    );
}

#[test]
fn wrong_types_are_named() {
    let workshop = Workshop::new();
    let mut input = with_values(&workshop, floats(vec![Some(1.0); 6]));
    sparse(&mut input).row = "v".to_owned();
    refused(&workshop, &input, &["\"v\" is of type float64", "ids are"]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"; 6]));
    let mut input = with_values(&workshop, text);
    refused(
        &workshop,
        &input,
        &["\"v\" is of type string", "values are numbers"],
    );
    sparse(&mut input).value = None;
    sparse(&mut input).row = "v".to_owned();
    sparse(&mut input).ids = Ids::Dense { shape: None };
    refused(
        &workshop,
        &input,
        &["\"v\" is of type string", "--ids dense"],
    );
}

#[test]
fn files_of_one_input_must_agree_on_types() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("in")).expect("a folder");
    let small = ints(vec![Some(1)]);
    let large: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    workshop.parquet(
        "in/a.parquet",
        &[("r", Arc::clone(&small)), ("c", Arc::clone(&small))],
        4,
    );
    workshop.parquet("in/b.parquet", &[("r", large), ("c", small)], 4);
    let input = triplets(&workshop.path("in").display().to_string(), false);
    refused(
        &workshop,
        &input,
        &["\"r\"", "int32 in", "a.parquet", "int64 in", "b.parquet"],
    );
}

#[test]
fn directories_and_globs_leave_hidden_files_out() {
    let workshop = Workshop::new();
    std::fs::create_dir_all(workshop.path("in/x/_tmp")).expect("folders");
    let ids = ints(vec![Some(1), Some(2)]);
    let columns = [("r", Arc::clone(&ids)), ("c", ids)];
    for name in [
        "a.parquet",
        "x/b 100%.parquet",
        "_c.parquet",
        "x/_tmp/d.parquet",
        ".e.parquet",
    ] {
        workshop.parquet(&format!("in/{name}"), &columns, 4);
    }
    std::fs::write(workshop.path("in/README"), "text").expect("a file");
    let files = |pattern: &str| {
        let input = triplets(&workshop.path(pattern).display().to_string(), false);
        let inspection = workshop.inspect(&input).expect("inspection");
        workshop
            .ingest(&input, COARSE)
            .expect("names that read back");
        inspection.files.len()
    };
    assert_eq!(files("in"), 2);
    assert_eq!(files("in/*"), 2);
    assert_eq!(files("in/*.parquet"), 1);
    assert_eq!(files("in/**/*.parquet"), 2);
    assert_eq!(files("in/?/b*.parquet"), 1);
}

#[test]
fn an_input_without_rows_is_refused() {
    let workshop = Workshop::new();
    let columns = [("r", ints(vec![])), ("c", ints(vec![]))];
    let input = triplets(&workshop.parquet("bad.parquet", &columns, 4), false);
    refused(&workshop, &input, &["bad.parquet", "no rows"]);
}

#[test]
fn a_file_that_changes_under_the_job_is_refused() {
    let workshop = Workshop::new();
    let input = with_values(&workshop, floats(vec![Some(1.0); 6]));
    let inspection = workshop.inspect(&input).expect("inspection");
    let piece = inspection.pieces(100).remove(0);
    let Layout::Sparse(layout) = input.layout.clone() else {
        panic!("sparse");
    };
    let operator = EncodeEntries {
        piece,
        layout,
        on_bad_row: OnBadRow::Skip,
        sign: Sign::Any,
        row_range: None,
        column_range: None,
        bucket_bits: None,
    };
    encode_entries::run(&workshop.context(), &operator).expect("unchanged");
    with_values(&workshop, floats(vec![Some(2.0); 6]));
    let error = encode_entries::run(&workshop.context(), &operator).expect_err("changed");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(
        error
            .message
            .contains("bad.parquet changed while the job ran"),
        "{error}"
    );
}

#[test]
fn an_id_that_the_footer_denies_is_named() {
    let workshop = Workshop::new();
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![-3, 4, 9, 4]));
    let columns = [("r", Arc::clone(&ids)), ("c", ids)];
    let input = triplets(&workshop.parquet("lies.parquet", &columns, 4), false);
    let inspection = workshop.inspect(&input).expect("inspection");
    let range = inspection.row_id_range.expect("a range");
    assert_eq!(range.span, 13);
    let Layout::Sparse(layout) = input.layout.clone() else {
        panic!("sparse");
    };
    let mut operator = EncodeEntries {
        piece: inspection.pieces(100).remove(0),
        layout,
        on_bad_row: OnBadRow::Error,
        sign: Sign::Any,
        row_range: Some(range),
        column_range: Some(IdRange { span: 10, ..range }),
        bucket_bits: None,
    };
    let error = encode_entries::run(&workshop.context(), &operator).expect_err("9 is outside");
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    for part in ["lies.parquet", "row 2", "\"c\"", "footer"] {
        assert!(error.message.contains(part), "{part} in {error}");
    }
    operator.column_range = None;
    let encoded = encode_entries::run(&workshop.context(), &operator).expect("encoded");
    assert_eq!((encoded.row_codes, encoded.column_codes), (13, 3));
    assert!(encoded.row_ids.is_none() && encoded.column_ids.is_some());
}

#[test]
fn truncated_and_damaged_files_are_refused_and_nothing_panics() {
    let workshop = Workshop::new();
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(
        (0..3000).map(|i| i * 7 % 1013),
    ));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..3000).map(|i| format!("name {}", i % 91)),
    ));
    let values: ArrayRef = Arc::new(Float32Array::from_iter_values((0..3000).map(|i| i as f32)));
    let columns = [("r", ids), ("c", names), ("v", values)];
    let path = workshop.parquet("bad.parquet", &columns, 1000);
    let input = triplets(&path, true);
    let whole = std::fs::read(&path).expect("the file");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("truncated");
    refused(
        &workshop,
        &input,
        &["bad.parquet", "not a Parquet file or truncated"],
    );
    std::fs::write(&path, b"PAR1").expect("tiny");
    refused(
        &workshop,
        &input,
        &["bad.parquet", "not a Parquet file or truncated"],
    );
    // Without checksums some flips change values unseen; none may do worse than an error.
    let mut seen = 0;
    for place in (0..whole.len()).step_by(whole.len() / 300) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x41;
        std::fs::write(&path, &damaged).expect("damaged");
        if let Err(error) = workshop.ingest(&input, COARSE) {
            assert_eq!(error.kind, ErrorKind::InvalidInput, "{place}: {error}");
            assert!(error.message.contains("bad.parquet"), "{place}: {error}");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} flips were noticed");
}

#[test]
fn a_page_larger_than_the_budget_is_refused_before_it_is_decoded() {
    let mut workshop = Workshop::new();
    let path = workshop.path("bad.parquet");
    // All equal, so that the file is tiny; plain, so that the page is not.
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7; 1_000_000]));
    let columns = [("r", Arc::clone(&ids)), ("c", ids)];
    let columns = columns
        .iter()
        .map(|(name, array)| (*name, Arc::clone(array), false));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 30)
        .set_data_page_row_count_limit(1 << 30)
        .set_write_batch_size(1 << 22)
        .set_compression(Compression::SNAPPY)
        .build();
    let file = std::fs::File::create(&path).expect("a file");
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    let input = triplets(&path.display().to_string(), false);
    workshop.memory = 64 << 10;
    let parts = [
        "bad.parquet",
        "row group 0",
        "\"r\"",
        "64.0 KiB",
        "--memory",
    ];
    refused_when_cut(&workshop, &input, COARSE, &parts);
    workshop.memory = 32 << 20;
    workshop
        .ingest(&input, COARSE)
        .expect("a budget that suffices");
}
