//! Dense blocks.

use arrow::array::{
    FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray,
};
use arrow::datatypes::{Float32Type, Float64Type};
use rankmill_common::ErrorKind;
use rankmill_common::input::DenseLayout;

use super::*;

fn dense(path: &str, id: Option<&str>, vector: &[&str]) -> InputSpec {
    InputSpec {
        paths: vec![path.to_owned()],
        layout: Layout::Dense(DenseLayout {
            id: id.map(ToOwned::to_owned),
            vector: vector.iter().map(|&name| name.to_owned()).collect(),
        }),
        on_bad_row: OnBadRow::Error,
    }
}

/// Blocks with their rows and ids.
fn build(workshop: &Workshop, input: &InputSpec, rows: u64) -> Result<Vec<(BuiltBlock, Vec<f32>)>> {
    let Layout::Dense(layout) = &input.layout else {
        panic!("dense");
    };
    let inspection = workshop.inspect(input)?;
    let ncols = inspection.vector_length.expect("a length");
    let mut blocks = Vec::new();
    for piece in inspection.pieces(rows) {
        let operator = BuildDenseBlock {
            piece,
            layout: layout.clone(),
            ncols,
            on_bad_row: input.on_bad_row,
        };
        let built = build_dense_block::run(&workshop.context(), &operator)?;
        let open = block::open(&workshop.context(), BlockFormat::Dense, ncols, &built.block)?;
        let BlockView::Dense(view) = open.block()? else {
            panic!("dense");
        };
        let values = view.batches.concat();
        drop(open);
        blocks.push((built, values));
    }
    Ok(blocks)
}

fn rows(blocks: &[(BuiltBlock, Vec<f32>)]) -> Vec<f32> {
    blocks
        .iter()
        .flat_map(|(_, values)| values.clone())
        .collect()
}

#[test]
fn lists_fixed_size_lists_and_columns_make_the_same_rows() {
    let workshop = Workshop::new();
    let vectors = |row: i32| Some((0..3).map(move |col| Some(f64::from(row * 3 + col))));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(
        (0..7).map(vectors),
    ));
    let fixed: ArrayRef = Arc::new(
        FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>((0..7).map(vectors), 3),
    );
    let column = |col: i32| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            (0..7).map(|row| f64::from(row * 3 + col)),
        ))
    };
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..7).map(|i| format!("d{i}")),
    ));
    let columns = [
        ("id", ids),
        ("l", lists),
        ("f", fixed),
        ("c", column(2)),
        ("a", column(0)),
        ("b", column(1)),
    ];
    let path = workshop.parquet("a.parquet", &columns, 4);
    let expected: Vec<f32> = (0..21).map(|i| i as f32).collect();
    for vector in [&["l"][..], &["f"], &["a", "b", "c"]] {
        let blocks = build(&workshop, &dense(&path, Some("id"), vector), 3).expect("blocks");
        assert_eq!(rows(&blocks), expected, "{vector:?}");
        assert_eq!(blocks.len(), 3);
        let squares: f64 = blocks.iter().map(|(built, _)| built.frobenius2).sum();
        assert_eq!(squares, 2870.0);
        assert!(blocks.iter().all(|(built, _)| built.ids.is_some()));
    }
    let blocks = build(&workshop, &dense(&path, None, &["l"]), 100).expect("blocks");
    assert!(blocks.iter().all(|(built, _)| built.ids.is_none()));
}

