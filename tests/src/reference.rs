//! Reference answers made by scipy and scikit-learn (see `tests/reference/README.md`).

use std::path::PathBuf;

use serde_json::Value;

use crate::program::workspace;

/// One matrix with its true singular values.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Name, e.g. `cranfield/tfidf`.
    pub name: String,
    /// The Parquet file; absent where the data is not on this machine.
    pub file: Option<PathBuf>,
    /// Column names: row, col and value, or id and vector.
    pub columns: Columns,
    /// Transforms, as on the command line.
    pub transform: Option<String>,
    /// Whether columns are centred.
    pub center: bool,
    /// Rows and columns.
    pub shape: (usize, usize),
    /// Leading singular values, descending.
    pub singular_values: Vec<f64>,
}

/// Which columns of a file form the matrix.
#[derive(Clone, Debug)]
pub enum Columns {
    /// Triplets.
    Sparse {
        /// Row ids.
        row: String,
        /// Column ids.
        col: String,
        /// Values, if not all one.
        value: Option<String>,
    },
    /// Vectors.
    Dense {
        /// Row ids.
        id: String,
        /// Vectors.
        vector: String,
    },
}

/// Every reference. Files of the data folder are looked for under `RANKMILL_TEST_DATA`, or
/// `../shared/data` beside the checkout.
///
/// # Panics
///
/// If `values.json` is not what `make_references.py` writes.
pub fn all() -> Vec<Reference> {
    let path = workspace().join("tests/reference/values.json");
    let text = std::fs::read_to_string(path).expect("values.json");
    let values: Value = serde_json::from_str(&text).expect("JSON");
    let entries = values.as_object().expect("an object");
    entries
        .iter()
        .map(|(name, entry)| parse(name, entry))
        .collect()
}

fn parse(name: &str, entry: &Value) -> Reference {
    let input = &entry["input"];
    let text = |key: &str| input[key].as_str().map(str::to_owned);
    let columns = match (text("row"), text("col"), text("id"), text("vector")) {
        (Some(row), Some(col), _, _) => Columns::Sparse {
            row,
            col,
            value: text("value"),
        },
        (_, _, Some(id), Some(vector)) => Columns::Dense { id, vector },
        _ => panic!("{name} has no columns"),
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    let numbers = |value: &Value| {
        value
            .as_array()
            .expect("a list")
            .iter()
            .map(number)
            .collect()
    };
    Reference {
        name: name.to_owned(),
        file: locate(&text("file").expect("a file")),
        columns,
        transform: text("transform"),
        center: input["centre"].as_bool().unwrap_or(false),
        shape: (
            entry["shape"][0].as_u64().expect("rows") as usize,
            entry["shape"][1].as_u64().expect("columns") as usize,
        ),
        singular_values: numbers(&entry["singular_values"]),
    }
}

pub(crate) fn locate(file: &str) -> Option<PathBuf> {
    let own = workspace().join(file);
    if own.exists() {
        return Some(own);
    }
    let folder = std::env::var_os("RANKMILL_TEST_DATA")
        .map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    Some(folder.join(file)).filter(|path| path.exists())
}

impl Reference {
    /// The command line that factors this matrix, without `-k` and `-o`.
    ///
    /// # Panics
    ///
    /// If the file is absent.
    pub fn arguments(&self) -> Vec<String> {
        let file = self.file.as_ref().expect("a file");
        let mut arguments = vec!["svd".to_owned(), file.display().to_string()];
        let mut add = |flag: &str, value: &str| {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        };
        match &self.columns {
            Columns::Sparse { row, col, value } => {
                add("--row", row);
                add("--col", col);
                if let Some(value) = value {
                    add("--value", value);
                }
            }
            Columns::Dense { id, vector } => {
                add("--id", id);
                add("--vector", vector);
            }
        }
        if let Some(transform) = &self.transform {
            add("--transform", transform);
        }
        if self.center {
            arguments.push("--center".to_owned());
        }
        arguments
    }
}
