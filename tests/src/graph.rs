//! Graphs with true scores (see `tests/reference/README.md`), and results of jobs on graphs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, UInt32Type};
use serde_json::Value;

use crate::input::{IntoColumn, column, id_text, write_parquet};
use crate::program::{Bench, workspace};
use crate::reference::locate;
use crate::result::read_table;

/// A graph and what scipy, networkx and igraph say of it.
#[derive(Clone, Debug)]
pub struct GraphReference {
    /// Name, e.g. `wiki-Vote/uniform`.
    pub name: String,
    source: Value,
    /// Number of vertices.
    pub vertices: u64,
    /// Number of edges, parallel ones merged.
    pub edges: u64,
    /// The largest scores.
    pub pagerank: Leading,
    /// The largest scores by source.
    pub ppr: BTreeMap<String, Leading>,
}

/// The largest scores, descending.
#[derive(Clone, Debug)]
pub struct Leading {
    /// Vertices as text.
    pub ids: Vec<String>,
    /// Their scores.
    pub scores: Vec<f64>,
}

/// Every reference.
///
/// # Panics
///
/// If `graphs.json` is not what `make_graphs.py` writes.
pub fn all() -> Vec<GraphReference> {
    let path = workspace().join("tests/reference/graphs.json");
    let text = std::fs::read_to_string(path).expect("graphs.json");
    let values: Value = serde_json::from_str(&text).expect("JSON");
    let graphs = values["graphs"].as_object().expect("an object");
    graphs
        .iter()
        .map(|(name, entry)| parse(name, entry))
        .collect()
}

fn parse(name: &str, entry: &Value) -> GraphReference {
    let personal = entry["ppr"].as_object().expect("sources").iter();
    GraphReference {
        name: name.to_owned(),
        source: entry["input"].clone(),
        vertices: entry["vertices"].as_u64().expect("a number"),
        edges: entry["edges"].as_u64().expect("a number"),
        pagerank: leading(&entry["pagerank"]),
        ppr: personal
            .map(|(source, scores)| (source.clone(), leading(scores)))
            .collect(),
    }
}

fn leading(value: &Value) -> Leading {
    let list = |key: &str| value[key].as_array().expect("a list").iter();
    Leading {
        ids: list("ids")
            .map(|id| id.as_str().expect("text").to_owned())
            .collect(),
        scores: list("scores")
            .map(|score| score.as_f64().expect("a number"))
            .collect(),
    }
}

impl GraphReference {
    /// Flags that say which graph this is, from its file or a file of its edges in `bench`; `None`
    /// where the data is not on this machine.
    pub fn arguments(&self, bench: &Bench) -> Option<Vec<String>> {
        let file = match self.source["file"].as_str() {
            Some(file) => locate(file)?,
            None => self.write_edges(bench),
        };
        let mut arguments = vec![file.display().to_string()];
        if let Some(weight) = self.source["weight"].as_str() {
            arguments.extend(["--weight".to_owned(), weight.to_owned()]);
        }
        if self.source["undirected"] == true {
            arguments.push("--undirected".to_owned());
        }
        arguments.extend(["--dangling".to_owned(), self.dangling().to_owned()]);
        Some(arguments)
    }

    /// What happens at vertices without out-edges.
    ///
    /// # Panics
    ///
    /// If the reference does not say.
    pub fn dangling(&self) -> &str {
        self.source["dangling"].as_str().expect("a word")
    }

    fn write_edges(&self, bench: &Bench) -> PathBuf {
        let edges = self.source["edges"].as_array().expect("edges");
        let weights: Vec<f64> = edges
            .iter()
            .map(|e| e[2].as_f64().expect("a weight"))
            .collect();
        let end = |index: usize| -> arrow::array::ArrayRef {
            if edges[0][0].is_string() {
                let text = |e: &Value| e[index].as_str().expect("text").to_owned();
                column(edges.iter().map(text).collect::<Vec<String>>())
            } else {
                let number = |e: &Value| e[index].as_i64().expect("a number");
                column(edges.iter().map(number).collect::<Vec<i64>>())
            }
        };
        let columns = vec![
            ("src", end(0)),
            ("dst", end(1)),
            ("weight", column(weights)),
        ];
        let path = bench.path("edges.parquet");
        write_parquet(&path, columns, 100)
    }
}

