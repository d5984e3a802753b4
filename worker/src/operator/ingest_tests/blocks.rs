//! Blocks against a naive model of the matrix.

use arrow::array::{
    BinaryArray, DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array, StringArray,
    UInt64Array,
};
use arrow::datatypes::Int32Type;
use proptest::prelude::*;

use super::*;

type Triplet = (i32, i32, f32);

/// Ids so far from each other lie in no narrow range.
const APART: i64 = 1 << 40;

fn columns(entries: &[Triplet]) -> [(&'static str, ArrayRef); 3] {
    let rows: Int32Array = entries.iter().map(|entry| Some(entry.0)).collect();
    let cols: StringArray = entries
        .iter()
        .map(|entry| Some(format!("c{}", entry.1)))
        .collect();
    let values: Float64Array = entries
        .iter()
        .map(|entry| Some(f64::from(entry.2)))
        .collect();
    [
        ("r", Arc::new(rows)),
        ("c", Arc::new(cols)),
        ("v", Arc::new(values)),
    ]
}

/// The matrix by the book: merge duplicates in file order, drop zeros, transform.
fn model(entries: &[Triplet], duplicates: Duplicates, transforms: &[Transform]) -> Entries {
    let mut merged: BTreeMap<(String, String), f64> = BTreeMap::new();
    for &(row, col, value) in entries {
        let value = f64::from(value);
        merged
            .entry((row.to_string(), format!("c{col}")))
            .and_modify(|merged| {
                *merged = match duplicates {
                    Duplicates::Sum => *merged + value,
                    Duplicates::Max => merged.max(value),
                    Duplicates::Last | Duplicates::Error => value,
                }
            })
            .or_insert(value);
    }
    merged.retain(|_, value| *value != 0.0);
    let nrows = entries
        .iter()
        .map(|e| e.0)
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    for &transform in transforms {
        apply(&mut merged, transform, nrows as f64);
    }
    merged
        .into_iter()
        .map(|(key, value)| (key, value as f32))
        .collect()
}

#[allow(clippy::disallowed_methods, reason = "an oracle uses other code")]
fn apply(matrix: &mut BTreeMap<(String, String), f64>, transform: Transform, n: f64) {
    let total = |matrix: &BTreeMap<(String, String), f64>,
                 of: &dyn Fn(&(String, String)) -> bool,
                 f: &dyn Fn(f64) -> f64|
     -> f64 {
        matrix
            .iter()
            .filter(|(key, _)| of(key))
            .map(|(_, &value)| f(value))
            .sum()
    };
    let old = matrix.clone();
    let sum: f64 = old.values().sum();
    for (key, value) in matrix.iter_mut() {
        let row = |f: &dyn Fn(f64) -> f64| total(&old, &|other| other.0 == key.0, f);
        let col = |f: &dyn Fn(f64) -> f64| total(&old, &|other| other.1 == key.1, f);
        let df = col(&|_| 1.0);
        *value = match transform {
            Transform::Binary => 1.0,
            Transform::Log1p => (1.0 + *value).ln(),
            Transform::Tfidf => *value * (((1.0 + n) / (1.0 + df)).ln() + 1.0),
            Transform::Bm25 { k1, b } => {
                let length = row(&|x| x) / (sum / n);
                *value * (k1 + 1.0) / (k1 * (1.0 - b + b * length) + *value)
                    * (n.ln() - (1.0 + df).ln())
            }
            Transform::L1Rows => *value / row(&f64::abs),
            Transform::L2Rows => *value / row(&|x| x * x).sqrt(),
            Transform::L1Cols => *value / col(&f64::abs),
            Transform::L2Cols => *value / col(&|x| x * x).sqrt(),
            Transform::Degree => *value / (row(&|x| x) * col(&|x| x)).sqrt(),
        };
    }
    matrix.retain(|_, value| *value != 0.0);
}

fn close(found: &Entries, expected: &Entries) -> bool {
    // A weight may cancel to zero in one way of computing it and to 1e-17 in another.
    let kept = |entries: &Entries| -> Vec<_> {
        entries
            .iter()
            .filter(|(_, v)| v.abs() > 1e-6)
            .map(|(k, &v)| (k.clone(), v))
            .collect()
    };
    let (found, expected) = (kept(found), kept(expected));
    found.len() == expected.len()
        && found
            .iter()
            .zip(&expected)
            .all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-5 * b.1.abs().max(1e-3))
}