#[test]
fn bad_vectors_are_refused_with_their_place_or_skipped() {
    let workshop = Workshop::new();
    let good = Some(vec![Some(1.0), Some(2.0)]);
    let cases: [(Option<Vec<Option<f32>>>, &str); 3] = [
        (None, "is null"),
        (Some(vec![Some(1.0), None]), "is null"),
        (Some(vec![Some(f32::INFINITY), Some(1.0)]), "is infinite"),
    ];
    for (bad, what) in cases {
        let vectors = vec![good.clone(), good.clone(), good.clone(), bad, good.clone()];
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors));
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![5, 4, 3, 2, 1]));
        let path = workshop.parquet("bad.parquet", &[("id", ids), ("v", lists)], 2);
        let mut input = dense(&path, Some("id"), &["v"]);
        let error = build(&workshop, &input, 5).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        let place = "bad.parquet: row group 1, row 1, column \"v\"";
        assert!(
            error.message.contains(place) && error.message.contains(what),
            "{error}"
        );
        input.on_bad_row = OnBadRow::Skip;
        let blocks = build(&workshop, &input, 5).expect("blocks");
        assert_eq!(rows(&blocks), [1.0, 2.0].repeat(4));
        assert_eq!(
            blocks.iter().map(|(built, _)| built.skipped).sum::<u64>(),
            1
        );
        let (built, _) = blocks
            .iter()
            .find(|(built, _)| built.skipped == 1)
            .expect("a skip");
        let object = built.ids.clone().expect("ids");
        let count = built.block.nrows;
        let table = IdTable::Dictionary {
            id_type: rankmill_common::table::IdType::Int64,
            shards: vec![IdShard {
                start: 0,
                count,
                object,
            }],
        };
        assert!(!workshop.ids(&table).contains(&"2".to_owned()));
    }
}

#[test]
fn rows_fill_batches_whatever_is_left_out_between_them() {
    let workshop = Workshop::new();
    let value = |row: i32, column: i32| (row % 7 != 3).then_some((2 * row + column) as f32);
    let vectors = (0..10_000).map(|row| Some([value(row, 0), value(row, 1)]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors));
    let expected: Vec<f32> = (0..10_000)
        .flat_map(|row| [value(row, 0), value(row, 1)])
        .flatten()
        .collect();
    let path = workshop.parquet("long.parquet", &[("v", lists)], 999);
    let mut input = dense(&path, None, &["v"]);
    input.on_bad_row = OnBadRow::Skip;
    let blocks = build(&workshop, &input, 10_000).expect("blocks");
    assert_eq!(blocks.len(), 1);
    let built = &blocks[0].0;
    assert_eq!(built.block.nrows as usize, expected.len() / 2);
    assert!(expected.len() / 2 > 2 * 4096, "more than two batches");
    let sum: f64 = expected.iter().copied().map(f64::from).sum();
    assert_eq!(built.sum, sum);
    assert_eq!(rows(&blocks), expected);
}

#[test]
fn vectors_of_unequal_length_are_refused_with_their_place() {
    let workshop = Workshop::new();
    for (odd, what) in [
        (vec![Some(1.0)], "this one has 1"),
        (vec![Some(1.0); 3], "this one has 3"),
    ] {
        let even = Some(vec![Some(1.0), Some(2.0)]);
        let vectors = vec![even.clone(), even.clone(), Some(odd), even];
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vectors));
        let path = workshop.parquet("bad.parquet", &[("v", lists)], 2);
        let error = build(&workshop, &dense(&path, None, &["v"]), 5).expect_err("refused");
        let parts = [
            "bad.parquet: row group 1, row 0, column \"v\"",
            "2 numbers",
            what,
        ];
        for part in parts {
            assert!(error.message.contains(part), "{error} lacks {part}");
        }
    }
}

#[test]
fn a_vector_that_is_far_longer_is_refused_before_it_is_decoded() {
    let workshop = Workshop::new();
    let vectors = [Some(vec![Some(1.0); 2]), Some(vec![Some(1.0); 2_000_000])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(vectors));
    let path = workshop.parquet("bad.parquet", &[("v", lists)], 1);
    let error = build(&workshop, &dense(&path, None, &["v"]), 5).expect_err("refused");
    assert!(
        error.message.contains("row group 1, column \"v\""),
        "{error}"
    );
    assert!(error.message.contains("far longer"), "{error}");
}

#[test]
fn text_is_no_vector() {
    let workshop = Workshop::new();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let numbers: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
    let path = workshop.parquet("bad.parquet", &[("t", text), ("n", numbers)], 2);
    let error = build(&workshop, &dense(&path, None, &["t"]), 5).expect_err("refused");
    assert!(error.message.contains("\"t\" is of type string"), "{error}");
    let error = build(&workshop, &dense(&path, None, &["n", "x"]), 5).expect_err("refused");
    assert!(error.message.contains("no column \"x\""), "{error}");
}
