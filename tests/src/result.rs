//! Reads a finished result from its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, FixedSizeListArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::input::id_text;

/// A result as it lies on disk.
#[derive(Debug)]
pub struct FactorFiles {
    /// Left ids and vectors.
    pub left: Factor,
    /// Right ids and vectors.
    pub right: Factor,
    /// Singular values.
    pub values: Vec<f64>,
    /// Reported residuals, over σ₁.
    pub residuals: Vec<f64>,
    /// Reported shares of ‖A‖²_F.
    pub explained: Vec<f64>,
    /// The manifest.
    pub manifest: Value,
}

/// One factor.
#[derive(Debug)]
pub struct Factor {
    /// Id as text → row.
    pub index: BTreeMap<String, usize>,
    /// Type of the ids.
    pub id_type: DataType,
    /// Row-major n×k.
    pub vectors: Vec<f64>,
    /// Number of components.
    pub k: usize,
}

impl FactorFiles {
    /// Reads the result below `folder` by its manifest.
    ///
    /// # Panics
    ///
    /// If anything is missing or has another form than documented.
    pub fn read(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("_manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&text).expect("JSON");
        let spectrum = read_table(&files(folder, &manifest, "singular_values"));
        let doubles = |name: &str| -> Vec<f64> {
            let column = spectrum.column_by_name(name).expect("a column");
            column.as_primitive::<Float64Type>().values().to_vec()
        };
        Self {
            left: Factor::read(&files(folder, &manifest, "left/")),
            right: Factor::read(&files(folder, &manifest, "right/")),
            values: doubles("value"),
            residuals: doubles("residual"),
            explained: doubles("explained_variance_ratio"),
            manifest,
        }
    }
}

impl Factor {
    fn read(paths: &[PathBuf]) -> Self {
        let table = read_table(paths);
        let ids = table.column_by_name("id").expect("a column id");
        let vectors = table.column_by_name("vector").expect("a column vector");
        let lists: &FixedSizeListArray = vectors.as_fixed_size_list();
        let values = lists.values().as_primitive::<Float32Type>();
        let index: BTreeMap<_, _> = (0..ids.len()).map(|row| (id_text(ids, row), row)).collect();
        assert_eq!(index.len(), ids.len(), "ids are unique");
        Self {
            index,
            id_type: ids.data_type().clone(),
            vectors: values.values().iter().map(|v| f64::from(*v)).collect(),
            k: lists.value_length() as usize,
        }
    }

    /// The row of a factor.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.vectors[row * self.k..(row + 1) * self.k]
    }

    /// Largest entry of |XᵀX − I|.
    pub fn orthogonality_error(&self) -> f64 {
        let k = self.k;
        let mut gram = vec![0.0; k * k];
        for row in self.vectors.chunks_exact(k) {
            for (i, a) in row.iter().enumerate() {
                for (j, b) in row.iter().enumerate() {
                    gram[i * k + j] += a * b;
                }
            }
        }
        for i in 0..k {
            gram[i * k + i] -= 1.0;
        }
        gram.iter().fold(0.0, |worst, x| f64::max(worst, x.abs()))
    }
}

/// Every file of a result with its digest, the manifest left out: what has to be the same.
pub fn digests(folder: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read(folder.join("_manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&text).expect("JSON");
    let files = manifest["files"].as_array().expect("files");
    files
        .iter()
        .map(|file| {
            let path = file["path"].as_str().expect("a path");
            let bytes = std::fs::read(folder.join(path)).expect("a file of the manifest");
            let digest = blake3::hash(&bytes).to_hex().to_string();
            assert_eq!(file["blake3"].as_str(), Some(digest.as_str()), "{path}");
            assert_eq!(file["size"].as_u64(), Some(bytes.len() as u64), "{path}");
            let name = path.split('-').take(2).collect::<Vec<_>>().join("-");
            (name, digest)
        })
        .collect()
}

fn files(folder: &Path, manifest: &Value, prefix: &str) -> Vec<PathBuf> {
    let listed = manifest["files"].as_array().expect("files").iter();
    listed
        .filter_map(|file| file["path"].as_str())
        .filter(|path| path.starts_with(prefix))
        .map(|path| folder.join(path))
        .collect()
}

/// All rows of some Parquet files.
///
/// # Panics
///
/// If one cannot be read.
pub fn read_table(paths: &[PathBuf]) -> RecordBatch {
    let mut batches = Vec::new();
    for path in paths {
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .expect("Parquet")
            .build();
        batches.extend(
            reader
                .expect("a reader")
                .map(|batch| batch.expect("a batch")),
        );
    }
    let schema = batches.first().expect("rows").schema();
    concat_batches(&schema, &batches).expect("one schema")
}