fn any_transforms() -> impl Strategy<Value = Vec<Transform>> {
    prop_oneof![
        Just(vec![]),
        Just(vec![Transform::Binary]),
        Just(vec![Transform::Log1p, Transform::L2Rows]),
        Just(vec![Transform::L1Rows]),
        Just(vec![Transform::Tfidf, Transform::L2Rows]),
        Just(vec![Transform::BM25]),
        Just(vec![Transform::L1Cols]),
        Just(vec![Transform::L2Cols]),
        Just(vec![Transform::Degree]),
    ]
}

fn any_duplicates() -> impl Strategy<Value = Duplicates> {
    prop_oneof![
        Just(Duplicates::Sum),
        Just(Duplicates::Max),
        Just(Duplicates::Last)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn blocks_hold_what_a_naive_model_holds(
        entries in prop::collection::vec((-20i32..20, 0i32..30, 0u8..5), 1..300),
        group_rows in 1usize..90,
        cut in (5u64..120, 1u64..60, 1u32..4, 1u32..40),
        duplicates in any_duplicates(),
        transforms in any_transforms(),
        has_values in any::<bool>(),
    ) {
        let mut entries: Vec<Triplet> =
            entries.into_iter().map(|(r, c, v)| (r, c, f32::from(v) / 2.0)).collect();
        let workshop = Workshop::new();
        let path = workshop.parquet("a.parquet", &columns(&entries), group_rows);
        if !has_values {
            entries.iter_mut().for_each(|entry| entry.2 = 1.0);
        }
        let mut input = triplets(&path, has_values);
        sparse(&mut input).duplicates = duplicates;
        sparse(&mut input).transforms.clone_from(&transforms);
        let cut = Cut {
            piece_rows: cut.0,
            block_entries: cut.1,
            shards: cut.2,
            segment_width: cut.3,
            bucket_bits: None,
        };
        let ingested = workshop.ingest(&input, cut).expect("ingest");
        let found = workshop.entries(&ingested);
        let expected = model(&entries, duplicates, &transforms);
        prop_assert!(close(&found, &expected), "{found:?}\n{expected:?}");
        let nnz: u64 = ingested.blocks.iter().map(|block| block.block.nnz).sum();
        prop_assert_eq!(nnz, found.len() as u64);
        let squares: f64 = found.values().map(|&v| f64::from(v) * f64::from(v)).sum();
        let frobenius2: f64 = ingested.blocks.iter().map(|block| block.frobenius2).sum();
        prop_assert!((squares - frobenius2).abs() <= 1e-9 * squares.max(1.0));
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    let entries: Vec<Triplet> = (0..200_000u64)
        .map(|i| {
            let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (
                (mixed >> 50) as i32,
                (mixed >> 30 & 0xfff) as i32,
                (mixed & 7) as f32 / 4.0,
            )
        })
        .collect();
    let workshop = Workshop::new();
    let path = workshop.parquet("a.parquet", &columns(&entries), 70_000);
    let mut input = triplets(&path, true);
    sparse(&mut input).transforms = vec![Transform::Tfidf, Transform::L2Rows];
    let cut = Cut {
        piece_rows: 90_000,
        block_entries: 60_000,
        shards: 2,
        segment_width: 1000,
        bucket_bits: None,
    };
    let digests = |threads| {
        let ingested = in_pool(threads, || workshop.ingest(&input, cut)).expect("ingest");
        let blocks = ingested.blocks.iter();
        let blocks: Vec<_> = blocks
            .map(|b| {
                (
                    b.block.object.digest,
                    b.sum.to_bits(),
                    b.frobenius2.to_bits(),
                )
            })
            .collect();
        let IdTable::Dictionary { shards, .. } = ingested.row_ids else {
            panic!("a dictionary");
        };
        let ids: Vec<_> = shards
            .into_iter()
            .map(|shard| shard.object.digest)
            .collect();
        (blocks, ids)
    };
    let one = digests(1);
    assert!(one.0.len() > 2);
    assert_eq!(one, digests(2));
    assert_eq!(one, digests(3));
}

#[test]
fn ids_of_every_type_come_back_in_their_order() {
    let dictionary: DictionaryArray<Int32Type> = ["b", "a", "a", "c"].into_iter().collect();
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (
            Arc::new(Int8Array::from(vec![3, -7, -7, 0])),
            &["-7", "0", "3"],
        ),
        (
            Arc::new(UInt64Array::from(vec![u64::MAX, 1, 1, 1 << 63])),
            &["1", "9223372036854775808", "18446744073709551615"],
        ),
        (
            Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN, i64::MIN, 0])),
            &["-9223372036854775808", "0", "9223372036854775807"],
        ),
        (
            Arc::new(StringArray::from(vec![
                "zwölf",
                "",
                "",
                "a longer string than 12",
            ])),
            &["", "a longer string than 12", "zwölf"],
        ),
        (
            Arc::new(BinaryArray::from(vec![b"b".as_ref(), b"a", b"a", b"ab"])),
            &["a", "ab", "b"],
        ),
        (Arc::new(dictionary), &["a", "b", "c"]),
    ];
    for (ids, expected) in cases {
        let workshop = Workshop::new();
        let cols: ArrayRef = Arc::new(Int32Array::from(vec![1, 1, 2, 1]));
        let path = workshop.parquet("a.parquet", &[("r", ids), ("c", cols)], 3);
        let cut = Cut {
            piece_rows: 3,
            shards: 2,
            ..COARSE
        };
        let ingested = workshop
            .ingest(&triplets(&path, false), cut)
            .expect("ingest");
        assert_eq!(workshop.ids(&ingested.row_ids), expected);
        assert_eq!(workshop.entries(&ingested).len(), 4);
    }
}

