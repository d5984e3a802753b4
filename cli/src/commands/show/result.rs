//! Reads a finished result: its manifest and its singular values.

use arrow::array::{Float64Array, RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use futures::future::join_all;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rankmill_common::manifest::{MANIFEST_NAME, Manifest, RESULT_FOLDERS, SPECTRUM_FOLDER};
use rankmill_common::{Error, ErrorKind, Result};
use rankmill_store::{Entry, Store};

use crate::place;

/// A finished result, wherever it lies.
#[derive(Clone, Debug)]
pub(crate) struct ResultFiles {
    pub(super) store: Store,
}

/// The table of singular values, by columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spectrum {
    pub(crate) component: Vec<u64>,
    pub(crate) values: Vec<f64>,
    pub(crate) explained_variance_ratio: Vec<f64>,
    pub(crate) residual: Vec<f64>,
}

impl Spectrum {
    /// For machines.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "component": self.component,
            "value": self.values,
            "explained_variance_ratio": self.explained_variance_ratio,
            "residual": self.residual,
        })
    }
}

impl ResultFiles {
    /// Opens the result below `output`, a path or a URL. Makes no directory.
    pub(crate) fn open(output: &str) -> Result<Self> {
        let place = place::parse(output)?;
        if place.local_path("").is_some_and(|path| !path.is_dir()) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{output}: no such directory"),
            ));
        }
        let store = Store::open(&place.url())?;
        Ok(Self { store })
    }

    /// The manifest.
    ///
    /// # Errors
    ///
    /// `NotFound` for a result that is not finished.
    pub(crate) async fn manifest(&self) -> Result<Manifest> {
        let bytes = match self.store.get(MANIFEST_NAME).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(self.unfinished().await),
            read => read?,
        };
        serde_json::from_slice(&bytes).map_err(|e| self.damaged(MANIFEST_NAME, &e))
    }

    /// The table of singular values that `manifest` names.
    pub(crate) async fn spectrum(&self, manifest: &Manifest) -> Result<Spectrum> {
        let mut paths = manifest.files.iter().map(|file| file.path.as_str());
        let file = paths.find(|path| path.starts_with(SPECTRUM_FOLDER));
        let file = file
            .ok_or_else(|| self.damaged(MANIFEST_NAME, &"it names no table of singular values"))?;
        let bytes = self.store.get(file).await?;
        let damaged = |e: &dyn std::fmt::Display| self.damaged(file, e);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|e| damaged(&e))?;
        let schema = reader.schema();
        let batches = reader
            .collect::<std::result::Result<Vec<RecordBatch>, _>>()
            .map_err(|e| damaged(&e))?;
        let batch = concat_batches(&schema, &batches).map_err(|e| damaged(&e))?;
        let column = |name: &str| numbers(&batch, name).map_err(|e| damaged(&e));
        Ok(Spectrum {
            component: column("component")?.iter().map(|&i| i as u64).collect(),
            values: column("value")?,
            explained_variance_ratio: column("explained_variance_ratio")?,
            residual: column("residual")?,
        })
    }

    /// The place of `key`, for people.
    pub(super) fn display(&self, key: &str) -> String {
        let place = self.store.location().display(key);
        place.trim_end_matches('/').to_owned()
    }

    async fn unfinished(&self) -> Error {
        let place = self.display("");
        let begun = |files: Result<Vec<Entry>>| files.is_ok_and(|files| !files.is_empty());
        let parts = join_all(RESULT_FOLDERS.map(|folder| self.store.list(folder))).await;
        let message = if parts.into_iter().any(begun) {
            format!(
                "{place} holds an unfinished result: there is no {MANIFEST_NAME}; the command that \
                 began it continues it"
            )
        } else {
            format!("{place} holds no result: there is no {MANIFEST_NAME}")
        };
        Error::new(ErrorKind::NotFound, message)
    }

    pub(super) fn damaged(&self, key: &str, reason: &dyn std::fmt::Display) -> Error {
        Error::invalid_input(format!("{} is damaged: {reason}", self.display(key)))
    }
}

fn numbers(batch: &RecordBatch, name: &str) -> std::result::Result<Vec<f64>, String> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| format!("there is no column {name}"))?;
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Float64)
        .map_err(|e| format!("column {name}: {e}"))?;
    let column = column.as_any().downcast_ref::<Float64Array>();
    Ok(column.map_or_else(Vec::new, |column| column.values().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_makes_no_directory() {
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = folder.path().join("nowhere");
        let error = ResultFiles::open(&nowhere.display().to_string()).expect_err("nothing there");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(!nowhere.exists());
    }

    #[tokio::test]
    async fn an_unfinished_result_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let result = ResultFiles::open(&folder.path().display().to_string()).expect("opened");
        let error = result.manifest().await.expect_err("empty");
        assert!(error.message.contains("holds no result"), "{error}");
        std::fs::create_dir(folder.path().join("left")).expect("made");
        std::fs::write(folder.path().join("left/part"), b"x").expect("written");
        let error = result.manifest().await.expect_err("unfinished");
        assert!(error.message.contains("continues it"), "{error}");
        std::fs::write(folder.path().join(MANIFEST_NAME), b"{").expect("written");
        let error = result.manifest().await.expect_err("damaged");
        assert!(error.message.contains("is damaged"), "{error}");
    }
}
