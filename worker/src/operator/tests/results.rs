//! `write_factors` and `write_spectrum`: the files as another reader sees them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use rankmill_common::matrix::{Precision, RowRange};
use rankmill_common::operator::{WriteFactors, WriteSpectrum, WrittenFile};
use rankmill_common::table::{IdShard, IdTable, IdType};
use rankmill_common::{Digest, ErrorKind};

use crate::operator::support::*;
use crate::operator::{write_factors, write_spectrum};

fn bytes_of(bench: &Bench, file: &WrittenFile) -> Bytes {
    let path = bench.directory.path().join("output").join(&file.path);
    let bytes = Bytes::from(std::fs::read(path).unwrap());
    assert_eq!(bytes.len() as u64, file.size);
    assert_eq!(Digest::of(&bytes), file.blake3);
    bytes
}

fn read(bytes: &Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    reader
        .build()
        .unwrap()
        .map(|batch| batch.unwrap())
        .collect()
}

fn vectors(batch: &RecordBatch) -> Vec<Vec<f32>> {
    let list = batch.column_by_name("vector").unwrap().as_fixed_size_list();
    assert_eq!(list.null_count(), 0);
    (0..list.len())
        .map(|i| {
            list.value(i)
                .as_primitive::<Float32Type>()
                .values()
                .to_vec()
        })
        .collect()
}

fn factors(bench: &Bench, ids: IdTable, rows: RowRange) -> WriteFactors {
    WriteFactors {
        rows,
        factor: bench.tall(&numbers(20, 3, 1), Precision::Single, 8),
        ids,
        extremes: vec![
            bench.small(&vec![vec![-2.0, 1.0, -3.0], vec![4.0, 2.0, 0.0]]),
            bench.small(&vec![vec![2.0, -1.5, 1.0], vec![9.0, 12.0, 10.0]]),
        ],
        output: bench.output(),
        path: "left/part-0.parquet".to_owned(),
    }
}

const SOME: RowRange = RowRange { start: 5, count: 9 };

#[test]
fn vectors_carry_ids_and_the_sign_of_the_left_factor() {
    let bench = Bench::new();
    let ids = IdTable::Range {
        id_type: IdType::Int64,
        count: 20,
    };
    let file = write_factors::run(&bench.context, &factors(&bench, ids, SOME)).unwrap();
    assert_eq!((file.rows, file.path.as_str()), (9, "left/part-0.parquet"));
    let batches = read(&bytes_of(&bench, &file));
    assert_eq!(batches.len(), 1);
    let ids = batches[0].column_by_name("id").unwrap();
    assert_eq!(
        ids.as_primitive::<Int64Type>().values(),
        &(5..14).collect::<Vec<i64>>()[..]
    );
    let schema = batches[0].schema();
    assert!(schema.fields().iter().all(|field| !field.is_nullable()));
    // The first column ties at 2 and the first part is negative; the second part wins the second.
    let expected: Vec<Vec<f32>> = numbers(20, 3, 1)[5..14]
        .iter()
        .map(|row| {
            row.iter()
                .map(|&x| if x == 0.0 { 0.0 } else { -x as f32 })
                .collect()
        })
        .collect();
    let found = vectors(&batches[0]);
    assert_eq!(found, expected);
    assert!(
        found
            .iter()
            .flatten()
            .all(|x| *x != 0.0 || x.is_sign_positive())
    );
}

#[test]
fn ids_of_any_type_are_cut_from_their_shards() {
    use arrow::array::{ArrayRef, LargeStringArray};
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    let bench = Bench::new();
    let shard = |start: u64, count: u64| {
        let names: ArrayRef = Arc::new(LargeStringArray::from_iter_values(
            (start..start + count).map(|i| format!("item-{i:02}")),
        ));
        let schema = Arc::new(Schema::new(vec![Field::new(
            "id",
            DataType::LargeUtf8,
            false,
        )]));
        let batch = RecordBatch::try_new(schema, vec![names]).unwrap();
        let name = format!("ids-{start}");
        let object = crate::storage::ipc::write_batch(&bench.context, &name, &batch).unwrap();
        IdShard {
            start,
            count,
            object,
        }
    };
    let table = IdTable::Dictionary {
        id_type: IdType::Utf8,
        shards: vec![shard(0, 7), shard(7, 4), shard(11, 9)],
    };
    let file = write_factors::run(&bench.context, &factors(&bench, table, SOME)).unwrap();
    let batches = read(&bytes_of(&bench, &file));
    let ids = batches[0].column_by_name("id").unwrap().as_string::<i32>();
    assert_eq!(batches[0].schema().field(0).data_type(), &DataType::Utf8);
    let expected: Vec<String> = (5..14).map(|i| format!("item-{i:02}")).collect();
    assert_eq!(
        ids.iter()
            .map(|id| id.unwrap().to_owned())
            .collect::<Vec<_>>(),
        expected
    );

    let names = IdTable::Names {
        names: (0..20).map(|i| format!("column {i}")).collect(),
    };
    let file = write_factors::run(&bench.context, &factors(&bench, names, SOME)).unwrap();
    let batches = read(&bytes_of(&bench, &file));
    let ids = batches[0].column_by_name("id").unwrap().as_string::<i32>();
    assert_eq!(ids.value(8), "column 13");
}

