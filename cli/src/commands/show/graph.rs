//! Scores of a graph: how good they are, and the best of them.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rankmill_common::Result;
use rankmill_common::input::{EdgeDirection, Layout};
use rankmill_common::job::ppr::Seeds;
use rankmill_common::job::{JobSpec, PageRankSpec, PprIndexSpec, PprSpec};
use rankmill_common::manifest::{Manifest, Quality};
use rankmill_common::operator::WrittenFile;

use super::ResultFiles;
use crate::text::{Align, counted, grouped, table};

/// Vertices, or rows of the first sources, that are shown.
const FIRST: usize = 10;

/// A row of the scores: for personalized PageRank with its source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Best {
    source: Option<String>,
    target: String,
    score: f64,
}

/// The best vertices; of personalized PageRank the first rows, with `all` every one.
pub(super) async fn best(
    result: &ResultFiles,
    manifest: &Manifest,
    all: bool,
) -> Result<Vec<Best>> {
    let limit = if all { usize::MAX } else { FIRST };
    let personal = matches!(manifest.convergence, Quality::Personal(_));
    let mut best = Vec::new();
    for file in manifest
        .files
        .iter()
        .filter(|file| file.path.starts_with("scores/"))
    {
        best.extend(rows(result, file).await?);
        if !personal {
            // Stable: equal scores stay in the order of their ids.
            best.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
            best.truncate(limit);
        } else if best.len() >= limit {
            best.truncate(limit);
            break;
        }
    }
    Ok(best)
}

async fn rows(result: &ResultFiles, file: &WrittenFile) -> Result<Vec<Best>> {
    let bytes = result.store.get(&file.path).await?;
    let damaged = |e: &dyn std::fmt::Display| result.damaged(&file.path, e);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|e| damaged(&e))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| damaged(&e))?;
        rows.extend(batch_rows(&batch).map_err(|e| damaged(&e))?);
    }
    Ok(rows)
}

fn batch_rows(batch: &RecordBatch) -> std::result::Result<Vec<Best>, String> {
    let source = batch.column_by_name("source");
    let target = batch
        .column_by_name("target")
        .or_else(|| batch.column_by_name("id"))
        .ok_or("there is no column id")?;
    let scores = batch
        .column_by_name("score")
        .and_then(|scores| scores.as_primitive_opt::<Float64Type>())
        .ok_or("there is no column score")?;
    let text = |ids: &dyn Array, row| array_value_to_string(ids, row).map_err(|e| e.to_string());
    (0..batch.num_rows())
        .map(|row| {
            Ok(Best {
                source: source.map(|source| text(source, row)).transpose()?,
                target: text(target, row)?,
                score: scores.value(row),
            })
        })
        .collect()
}

/// Everything about a job on a graph but its files.
pub(super) fn text(manifest: &Manifest, best: &[Best]) -> String {
    let graph = &manifest.matrix;
    let input_rows: u64 = manifest.inputs.iter().map(|input| input.rows).sum();
    let skipped = match graph.skipped_rows {
        0 => String::new(),
        skipped => format!(", {} left out", grouped(skipped)),
    };
    let vertices = if graph.nrows == 1 {
        "vertex"
    } else {
        "vertices"
    };
    format!(
        "graph      {} {vertices}, {}\n\
         input      {}, {}{skipped}; {}\n\
         parameters {}\n\
         quality    {}\n\n{}",
        grouped(graph.nrows),
        counted(graph.nnz, "edge"),
        counted(manifest.inputs.len() as u64, "file"),
        counted(input_rows, "row"),
        columns(&manifest.parameters),
        parameters(&manifest.parameters),
        quality(&manifest.convergence),
        scores(best),
    )
}

fn columns(spec: &JobSpec) -> String {
    let Layout::Graph(layout) = &spec.input().layout else {
        return String::new();
    };
    let weight = layout.weight.as_deref().unwrap_or("1");
    let arrow = match layout.edges {
        EdgeDirection::Directed => "→",
        EdgeDirection::Undirected => "↔",
    };
    format!("{} {arrow} {}, weight {weight}", layout.src, layout.dst)
}

fn parameters(spec: &JobSpec) -> String {
    match spec {
        JobSpec::Svd(_) => String::new(),
        JobSpec::PageRank(PageRankSpec {
            damping,
            dangling,
            tol,
            ..
        }) => format!(
            "damping {damping}, dangling {}, tol {tol:e}",
            dangling.name()
        ),
        JobSpec::Ppr(PprSpec {
            damping,
            dangling,
            tol,
            top_k,
            seeds,
            index,
            ..
        }) => {
            let sources = match seeds {
                Seeds::All => "all vertices".to_owned(),
                Seeds::Ids { ids } => counted(ids.len() as u64, "id"),
                Seeds::Sources { paths, .. } => paths.join(", "),
                Seeds::Table { paths, .. } => format!("seeds of {}", paths.join(", ")),
            };
            format!(
                "damping {damping}, dangling {}, tol {tol:e}, top {top_k}; sources {sources}{}",
                dangling.name(),
                index
                    .as_ref()
                    .map_or_else(String::new, |index| format!("; index {index}"))
            )
        }
        JobSpec::PprIndex(PprIndexSpec {
            damping,
            dangling,
            walks,
            entries,
            seed,
            ..
        }) => format!(
            "damping {damping}, dangling {}, {walks} walks, {entries} entries, seed {seed}",
            dangling.name()
        ),
    }
}

fn quality(quality: &Quality) -> String {
    let converged = if quality.converged() {
        "converged"
    } else {
        "NOT CONVERGED"
    };
    match quality {
        Quality::Factors(_) => String::new(),
        Quality::Scores(scores) => format!(
            "{converged}, {}; error at most {:.1e}, sum {:.12}",
            counted(u64::from(scores.iterations), "iteration"),
            scores.residual,
            scores.sum
        ),
        Quality::Personal(personal) => format!(
            "{converged}, {} by {}; error at most {:.1e}, {} of {} sets of targets proven",
            counted(personal.sources, "source"),
            personal.method,
            personal.max_residual,
            grouped(personal.proven),
            grouped(personal.sources)
        ),
        Quality::Index(index) => format!(
            "{} entries, {:.2} % of the walks' visits left out; of graph {}",
            grouped(index.entries),
            100.0 * index.missing,
            index.graph.short()
        ),
    }
}

fn scores(best: &[Best]) -> String {
    if best.is_empty() {
        return String::new();
    }
    let personal = best.iter().any(|row| row.source.is_some());
    let mut titles = vec![("vertex", Align::Left), ("score", Align::Right)];
    if personal {
        titles[0].0 = "target";
        titles.insert(0, ("source", Align::Left));
    }
    let rows: Vec<Vec<String>> = best
        .iter()
        .map(|row| {
            let mut cells: Vec<String> = row.source.iter().cloned().collect();
            cells.extend([row.target.clone(), format!("{:.6e}", row.score)]);
            cells
        })
        .collect();
    table(&titles, &rows)
}

/// For machines.
pub(super) fn to_json(best: &[Best]) -> serde_json::Value {
    let row = |row: &Best| match &row.source {
        Some(source) => serde_json::json!({
            "source": source, "target": row.target, "score": row.score
        }),
        None => serde_json::json!({ "id": row.target, "score": row.score }),
    };
    best.iter().map(row).collect()
}
