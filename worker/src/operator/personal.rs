//! What all methods of personalized PageRank share: the sources of a task, and the two files that
//! its answers go into.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListArray, RecordBatch, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, UInt32Type};
use rankmill_common::job::ppr::Stop;
use rankmill_common::operator::WrittenFile;
use rankmill_common::operator::power_scores::{Personal, PersonalScores, SourceList};
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::Ranked;

use crate::context::TaskContext;
use crate::storage::id_rows;
use crate::storage::ipc::IpcFile;
use crate::storage::order::Order;
use crate::storage::result::Table;

/// Bytes of a row of either file, about.
const ROW_BYTES: usize = 64;

/// The sources of a task: for each the vertices where its walks start, and their shares.
pub(super) struct Sources {
    spans: Vec<std::ops::Range<usize>>,
    seeds: Vec<(u32, f64)>,
}

/// The answer for one source.
pub(super) struct Answer {
    /// Best first.
    pub(super) best: Vec<Ranked>,
    /// Bound of ‖scores − exact‖₁.
    pub(super) residual: f64,
    /// Whether the set of the best is certain.
    pub(super) proven: bool,
    /// Steps of power iteration; none by push.
    pub(super) iterations: u32,
}

/// What the answers cost.
#[derive(Clone, Copy, Default)]
pub(super) struct Work {
    pub(super) iterations: u32,
    pub(super) edges: u64,
    /// Sources that were answered by push.
    pub(super) pushed: u64,
}

impl Sources {
    /// Reads the task's sources.
    pub(super) fn read(context: &TaskContext, personal: &Personal, order: &Order) -> Result<Self> {
        let range = personal.range;
        let object = match &personal.sources {
            SourceList::All => {
                let seeds: Vec<_> = (range.start..range.end())
                    .map(|place| (order.index(place as u32), 1.0))
                    .collect();
                let spans = (0..seeds.len()).map(|source| source..source + 1).collect();
                return Ok(Self { spans, seeds });
            }
            SourceList::Found { object, .. } => object,
        };
        let batch = IpcFile::open(context, object)?.batch(0)?;
        let lists = list(&batch, "vertices").zip(list(&batch, "weights"));
        let (vertices, weights) = lists
            .filter(|(vertices, _)| range.end() <= vertices.len() as u64)
            .ok_or_else(|| Error::internal(format!("object {} lacks sources", object.key)))?;
        let (mut spans, mut seeds) = (Vec::new(), Vec::new());
        for source in range.start as usize..range.end() as usize {
            let first = seeds.len();
            let (vertices, weights) = (vertices.value(source), weights.value(source));
            let vertices = vertices.as_primitive::<UInt32Type>().values().iter();
            let weights = weights.as_primitive::<Float64Type>().values().iter();
            seeds.extend(vertices.copied().zip(weights.copied()));
            spans.push(first..seeds.len());
        }
        let count = personal.ids.count();
        if seeds.iter().any(|&(vertex, _)| u64::from(vertex) >= count) {
            return Err(Error::internal(format!(
                "a source outside {count} vertices"
            )));
        }
        Ok(Self { spans, seeds })
    }

    /// Number of sources.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Where the walks of a source start.
    pub(super) fn seeds(&self, source: usize) -> &[(u32, f64)] {
        &self.seeds[self.spans[source].clone()]
    }
}

fn list<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a ListArray> {
    batch.column_by_name(name)?.as_list_opt()
}

/// Writes the answers of a task, in the order of its sources.
pub(super) fn write(
    context: &TaskContext,
    personal: &Personal,
    answers: &[Answer],
    work: Work,
) -> Result<PersonalScores> {
    let names = match &personal.sources {
        SourceList::All => &personal.ids,
        SourceList::Found { names, .. } => names,
    };
    let sources = id_rows::read(context, names, personal.range)?;
    let scores = write_scores(context, personal, answers, &sources)?;
    let listed = write_sources(context, personal, answers, &sources)?;
    let enough = |answer: &Answer| match personal.stop {
        Stop::Bound => false,
        Stop::BoundOrProven => answer.proven,
    };
    let unconverged = |answer: &&Answer| answer.residual > personal.tol && !enough(answer);
    Ok(PersonalScores {
        scores,
        sources: listed,
        unconverged: answers.iter().filter(unconverged).count() as u64,
        proven: answers.iter().filter(|answer| answer.proven).count() as u64,
        max_residual: answers
            .iter()
            .fold(0.0, |most, answer| answer.residual.max(most)),
        iterations: work.iterations,
        edges: work.edges,
        pushed: work.pushed,
    })
}

fn write_scores(
    context: &TaskContext,
    personal: &Personal,
    answers: &[Answer],
    sources: &ArrayRef,
) -> Result<WrittenFile> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("source", sources.data_type().clone(), false),
        Field::new("target", id_rows::data_type(&personal.ids), false),
        Field::new("score", DataType::Float64, false),
        Field::new("rank", DataType::UInt32, false),
    ]));
    let rows: Vec<(u32, u32, &Ranked)> = (0..)
        .zip(answers)
        .flat_map(|(source, answer)| {
            let ranks = (1..).zip(&answer.best);
            ranks.map(move |(rank, ranked)| (source, rank, ranked))
        })
        .collect();
    let places: Vec<u32> = rows.iter().map(|(_, _, ranked)| ranked.place).collect();
    let targets = id_rows::take(context, &personal.ids, &places)?;
    let table = table(&personal.output, &personal.scores_path, &schema, rows.len());
    table.write(context, |range| {
        let span = range.start as usize..range.end() as usize;
        let rows = &rows[span.clone()];
        let source = UInt32Array::from_iter_values(rows.iter().map(|row| row.0));
        let source = arrow::compute::take(sources, &source, None);
        let columns: Vec<ArrayRef> = vec![
            source.map_err(|e| Error::internal(e.to_string()))?,
            targets.slice(span.start, span.len()),
            Arc::new(Float64Array::from_iter_values(
                rows.iter().map(|row| row.2.score),
            )),
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.1))),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(e.to_string()))
    })
}

fn write_sources(
    context: &TaskContext,
    personal: &Personal,
    answers: &[Answer],
    sources: &ArrayRef,
) -> Result<WrittenFile> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("source", sources.data_type().clone(), false),
        Field::new("residual", DataType::Float64, false),
        Field::new("proven", DataType::Boolean, false),
    ]));
    let table = table(
        &personal.output,
        &personal.sources_path,
        &schema,
        answers.len(),
    );
    table.write(context, |range| {
        let answers = &answers[range.start as usize..range.end() as usize];
        let residuals = answers.iter().map(|answer| answer.residual);
        let proven: Vec<bool> = answers.iter().map(|answer| answer.proven).collect();
        let columns: Vec<ArrayRef> = vec![
            sources.slice(range.start as usize, range.count as usize),
            Arc::new(Float64Array::from_iter_values(residuals)),
            Arc::new(BooleanArray::from(proven)),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(e.to_string()))
    })
}

fn table<'a>(output: &'a str, path: &'a str, schema: &'a SchemaRef, rows: usize) -> Table<'a> {
    Table {
        output,
        path,
        schema,
        rows: rows as u64,
        row_bytes: ROW_BYTES,
    }
}