#[test]
fn narrow_and_wide_integers_make_the_same_matrix() {
    let places = |factor: i64, seed: i64| {
        let ids = (0..4000).map(move |i: i64| factor * ((i * i + seed * i) % 613 - 300));
        Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef
    };
    let ingest = |factor: i64| {
        let workshop = Workshop::new();
        let columns = [("r", places(factor, 3)), ("c", places(factor, 8))];
        let path = workshop.parquet("a.parquet", &columns, 900);
        let inspection = workshop
            .inspect(&triplets(&path, false))
            .expect("inspection");
        let narrow = inspection.row_id_range.expect("a range").is_narrow(4000);
        assert_eq!(narrow, factor == 1);
        let cut = Cut {
            piece_rows: 700,
            block_entries: 500,
            shards: 3,
            segment_width: 128,
            bucket_bits: Some(5),
        };
        let ingested = workshop
            .ingest(&triplets(&path, false), cut)
            .expect("ingest");
        assert!(ingested.blocks.len() > 4);
        workshop.entries(&ingested)
    };
    let wide = ingest(APART).into_iter().map(|((row, col), value)| {
        let near = |id: String| (id.parse::<i64>().expect("an id") / APART).to_string();
        ((near(row), near(col)), value)
    });
    assert_eq!(ingest(1), wide.collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn entries_in_any_buckets_make_the_same_blocks(
        entries in prop::collection::vec((-90i32..400, -5i32..30, 0u8..9), 1..400),
        bits in 0u32..8,
        (piece_rows, block_entries) in (5u64..150, 1u64..80),
        duplicates in any_duplicates(),
        transforms in any_transforms(),
    ) {
        let rows: Int32Array = entries.iter().map(|entry| Some(entry.0 - entry.0 % 3)).collect();
        let rows: ArrayRef = Arc::new(rows);
        let values: Float64Array = entries.iter().map(|entry| Some(f64::from(entry.2))).collect();
        let values: ArrayRef = Arc::new(values);
        let workshop = Workshop::new();
        let digests = |factor: i64, bucket_bits| {
            let cols = entries.iter().map(|entry| Some(factor * i64::from(entry.1)));
            let cols: Int64Array = cols.collect();
            let columns = [("r", Arc::clone(&rows)), ("c", Arc::new(cols)), ("v", Arc::clone(&values))];
            let name = format!("{factor}.parquet");
            let mut input = triplets(&workshop.parquet(&name, &columns, 70), true);
            sparse(&mut input).duplicates = duplicates;
            sparse(&mut input).transforms = transforms.clone();
            let cut = Cut { piece_rows, block_entries, shards: 2, segment_width: 16, bucket_bits };
            let blocks = workshop.ingest(&input, cut).expect("ingest").blocks;
            blocks.into_iter().map(|built| built.block.object.digest).collect::<Vec<_>>()
        };
        let looked_up = digests(2, None);
        prop_assert_eq!(&digests(2, Some(bits)), &looked_up, "sorted as they are read");
        prop_assert_eq!(&digests(APART, Some(bits)), &looked_up, "sorted by buckets of rows");
    }
}

#[test]
fn dense_ids_are_indices() {
    let workshop = Workshop::new();
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![4, 0, 4]));
    let cols: ArrayRef = Arc::new(Int32Array::from(vec![1, 3, 1]));
    let path = workshop.parquet("a.parquet", &[("r", rows), ("c", cols)], 10);
    let mut input = triplets(&path, false);
    sparse(&mut input).ids = Ids::Dense { shape: None };
    let ingested = workshop
        .ingest(
            &input,
            Cut {
                block_entries: 2,
                ..COARSE
            },
        )
        .expect("ingest");
    let expected = Entries::from([
        (("0".to_owned(), "3".to_owned()), 1.0),
        (("4".to_owned(), "1".to_owned()), 2.0),
    ]);
    assert_eq!(workshop.entries(&ingested), expected);
    assert_eq!(
        (ingested.row_ids.count(), ingested.column_ids.count()),
        (5, 4)
    );
}

