//! `walk`: walks from a range of vertices, several vertices side by side; one Parquet file of
//! fingerprints with a row per vertex.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, ListArray, PrimitiveArray, RecordBatch, UInt16Array, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::ArrowPrimitiveType;
use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::walk::fingerprint_bytes;
use rankmill_common::operator::{Walk, Walked};
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{Cumulative, Fingerprint, OutEdges, Walker, Walking};
use rayon::prelude::*;

use crate::context::TaskContext;
use crate::storage::result::Table;
use crate::storage::{block, fingerprints};

/// Vertices after which a thread looks for another's work, and whether to stop.
const TURN: usize = 64;

pub(crate) fn run(context: &TaskContext, operator: &Walk) -> Result<Walked> {
    let open = operator
        .blocks
        .iter()
        .map(|reference| block::open(context, operator.format, operator.vertices, reference))
        .collect::<Result<Vec<_>>>()?;
    let views = open
        .iter()
        .map(|block| block.sparse().map_err(Error::internal))
        .collect::<Result<Vec<_>>>()?;
    let graph = OutEdges::new(&views);
    if graph.vertices() as u64 != operator.vertices || operator.rows.end() > operator.vertices {
        return Err(Error::internal("walks on a part of a graph"));
    }
    let walking = Walking {
        damping: operator.damping,
        self_loops: self_loops(operator.dangling)?,
        walks: operator.walks,
        entries: operator.entries as usize,
        seed: operator.seed,
    };
    let made = walk(context, &graph, &walking, operator.rows)?;
    let place = (operator.output.as_str(), operator.path.as_str());
    written(context, operator.entries, place, &made)
}

/// Whether walks stay at vertices without out-edges; otherwise they return.
pub(super) fn self_loops(dangling: Dangling) -> Result<bool> {
    match dangling {
        Dangling::Restart => Ok(false),
        Dangling::SelfLoop => Ok(true),
        Dangling::Uniform => Err(Error::internal("walks cannot spread mass uniformly")),
    }
}

/// Writes fingerprints of at most `entries` entries as the file `path` below `output`.
pub(super) fn written(
    context: &TaskContext,
    entries: u32,
    place: (&str, &str),
    made: &[Fingerprint],
) -> Result<Walked> {
    let file = write(context, entries, place, made)?;
    Ok(Walked {
        file,
        entries: made.iter().map(|made| made.entries.len() as u64).sum(),
        missing: made.iter().map(|made| made.missing).sum(),
    })
}

fn walk(
    context: &TaskContext,
    graph: &OutEdges<'_>,
    walking: &Walking,
    rows: RowRange,
) -> Result<Vec<Fingerprint>> {
    let cumulative = Cumulative::new(graph);
    let turns = RowRange::cut(rows.count, TURN as u64);
    let made = turns
        .into_par_iter()
        .map_init(Walker::default, |walker, turn| {
            context.check_cancelled()?;
            let first = rows.start + turn.start;
            Ok((first..first + turn.count)
                .map(|vertex| walker.fingerprint(graph, &cumulative, vertex as u32, walking))
                .collect())
        })
        .collect::<Result<Vec<Vec<Fingerprint>>>>()?;
    Ok(made.into_iter().flatten().collect())
}

fn write(
    context: &TaskContext,
    entries: u32,
    (output, path): (&str, &str),
    made: &[Fingerprint],
) -> Result<rankmill_common::operator::WrittenFile> {
    let schema = fingerprints::schema();
    let row_bytes = fingerprint_bytes(entries) as usize;
    let table = Table {
        output,
        path,
        schema: &schema,
        rows: made.len() as u64,
        row_bytes,
    };
    table.write(context, |range| {
        let made = &made[range.start as usize..range.end() as usize];
        let entries = || made.iter().flat_map(|made| &made.entries);
        let targets = UInt32Array::from_iter_values(entries().map(|entry| entry.0));
        let counts = UInt16Array::from_iter_values(entries().map(|entry| entry.1));
        let number = |of: fn(&Fingerprint) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(made.iter().map(of)))
        };
        let columns: Vec<ArrayRef> = vec![
            lists(made, targets)?,
            lists(made, counts)?,
            number(|made| made.unit),
            number(|made| made.returned),
            number(|made| made.missing),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|e| Error::internal(e.to_string()))
    })
}

fn lists<T: ArrowPrimitiveType>(
    made: &[Fingerprint],
    values: PrimitiveArray<T>,
) -> Result<ArrayRef> {
    let lengths = made.iter().map(|made| made.entries.len());
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(
        fingerprints::item(T::DATA_TYPE),
        offsets,
        Arc::new(values),
        None,
    );
    Ok(Arc::new(list.map_err(|e| Error::internal(e.to_string()))?))
}