#[test]
fn an_index_that_its_id_type_cannot_hold_is_a_defect() {
    let bench = Bench::new();
    for (id_type, count) in [(IdType::Int8, 8), (IdType::Utf8, 20)] {
        let ids = IdTable::Range { id_type, count };
        let error = write_factors::run(&bench.context, &factors(&bench, ids, SOME)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
    }
}

#[test]
fn large_files_are_cut_into_row_groups_and_keep_their_bytes() {
    let bench = Bench::new();
    let rows: Rows = (0..140_000).map(|i| vec![f64::from(i % 1000)]).collect();
    let write = |threads: usize| {
        let parameters = WriteFactors {
            rows: RowRange {
                start: 0,
                count: 140_000,
            },
            factor: bench.tall(&rows, Precision::Single, 50_000),
            ids: IdTable::Range {
                id_type: IdType::UInt32,
                count: 140_000,
            },
            extremes: vec![bench.small(&vec![vec![999.0], vec![0.0]])],
            output: bench.output(),
            path: format!("large-{threads}.parquet"),
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let file = pool
            .install(|| write_factors::run(&bench.context, &parameters))
            .unwrap();
        bytes_of(&bench, &file)
    };
    let bytes = write(1);
    assert_eq!(bytes, write(3));
    let reader = SerializedFileReader::new(bytes.clone()).unwrap();
    let metadata = reader.metadata();
    let groups: Vec<_> = metadata
        .row_groups()
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows)
        .collect();
    assert_eq!(groups, [65_536, 65_536, 8_928]);
    let written_by = metadata.file_metadata().created_by().unwrap();
    assert_eq!(
        written_by,
        format!("rankmill {}", env!("CARGO_PKG_VERSION"))
    );
    let found: Vec<f32> = read(&bytes)
        .iter()
        .flat_map(|b| vectors(b).concat())
        .collect();
    assert_eq!(found.len(), 140_000);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(i, x)| *x == (i % 1000) as f32)
    );
}

fn spectrum(bench: &Bench) -> WriteSpectrum {
    WriteSpectrum {
        sigma: bench.small(&vec![vec![4.0, 2.0]]),
        left: vec![
            bench.small(&vec![vec![0.01, 0.0]]),
            bench.small(&vec![vec![0.03, 0.0]]),
        ],
        right: vec![bench.small(&vec![vec![0.02, 0.09]])],
        product_rounding: vec![
            bench.small(&vec![vec![0.1, 0.0, 0.2]]),
            bench.small(&vec![vec![0.1, 0.4, 0.0]]),
        ],
        rotation: Some(bench.small(&vec![vec![0.5, 0.1], vec![0.0, 0.2], vec![1.0, 0.0]])),
        right_transform: None,
        left_bound: None,
        frobenius2: 40.0,
        next_sigma: Some(1.5),
        output: bench.output(),
        path: "singular_values.parquet/part-00000-0123abcd.parquet".to_owned(),
    }
}

#[test]
fn a_residual_is_the_larger_side_with_what_rounding_added() {
    let bench = Bench::new();
    let spectrum = write_spectrum::run(&bench.context, &spectrum(&bench)).unwrap();
    // Left: 0.04 + 0.2·0.25 + 0.4·0 + 0.2·1 = 0.29; 0 + 0.2·0.01 + 0.4·0.04 + 0 = 0.018 < 0.09.
    let residuals = [0.29_f64.sqrt() / 4.0, 0.3 / 4.0];
    assert!((spectrum.residuals[0] - residuals[0]).abs() < 1e-15);
    assert!((spectrum.pve - 0.09 / 2.25).abs() < 1e-15);
    assert!((spectrum.captured_energy - 0.5).abs() < 1e-15);
    assert_eq!(spectrum.values, [4.0, 2.0]);
    let batches = read(&bytes_of(&bench, &spectrum.file));
    let floats = |name: &str| {
        let column = batches[0].column_by_name(name).unwrap();
        column.as_primitive::<Float64Type>().values().to_vec()
    };
    let components = batches[0].column_by_name("component").unwrap();
    assert_eq!(components.as_primitive::<Int32Type>().values(), &[0, 1][..]);
    assert_eq!(floats("value"), [4.0, 2.0]);
    assert_eq!(floats("explained_variance_ratio"), [0.4, 0.1]);
    assert_close(&vec![floats("residual")], &vec![residuals.to_vec()], 1e-15);
}

#[test]
fn rounding_of_y_is_added_to_the_right_side_where_the_gram_matrix_stands_for_it() {
    let bench = Bench::new();
    let mut parameters = spectrum(&bench);
    let transform = vec![vec![0.0, 0.5], vec![0.5, 0.0], vec![0.0, 0.0]];
    parameters.right_transform = Some(bench.small(&transform));
    let answer = write_spectrum::run(&bench.context, &parameters).unwrap();
    // Right: 0.02 + 16·0.4·0.25 = 1.62; 0.09 + 16·0.2·0.25 = 0.89.
    assert!((answer.residuals[0] - 1.62_f64.sqrt() / 4.0).abs() < 1e-15);
    assert!((answer.pve - 1.62 / 2.25).abs() < 1e-15);

    parameters.right_transform = Some(bench.small(&vec![vec![1.0]; 3]));
    let error = write_spectrum::run(&bench.context, &parameters).unwrap_err();
    assert!(error.message.contains("columns of Y"), "{error}");
}

#[test]
fn a_bound_replaces_the_left_side_and_a_zero_matrix_has_no_residuals() {
    let bench = Bench::new();
    let mut parameters = spectrum(&bench);
    parameters.left_bound = Some(0.25);
    let answer = write_spectrum::run(&bench.context, &parameters).unwrap();
    assert!((answer.residuals[0] - 0.5 / 4.0).abs() < 1e-15);

    parameters.sigma = bench.small(&vec![vec![0.0, 0.0]]);
    parameters.frobenius2 = 0.0;
    parameters.next_sigma = Some(0.0);
    let answer = write_spectrum::run(&bench.context, &parameters).unwrap();
    let figures = [answer.residuals[0], answer.pve, answer.captured_energy];
    assert_eq!(figures, [0.0; 3]);
}