/// The result of `rankmill pagerank`.
#[derive(Debug)]
pub struct ScoreFiles {
    /// Score by id.
    pub scores: BTreeMap<String, f64>,
    /// Ids in the order of the files.
    pub order: Vec<String>,
    /// Type of the ids.
    pub id_type: DataType,
    /// The manifest.
    pub manifest: Value,
}

/// The answer for one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonalAnswer {
    /// Targets and scores, best first.
    pub targets: Vec<(String, f64)>,
    /// Reported bound.
    pub residual: f64,
    /// Whether the set of targets is said to be proven.
    pub proven: bool,
}

/// The result of `rankmill ppr`.
#[derive(Debug)]
pub struct PersonalFiles {
    /// By source.
    pub answers: BTreeMap<String, PersonalAnswer>,
    /// Sources in the order of the files.
    pub order: Vec<String>,
    /// The manifest.
    pub manifest: Value,
}

/// What elimination and power iteration leave of the references' own digits.
const REFERENCE_ERROR: f64 = 1e-11;

impl PersonalAnswer {
    /// Holds the answer, of `k` targets at most, against the exact one.
    ///
    /// # Panics
    ///
    /// If it lies outside its bound, or is said to be proven and is not the best.
    pub fn check(&self, exact: &Leading, k: usize, what: &str) {
        let exact_by_id: BTreeMap<_, _> = exact.ids.iter().zip(&exact.scores).collect();
        let least_shown = exact.scores.last().copied().unwrap_or(0.0);
        let mut distance = 0.0;
        for (target, score) in &self.targets {
            // A target that the reference does not show has at most the last score it shows.
            distance += match exact_by_id.get(target) {
                Some(exact) => (score - **exact).abs(),
                None => (score - least_shown).max(0.0),
            };
        }
        assert!(
            distance <= self.residual + REFERENCE_ERROR,
            "{what}: {distance} > {self:?}"
        );
        if !self.proven {
            return;
        }
        let positive = exact.scores.iter().filter(|score| **score > 1e-15).count();
        assert_eq!(self.targets.len(), k.min(positive), "{what}: {self:?}");
        let needed = exact.scores[self.targets.len() - 1] - REFERENCE_ERROR;
        for (target, _) in &self.targets {
            let exact = exact_by_id.get(target);
            assert!(
                exact.is_some_and(|score| **score >= needed),
                "{what}: {target} is no target"
            );
        }
    }
}

impl ScoreFiles {
    /// Reads the result below `folder`.
    ///
    /// # Panics
    ///
    /// If anything is missing or has another form than documented.
    pub fn read(folder: &Path) -> Self {
        let manifest = manifest(folder);
        let table = read_table(&files(folder, &manifest, "scores/"));
        let ids = table.column_by_name("id").expect("a column id");
        let scores = doubles(&table, "score");
        let order: Vec<String> = (0..ids.len()).map(|row| id_text(ids, row)).collect();
        let by_id: BTreeMap<_, _> = order.iter().cloned().zip(scores).collect();
        assert_eq!(by_id.len(), order.len(), "ids are unique");
        Self {
            scores: by_id,
            order,
            id_type: ids.data_type().clone(),
            manifest,
        }
    }
}

