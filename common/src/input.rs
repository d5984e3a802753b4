//! What a job reads: files, columns, and what happens to each entry on the way in.

use serde::{Deserialize, Serialize};

/// The input of a job, validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Parquet files, directories or globs, as URLs.
    pub paths: Vec<String>,
    /// How the columns form a matrix.
    pub layout: Layout,
    /// What to do with a row that holds a null, NaN or infinity.
    pub on_bad_row: OnBadRow,
}

/// How Parquet columns form a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layout", rename_all = "snake_case")]
pub enum Layout {
    /// One matrix entry per Parquet row.
    Sparse(SparseLayout),
    /// One matrix row per Parquet row.
    Dense(DenseLayout),
    /// One edge per Parquet row; both ends are vertices of one set.
    Graph(GraphLayout),
}

/// Triplets: (row id, column id, value).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SparseLayout {
    /// Name of the column that holds row ids.
    pub row: String,
    /// Name of the column that holds column ids.
    pub col: String,
    /// Name of the column that holds values; without it every entry is one.
    pub value: Option<String>,
    /// How ids become indices.
    pub ids: Ids,
    /// What becomes of several entries at one place.
    pub duplicates: Duplicates,
    /// Applied in this order once duplicates are merged.
    pub transforms: Vec<Transform>,
}

/// How ids become indices 0, 1, 2, …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ids", rename_all = "snake_case")]
pub enum Ids {
    /// Any integer, string or binary id; indices follow the order of the ids.
    Dictionary,
    /// Ids are the indices already.
    Dense {
        /// Rows and columns of the matrix; without it the largest indices decide.
        shape: Option<(u64, u64)>,
    },
}

/// Edges: (source id, destination id, weight).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphLayout {
    /// Name of the column that holds the vertex an edge leaves.
    pub src: String,
    /// Name of the column that holds the vertex an edge enters.
    pub dst: String,
    /// Name of the column that holds positive weights; without it every edge weighs one.
    pub weight: Option<String>,
    /// How vertex ids become indices; a dense shape is square.
    pub ids: Ids,
    /// What becomes of parallel edges.
    pub duplicates: Duplicates,
    /// Whether an edge can be followed both ways.
    pub edges: EdgeDirection,
}

/// Whether an edge can be followed both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeDirection {
    /// From source to destination only.
    #[default]
    Directed,
    /// Both ways: each edge counts once in either direction, a self-loop once.
    Undirected,
}

/// Which end of an edge is the row of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Rows are the edges that enter a vertex: what scores are pulled along.
    Incoming,
    /// Rows are the edges that leave a vertex: what residuals are pushed and walks go along.
    Outgoing,
}

impl GraphLayout {
    /// The matrix of these edges as triplets.
    pub fn triplets(&self, orientation: Orientation) -> SparseLayout {
        let (row, col) = match orientation {
            Orientation::Incoming => (&self.dst, &self.src),
            Orientation::Outgoing => (&self.src, &self.dst),
        };
        SparseLayout {
            row: row.clone(),
            col: col.clone(),
            value: self.weight.clone(),
            ids: self.ids.clone(),
            duplicates: self.duplicates,
            transforms: Vec::new(),
        }
    }
}

/// Rows of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseLayout {
    /// Name of the column that holds row ids; without it rows are numbered from zero.
    pub id: Option<String>,
    /// One list column, or several numeric columns.
    pub vector: Vec<String>,
}

/// What becomes of several entries at one place of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// They are added up.
    #[default]
    Sum,
    /// The largest counts.
    Max,
    /// The last one in file order counts.
    Last,
    /// They are refused.
    Error,
}

/// What to do with a row that holds a null, NaN or infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    /// Refuse the input, naming the place.
    #[default]
    Error,
    /// Leave the row out and count it.
    Skip,
}

/// A change of the stored values. N is the number of matrix rows, df(c) the number of rows with
/// an entry in column c.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "transform", rename_all = "kebab-case")]
pub enum Transform {
    /// Every stored entry becomes one.
    Binary,
    /// ln(1 + x).
    Log1p,
    /// x · (ln((1+N)/(1+df)) + 1): scikit-learn's `TfidfTransformer` with `smooth_idf`, before
    /// its row norm (add [`Transform::L2Rows`] for that).
    Tfidf,
    /// x·(k1+1) / (k1·(1−b+b·len/mean len) + x) · (ln N − ln(1+df)), len the row's sum: as
    /// implicit's `bm25_weight`.
    Bm25 {
        /// Saturation of repeated entries.
        k1: f64,
        /// Strength of the row length correction, between 0 and 1.
        b: f64,
    },
    /// Rows divided by their sum of absolute values.
    L1Rows,
    /// Rows divided by their Euclidean norm.
    L2Rows,
    /// Columns divided by their sum of absolute values.
    L1Cols,
    /// Columns divided by their Euclidean norm.
    L2Cols,
    /// x / √(row sum · column sum).
    Degree,
}

impl Transform {
    /// BM25 with the constants that implicit's `bm25_weight` uses by default.
    pub const BM25: Self = Self::Bm25 { k1: 100.0, b: 0.8 };

    /// Whether a row can be transformed without knowing the other rows.
    pub fn is_local(self) -> bool {
        match self {
            Self::Binary | Self::Log1p | Self::L1Rows | Self::L2Rows => true,
            Self::Tfidf | Self::Bm25 { .. } | Self::L1Cols | Self::L2Cols | Self::Degree => false,
        }
    }

    /// Whether a negative value has no meaning under this transform.
    pub fn needs_non_negative(self) -> bool {
        match self {
            Self::Log1p | Self::Tfidf | Self::Bm25 { .. } | Self::Degree => true,
            Self::Binary | Self::L1Rows | Self::L2Rows | Self::L1Cols | Self::L2Cols => false,
        }
    }

    /// The name that people write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Log1p => "log1p",
            Self::Tfidf => "tfidf",
            Self::Bm25 { .. } => "bm25",
            Self::L1Rows => "l1-rows",
            Self::L2Rows => "l2-rows",
            Self::L1Cols => "l1-cols",
            Self::L2Cols => "l2-cols",
            Self::Degree => "degree",
        }
    }
}

impl std::str::FromStr for Transform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ALL: [Transform; 9] = [
            Transform::Binary,
            Transform::Log1p,
            Transform::Tfidf,
            Transform::BM25,
            Transform::L1Rows,
            Transform::L2Rows,
            Transform::L1Cols,
            Transform::L2Cols,
            Transform::Degree,
        ];
        ALL.into_iter()
            .find(|transform| transform.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = ALL.iter().map(|transform| transform.name()).collect();
                format!("{text:?} is no transform: there are {}", names.join(", "))
            })
    }
}