#[test]
fn remote_state_gives_the_same_blocks_and_lost_objects_are_named() {
    let entries: Vec<Triplet> = (0..1000).map(|i| (i % 37, i % 11, 1.5)).collect();
    let digests = |workshop: &Workshop| {
        let path = workshop.parquet("a.parquet", &columns(&entries), 100);
        let ingested = workshop
            .ingest(&triplets(&path, true), COARSE)
            .expect("ingest");
        ingested.blocks[0].block.clone()
    };
    let local = digests(&Workshop::new());
    let workshop = Workshop::with_state(Some("memory://ingest-tests/state"));
    let remote = digests(&workshop);
    assert_eq!(local.object.digest, remote.object.digest);

    // Another worker has an empty cache and downloads; once the object is gone, it says so.
    let other = Workshop::with_state(Some("memory://ingest-tests/state"));
    let read = |workshop: &Workshop| workshop.context().map(&remote.object).map(|map| map.len());
    assert_eq!(read(&other), Ok(remote.object.size as usize));
    let store = workshop.objects.state();
    workshop
        .runtime
        .block_on(store.delete(&remote.object.key))
        .expect("deleted");
    let third = Workshop::with_state(Some("memory://ingest-tests/state"));
    let lost = read(&third).expect_err("a lost object");
    assert_eq!(lost.lost_key.as_ref(), Some(&remote.object.key));
    workshop
        .runtime
        .block_on(store.put(
            &remote.object.key,
            vec![7; remote.object.size as usize].into(),
        ))
        .expect("replaced");
    let damaged = read(&third).expect_err("a damaged object");
    assert_eq!(damaged.kind, rankmill_common::ErrorKind::InputLost);
    assert_eq!(read(&other), Ok(remote.object.size as usize));
}

#[test]
fn a_published_matrix_is_found_until_an_object_is_missing() {
    use rankmill_common::matrix::BlockedMatrix;
    use rankmill_common::operator::published_matrix::{FindMatrix, PublishMatrix};

    let workshop = Workshop::new();
    let entries: Vec<Triplet> = (0..100).map(|i| (i % 7, i % 11, 1.5)).collect();
    let path = workshop.parquet("a.parquet", &columns(&entries), 100);
    let ingested = workshop
        .ingest(&triplets(&path, true), COARSE)
        .expect("ingest");
    let digest = rankmill_common::Digest::of(b"matrix");
    let find = || {
        let found = published_matrix::find(&workshop.context(), &FindMatrix { digest });
        found.expect("an answer").matrix
    };
    assert_eq!(find(), None);
    let matrix = BlockedMatrix {
        digest,
        format: BlockFormat::Sparse,
        nrows: ingested.row_ids.count(),
        ncols: ingested.column_ids.count(),
        nnz: 77,
        frobenius2: 1.0,
        row_nnz2: 1.0,
        blocks: ingested
            .blocks
            .iter()
            .map(|block| block.block.clone())
            .collect(),
        row_ids: ingested.row_ids,
        column_ids: ingested.column_ids,
        order: None,
        skipped_rows: 0,
    };
    let publish = |matrix: &BlockedMatrix| {
        let operator = PublishMatrix {
            matrix: matrix.clone(),
        };
        published_matrix::publish(&workshop.context(), &operator).expect("published")
    };
    publish(&matrix);
    assert_eq!(find(), Some(matrix.clone()));
    let gone = workshop.path("state").join(&matrix.blocks[0].object.key);
    std::fs::remove_file(gone).expect("removed");
    assert_eq!(find(), None);
    let again = workshop
        .ingest(&triplets(&path, true), COARSE)
        .expect("ingest");
    let mut second = matrix;
    second.blocks = again.blocks.into_iter().map(|block| block.block).collect();
    publish(&second);
    assert_eq!(find(), Some(second));
}
