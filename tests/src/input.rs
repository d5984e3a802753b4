//! Reads inputs plainly, and writes small ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;

use crate::reference::{Columns, Reference};
use crate::result::read_table;

/// A matrix as its file has it: entries by ids, duplicates added up.
#[derive(Debug, Default)]
pub struct Entries {
    /// (row id, column id) → value.
    pub values: BTreeMap<(String, String), f64>,
}

impl Entries {
    /// Reads a reference's file.
    ///
    /// # Panics
    ///
    /// If the file is absent or not as described.
    pub fn read(reference: &Reference) -> Self {
        let table = read_table(&[reference.file.clone().expect("a file")]);
        let column = |name: &str| Arc::clone(table.column_by_name(name).expect("a column"));
        match &reference.columns {
            Columns::Sparse { row, col, value } => {
                let values = value.as_ref().map(|name| doubles(&column(name)));
                Self::from_triplets(&column(row), &column(col), values.as_deref())
            }
            Columns::Dense { id, vector } => Self::from_vectors(&column(id), &column(vector)),
        }
    }

    fn from_triplets(rows: &ArrayRef, cols: &ArrayRef, values: Option<&[f64]>) -> Self {
        let mut entries = Self::default();
        for i in 0..rows.len() {
            let place = (id_text(rows, i), id_text(cols, i));
            *entries.values.entry(place).or_default() += values.map_or(1.0, |values| values[i]);
        }
        entries
    }

    fn from_vectors(ids: &ArrayRef, vectors: &ArrayRef) -> Self {
        let lists = vectors.as_fixed_size_list();
        let width = lists.value_length() as usize;
        let values = doubles(lists.values());
        let mut entries = Self::default();
        for (i, value) in values.iter().enumerate() {
            let place = (id_text(ids, i / width), (i % width).to_string());
            entries.values.insert(place, *value);
        }
        entries
    }
}

/// The id in `row` as text.
///
/// # Panics
///
/// For a type that is no id.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the library's enum has forty types"
)]
pub fn id_text(ids: &dyn Array, row: usize) -> String {
    match ids.data_type() {
        DataType::Utf8 => ids.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => ids.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => ids.as_string_view().value(row).to_owned(),
        DataType::Binary => format!("{:02x?}", ids.as_binary::<i32>().value(row)),
        _ => {
            let text = arrow::compute::cast(&ids.slice(row, 1), &DataType::Utf8);
            text.expect("an id").as_string::<i32>().value(0).to_owned()
        }
    }
}

/// A numeric column as f64, rounded through f32 as rankmill stores it.
fn doubles(column: &dyn Array) -> Vec<f64> {
    let singles = arrow::compute::cast(column, &DataType::Float32).expect("numbers");
    let singles = singles.as_primitive::<arrow::datatypes::Float32Type>();
    singles.values().iter().map(|v| f64::from(*v)).collect()
}

/// Writes a diagonal matrix (`row`, `col`, `value`) whose column ids are turned around: its singular
/// values are the sizes of `values`.
///
/// # Panics
///
/// If the file cannot be written.
pub fn write_diagonal(path: &Path, values: &[f64]) -> PathBuf {
    let ids: Vec<i64> = (0..values.len() as i64).collect();
    let turned: Vec<i64> = ids.iter().rev().copied().collect();
    let columns = vec![
        ("row", column(ids)),
        ("col", column(turned)),
        ("value", column(values.to_vec())),
    ];
    write_parquet(path, columns, 1000)
}

/// Writes columns as one Parquet file with row groups of `group` rows.
///
/// # Panics
///
/// If the columns do not fit together or the disk is full.
pub fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>, group: usize) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let file = File::create(path).expect("a file");
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    path.to_owned()
}

/// A column of numbers or texts.
pub fn column<T>(values: T) -> ArrayRef
where
    T: IntoColumn,
{
    values.into_column()
}

/// What can be written as a column.
pub trait IntoColumn {
    /// The column.
    fn into_column(self) -> ArrayRef;
}

macro_rules! into_column {
    ($($native:ty => $array:ident),+ $(,)?) => {
        $(impl IntoColumn for Vec<$native> {
            fn into_column(self) -> ArrayRef {
                Arc::new(arrow::array::$array::from(self))
            }
        })+
    };
}

into_column! {
    i8 => Int8Array,
    i32 => Int32Array,
    i64 => Int64Array,
    f32 => Float32Array,
    f64 => Float64Array,
    Option<f64> => Float64Array,
    Option<i64> => Int64Array,
    &str => StringArray,
    String => StringArray,
    &[u8] => BinaryArray,
}
