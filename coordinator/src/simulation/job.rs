//! The jobs of the simulated world: a small algorithm on real operators, and what it must make.
//!
//! Stages feed stages and the last two run side by side, as in a factorization; what a stage was
//! made of is let go. What a task makes
//! is a digest of its operator and of the *contents* of its inputs, so that a wrong input, a lost
//! commit or a mixture of attempts shows in the bytes of the result.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::future::BoxFuture;
use rankmill_common::input::{Duplicates, Ids, InputSpec, Layout, OnBadRow, SparseLayout};
use rankmill_common::job::svd::{Centering, Convergence, Method, Rank};
use rankmill_common::job::{JobSpec, OutputSpec, Overwrite, SvdSpec};
use rankmill_common::manifest::{ConvergenceSummary, MatrixSummary, Quality};
use rankmill_common::matrix::{Precision, RowRange, Shard, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Products, Source, Term};
use rankmill_common::operator::{Combine, Combined, Operator, Report, WriteFactors, WrittenFile};
use rankmill_common::table::{IdTable, IdType};
use rankmill_common::{Digest, Error, JobId, ObjectRef, Result};

use crate::algorithm::JobResult;
use crate::stages::Stages;

/// Folder of the state within the simulated store.
pub(super) const STATE: &str = "state";

const ROWS: u64 = 10;

/// The `index`-th job of a world.
pub(super) fn spec(index: usize, size: u64) -> JobSpec {
    JobSpec::Svd(SvdSpec {
        input: InputSpec {
            paths: vec!["memory://simulation/in".to_owned()],
            layout: Layout::Sparse(SparseLayout {
                row: "row".to_owned(),
                col: "col".to_owned(),
                value: None,
                ids: Ids::Dictionary,
                duplicates: Duplicates::Sum,
                transforms: Vec::new(),
            }),
            on_bad_row: OnBadRow::Error,
        },
        output: OutputSpec {
            url: format!("memory://simulation/out/{index}"),
            overwrite: Overwrite::Refuse,
        },
        rank: Rank::Fixed { k: 1 },
        block_width: Some(2),
        tol: 0.5,
        max_reads: 2,
        method: Method::Lanczos,
        centering: Centering::None,
        seed: size,
        convergence: Convergence::Report,
    })
}

/// The algorithm, as the engine starts it.
pub(super) fn algorithm(stages: Stages, spec: JobSpec) -> BoxFuture<'static, Result<JobResult>> {
    Box::pin(async move {
        match spec {
            JobSpec::Svd(spec) => chain(&stages, &spec).await,
            other @ (JobSpec::PageRank(_) | JobSpec::Ppr(_) | JobSpec::PprIndex(_)) => Err(
                Error::internal(format!("no simulated job is a {}", other.kind())),
            ),
        }
    })
}

async fn chain(stages: &Stages, spec: &SvdSpec) -> Result<JobResult> {
    let depth = 2 + spec.seed % 3;
    let tasks = 2 + spec.seed / 3 % 3;
    let mut matrix = None;
    for stage in 0..depth {
        let operators = ranges(tasks).map(|rows| combine(rows, stage as u32, matrix.as_ref()));
        let made = stages.run("combine", operators.collect()).await?;
        if let Some(TallMatrix { shards, .. }) = &matrix {
            stages.release(shards.iter().map(|shard| &shard.object));
        }
        matrix = Some(TallMatrix {
            nrows: ROWS * tasks,
            ncols: 1,
            precision: Precision::Single,
            shards: made.into_iter().map(|combined| combined.shard).collect(),
        });
    }
    let Some(matrix) = matrix else {
        return Err(Error::internal("a chain has links"));
    };
    let side = |name: &str, tasks: u64| {
        let files = ranges(tasks).map(|rows| write(rows, name, stages, spec, &matrix));
        files.collect::<Vec<_>>()
    };
    let (left, right) = futures::try_join!(
        stages.run("write left", side("left", tasks)),
        stages.run("write right", side("right", 2)),
    )?;
    Ok(JobResult {
        inputs: Vec::new(),
        matrix: MatrixSummary {
            nrows: ROWS * tasks,
            ncols: 1,
            nnz: 1,
            frobenius2: 1.0,
            skipped_rows: 0,
        },
        files: left.into_iter().chain(right).collect(),
        convergence: Quality::Factors(ConvergenceSummary {
            converged: true,
            method: "chain".to_owned(),
            reads: 1,
            pve: 0.0,
            max_residual: 0.0,
            captured_energy: 1.0,
            components: 1,
            numerical_rank: 1,
        }),
    })
}

fn ranges(tasks: u64) -> impl Iterator<Item = RowRange> {
    (0..tasks).map(|index| RowRange {
        start: index * ROWS,
        count: ROWS,
    })
}