impl PersonalFiles {
    /// Reads the result below `folder`; checks ranks and the order of scores.
    ///
    /// # Panics
    ///
    /// If anything is missing or has another form than documented.
    pub fn read(folder: &Path) -> Self {
        let manifest = manifest(folder);
        let sources = read_table(&files(folder, &manifest, "sources/"));
        let names = sources.column_by_name("source").expect("a column source");
        let proven = sources
            .column_by_name("proven")
            .expect("a column")
            .as_boolean();
        let residuals = doubles(&sources, "residual");
        let order: Vec<String> = (0..names.len()).map(|row| id_text(names, row)).collect();
        let mut answers = BTreeMap::new();
        for (row, name) in order.iter().enumerate() {
            let answer = PersonalAnswer {
                targets: Vec::new(),
                residual: residuals[row],
                proven: proven.value(row),
            };
            assert!(
                answers.insert(name.clone(), answer).is_none(),
                "{name} twice"
            );
        }
        let scores = read_table(&files(folder, &manifest, "scores/"));
        let sources = scores.column_by_name("source").expect("a column source");
        let targets = scores.column_by_name("target").expect("a column target");
        let ranks = scores.column_by_name("rank").expect("a column rank");
        let ranks = ranks.as_primitive::<UInt32Type>();
        for (row, score) in doubles(&scores, "score").into_iter().enumerate() {
            let answer = answers
                .get_mut(&id_text(sources, row))
                .expect("a listed source");
            answer.targets.push((id_text(targets, row), score));
            assert_eq!(
                ranks.value(row) as usize,
                answer.targets.len(),
                "ranks count up"
            );
            assert!(answer.targets.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        }
        Self {
            answers,
            order,
            manifest,
        }
    }
}

fn manifest(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("_manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

fn files(folder: &Path, manifest: &Value, prefix: &str) -> Vec<PathBuf> {
    let listed = manifest["files"].as_array().expect("files").iter();
    listed
        .filter_map(|file| file["path"].as_str())
        .filter(|path| path.starts_with(prefix))
        .map(|path| folder.join(path))
        .collect()
}

fn doubles(table: &arrow::record_batch::RecordBatch, name: &str) -> Vec<f64> {
    let column = table.column_by_name(name).expect("a column");
    column.as_primitive::<Float64Type>().values().to_vec()
}

/// A graph of a test's own, and jobs on it.
pub struct GraphCase {
    /// Where it lies, and its results.
    pub bench: Bench,
    /// The file of its edges: `src`, `dst` and `weight`.
    pub edges: PathBuf,
}

impl GraphCase {
    /// Writes the edges, in row groups of `group` rows.
    pub fn new<I: IntoColumn, J: IntoColumn>(
        (src, dst): (I, J),
        weight: Vec<Option<f64>>,
        group: usize,
    ) -> Self {
        let bench = Bench::new();
        let edges = bench.path("edges.parquet");
        let columns = vec![
            ("src", column(src)),
            ("dst", column(dst)),
            ("weight", column(weight)),
        ];
        write_parquet(&edges, columns, group);
        Self { bench, edges }
    }

    /// A command line of `job` that writes to [`Self::out`].
    pub fn arguments(&self, job: &str, flags: &[&str]) -> Vec<String> {
        let edges = self.edges.display().to_string();
        let out = self.out().display().to_string();
        let mut arguments = vec![job, &edges, "-o", &out];
        arguments.extend(flags);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// Where results go.
    pub fn out(&self) -> PathBuf {
        self.bench.path("out")
    }

    /// Runs PageRank, which has to succeed.
    pub fn page_rank(&self, flags: &[&str]) -> ScoreFiles {
        self.bench.succeed(self.arguments("pagerank", flags));
        ScoreFiles::read(&self.out())
    }

    /// Runs personalized PageRank, which has to succeed.
    pub fn ppr(&self, flags: &[&str]) -> PersonalFiles {
        self.bench.succeed(self.arguments("ppr", flags));
        PersonalFiles::read(&self.out())
    }

    /// Runs `job`, which has to fail with `code`, name all `parts` and leave no result.
    pub fn refuse(&self, job: &str, flags: &[&str], code: i32, parts: &[&str]) {
        let (found, message) = self.bench.fail(self.arguments(job, flags));
        assert_eq!(found, code, "{flags:?}: {message}");
        for part in parts {
            assert!(message.contains(part), "{flags:?}: {part} in {message}");
        }
        assert!(!self.out().join("_manifest.json").exists());
    }

    /// Writes a table of sources or seeds; returns its path.
    pub fn table(&self, name: &str, columns: Vec<(&str, arrow::array::ArrayRef)>) -> String {
        let path = write_parquet(&self.bench.path(name), columns, 10);
        path.display().to_string()
    }
}
