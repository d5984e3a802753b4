//! `find_index` and `read_index`: the index of an earlier job, for this one.
//!
//! The first compares what the index was built from with what this job needs and names what
//! differs. The second turns a file of it into an object that tasks map.

use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rankmill_common::job::{JobSpec, PprIndexSpec};
use rankmill_common::manifest::{IndexSummary, MANIFEST_NAME, Manifest, Quality};
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::read_index::IndexFile;
use rankmill_common::operator::{FindIndex, FoundIndex, IndexShard, ReadIndex};
use rankmill_common::{Digest, Error, ErrorKind, Result};
use rankmill_store::Store;

use crate::context::TaskContext;
use crate::storage::fingerprints;
use crate::storage::ipc::write_batch;

pub(crate) fn find(context: &TaskContext, operator: &FindIndex) -> Result<FoundIndex> {
    let index = &operator.index;
    let manifest = manifest(context, index)?;
    let (JobSpec::PprIndex(spec), Quality::Index(summary)) =
        (&manifest.parameters, &manifest.convergence)
    else {
        return Err(Error::invalid_input(format!(
            "{index} is the result of a {} job, not of ppr-index",
            manifest.parameters.kind()
        )));
    };
    let differences = differences(operator, spec, summary);
    if !differences.is_empty() {
        return Err(Error::invalid_input(format!(
            "the index {index} does not fit this job: {}; build it anew with rankmill ppr-index \
             and the same flags",
            differences.join("; ")
        )));
    }
    let mut next = 0;
    let files = manifest.files.into_iter().map(|file| {
        let (start, count) = (next, file.rows);
        next += count;
        IndexFile {
            rows: RowRange { start, count },
            file,
        }
    });
    let files: Vec<IndexFile> = files.collect();
    if next != operator.vertices {
        return Err(damaged(
            index,
            &format!(
                "it has {next} fingerprints of {} vertices",
                operator.vertices
            ),
        ));
    }
    Ok(FoundIndex {
        files,
        entries: spec.entries,
        walks: spec.walks,
    })
}

fn manifest(context: &TaskContext, index: &str) -> Result<Manifest> {
    let bytes = context.block_on(async { Store::open(index)?.get(MANIFEST_NAME).await });
    let bytes = bytes.map_err(|error| {
        if error.kind == ErrorKind::NotFound {
            Error::invalid_input(format!(
                "there is no finished index at {index}: it has no {MANIFEST_NAME}"
            ))
        } else {
            error
        }
    })?;
    context.count_read(bytes.len() as u64);
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::invalid_input(format!(
            "{index} is no index that this version can read: {e}"
        ))
    })
}

/// In what the index is another one than the job needs.
fn differences(operator: &FindIndex, spec: &PprIndexSpec, summary: &IndexSummary) -> Vec<String> {
    let mut differences = Vec::new();
    if summary.graph != operator.graph {
        differences.push(format!(
            "it was built from another graph, digest {} and not {} (other files, changed ones, \
             or others of the flags that say how edges are read)",
            summary.graph.short(),
            operator.graph.short()
        ));
    }
    // Parameters are compared as they were written: both come from the same kinds of text.
    if spec.damping.to_bits() != operator.damping.to_bits() {
        differences.push(format!(
            "its --damping is {}, not {}",
            spec.damping, operator.damping
        ));
    }
    if spec.dangling != operator.dangling {
        differences.push(format!(
            "its --dangling is {}, not {}",
            spec.dangling.name(),
            operator.dangling.name()
        ));
    }
    differences
}

pub(crate) fn read(context: &TaskContext, operator: &ReadIndex) -> Result<IndexShard> {
    let IndexFile { rows, file } = &operator.file;
    let bytes = context.block_on(async { Store::open(&operator.index)?.get(&file.path).await })?;
    context.count_read(bytes.len() as u64);
    if Digest::of(&bytes) != file.blake3 {
        let what = format!("{} is not the file that its manifest names", file.path);
        return Err(damaged(&operator.index, &what));
    }
    let wrong =
        |what: &dyn std::fmt::Display| damaged(&operator.index, &format!("{}: {what}", file.path));
    let batch = decode(bytes, rows.count).map_err(|e| wrong(&e))?;
    if let Some(fault) = fingerprints::fault(&batch, operator.vertices) {
        return Err(wrong(&fault));
    }
    if batch.num_rows() as u64 != rows.count {
        return Err(wrong(&"it has another number of rows"));
    }
    Ok(IndexShard {
        rows: *rows,
        object: write_batch(context, "fingerprints", &batch)?,
    })
}

fn decode(
    bytes: Bytes,
    rows: u64,
) -> std::result::Result<arrow::array::RecordBatch, Box<dyn std::error::Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let schema = std::sync::Arc::clone(builder.schema());
    let reader = builder.with_batch_size(usize::try_from(rows)?).build()?;
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

fn damaged(index: &str, what: &str) -> Error {
    Error::invalid_input(format!(
        "the index {index} is damaged: {what}; build it anew"
    ))
}