fn combine(rows: RowRange, stream: u32, matrix: Option<&TallMatrix>) -> Combine {
    let matrix = match matrix {
        None => Source::Gaussian {
            seed: 1,
            stream,
            ncols: 1,
        },
        Some(matrix) => Source::Stored {
            matrix: matrix.clone(),
        },
    };
    Combine {
        rows,
        ncols: 1,
        terms: vec![Term {
            matrix,
            coefficients: Coefficients::Identity,
            scale: 1.0,
        }],
        arithmetic: Precision::Double,
        precision: Precision::Single,
        products: Products::None,
        weights: None,
    }
}

fn write(
    rows: RowRange,
    side: &str,
    stages: &Stages,
    spec: &SvdSpec,
    matrix: &TallMatrix,
) -> WriteFactors {
    let index = rows.start / ROWS;
    // As the real algorithm: a name of this run's own.
    let tag = Digest::of_value(stages.job()).short();
    WriteFactors {
        rows,
        factor: matrix.clone(),
        ids: IdTable::Range {
            id_type: IdType::Int64,
            count: matrix.nrows,
        },
        extremes: Vec::new(),
        output: spec.output.url.clone(),
        path: format!("{side}/part-{index:05}-{tag}.parquet"),
    }
}

/// Where a task's output goes.
pub(super) enum Target {
    /// A key of the state store.
    State(String),
    /// A path below an output.
    Output(String, String),
}

/// The objects that a task reads.
#[allow(clippy::wildcard_enum_match_arm, reason = "two operators occur here")]
pub(super) fn inputs(operator: &Operator) -> Vec<ObjectRef> {
    let matrices: Vec<&TallMatrix> = match operator {
        Operator::Combine(combine) => combine
            .terms
            .iter()
            .filter_map(|term| match &term.matrix {
                Source::Stored { matrix } => Some(matrix),
                Source::Gaussian { .. } => None,
            })
            .collect(),
        Operator::WriteFactors(write) => vec![&write.factor],
        other => unreachable!("{other:?} does not occur in a simulated job"),
    };
    let shards = matrices.into_iter().flat_map(|matrix| &matrix.shards);
    shards.map(|shard| shard.object.clone()).collect()
}

/// What a task makes of the contents of its inputs, where that goes, and the report.
#[allow(clippy::wildcard_enum_match_arm, reason = "two operators occur here")]
pub(super) fn output(
    operator: &Operator,
    prefix: &str,
    inputs: &[Bytes],
) -> (Target, Bytes, Report) {
    let contents: Vec<Digest> = inputs.iter().map(|bytes| Digest::of(bytes)).collect();
    let made = |what: &str, rows: RowRange| {
        let digest = Digest::of_value(&(what, rows, &contents));
        Bytes::from(digest.to_string())
    };
    match operator {
        Operator::Combine(combine) => {
            let bytes = made("combine", combine.rows);
            let object = object(format!("{prefix}/shard.arrow"), &bytes);
            let report = Combined {
                shard: Shard {
                    rows: combine.rows,
                    object: object.clone(),
                },
                product: None,
                extremes: None,
                rounding: SmallMatrix {
                    nrows: 1,
                    ncols: 1,
                    object: object.clone(),
                },
            };
            (Target::State(object.key), bytes, report.into())
        }
        Operator::WriteFactors(write) => {
            let bytes = made(part_of(&write.path), write.rows);
            let report = WrittenFile {
                path: write.path.clone(),
                size: bytes.len() as u64,
                rows: write.rows.count,
                blake3: Digest::of(&bytes),
            };
            let target = Target::Output(write.output.clone(), write.path.clone());
            (target, bytes, report.into())
        }
        other => unreachable!("{other:?} does not occur in a simulated job"),
    }
}

fn object(key: String, bytes: &Bytes) -> ObjectRef {
    ObjectRef {
        key,
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

/// A path without what tells runs apart: `left/part-00001`.
pub(super) fn part_of(path: &str) -> &str {
    path.rsplit_once('-').map_or(path, |(part, _)| part)
}

/// The files of the undisturbed run: the algorithm with every task done at once, in order.
pub(super) fn undisturbed(spec: &JobSpec) -> Vec<WrittenFile> {
    let stages = Stages::new(JobId::new("undisturbed"));
    let mut running = algorithm(stages.clone(), spec.clone());
    let mut objects: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = running.as_mut().poll(&mut context) {
            return result.expect("nothing fails undisturbed").files;
        }
        for request in stages.take_asked() {
            let mut reports = Vec::new();
            for (index, operator) in request.operators.iter().enumerate() {
                let prefix = format!("{}/{index}", request.stage);
                let read: Vec<Bytes> = inputs(operator)
                    .iter()
                    .map(|input| objects[&input.key].clone())
                    .collect();
                let (target, bytes, report) = output(operator, &prefix, &read);
                if let Target::State(key) = target {
                    objects.insert(key, bytes);
                }
                reports.push(report);
            }
            stages.complete(request.stage, reports);
        }
    }
}
