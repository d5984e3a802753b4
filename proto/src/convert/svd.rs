//! `SvdJob` ↔ [`SvdSpec`].

use rankmill_common::job::svd::{Centering, Convergence, Method, Rank, SvdSpec};
use rankmill_common::job::{OutputSpec, Overwrite};
use rankmill_common::{Error, Result};

use super::required;
use crate::pb;

impl TryFrom<pb::SvdJob> for SvdSpec {
    type Error = Error;

    fn try_from(job: pb::SvdJob) -> Result<Self> {
        let method = method(job.method())?;
        Ok(Self {
            input: required(job.input, "input")?.try_into()?,
            output: required(job.output, "output")?.into(),
            rank: required(job.rank, "rank")?.try_into()?,
            block_width: job.block_width,
            tol: job.tol,
            max_reads: job.max_reads,
            method,
            centering: if job.center {
                Centering::Columns
            } else {
                Centering::None
            },
            seed: job.seed,
            convergence: if job.require_convergence {
                Convergence::Require
            } else {
                Convergence::Report
            },
        })
    }
}

impl From<SvdSpec> for pb::SvdJob {
    fn from(spec: SvdSpec) -> Self {
        Self {
            input: Some(spec.input.into()),
            output: Some(spec.output.into()),
            rank: Some(spec.rank.into()),
            block_width: spec.block_width,
            tol: spec.tol,
            max_reads: spec.max_reads,
            method: wire_method(spec.method).into(),
            center: spec.centering == Centering::Columns,
            seed: spec.seed,
            require_convergence: spec.convergence == Convergence::Require,
        }
    }
}

impl TryFrom<pb::Rank> for Rank {
    type Error = Error;

    fn try_from(rank: pb::Rank) -> Result<Self> {
        Ok(match required(rank.rank, "rank")? {
            pb::rank::Rank::K(k) => Self::Fixed { k },
            pb::rank::Rank::Energy(energy) => Self::Energy {
                fraction: energy.fraction,
                at_most: energy.at_most,
            },
        })
    }
}

impl From<Rank> for pb::Rank {
    fn from(rank: Rank) -> Self {
        let rank = match rank {
            Rank::Fixed { k } => pb::rank::Rank::K(k),
            Rank::Energy { fraction, at_most } => {
                pb::rank::Rank::Energy(pb::EnergyRank { fraction, at_most })
            }
        };
        Self { rank: Some(rank) }
    }
}

impl From<pb::Output> for OutputSpec {
    fn from(output: pb::Output) -> Self {
        Self {
            url: output.url,
            overwrite: if output.overwrite {
                Overwrite::Replace
            } else {
                Overwrite::Refuse
            },
        }
    }
}

impl From<OutputSpec> for pb::Output {
    fn from(output: OutputSpec) -> Self {
        Self {
            url: output.url,
            overwrite: output.overwrite == Overwrite::Replace,
        }
    }
}

fn method(method: pb::SvdMethod) -> Result<Method> {
    match method {
        pb::SvdMethod::Unspecified => Err(Error::invalid_input("the request names no method")),
        pb::SvdMethod::Auto => Ok(Method::Auto),
        pb::SvdMethod::Lanczos => Ok(Method::Lanczos),
        pb::SvdMethod::Gram => Ok(Method::Gram),
        pb::SvdMethod::Subspace => Ok(Method::Subspace),
        pb::SvdMethod::Sketch => Ok(Method::Sketch),
    }
}

fn wire_method(method: Method) -> pb::SvdMethod {
    match method {
        Method::Auto => pb::SvdMethod::Auto,
        Method::Lanczos => pb::SvdMethod::Lanczos,
        Method::Gram => pb::SvdMethod::Gram,
        Method::Subspace => pb::SvdMethod::Subspace,
        Method::Sketch => pb::SvdMethod::Sketch,
    }
}

#[cfg(test)]
mod tests {
    use rankmill_common::input::{
        Duplicates, Ids, InputSpec, Layout, OnBadRow, SparseLayout, Transform,
    };
    use rankmill_common::job::JobSpec;

    use super::*;
    use crate::convert::{job_spec, submission};

    #[test]
    fn a_specification_survives_the_wire() {
        let spec = JobSpec::Svd(SvdSpec {
            input: InputSpec {
                paths: vec!["file:///ratings".into()],
                layout: Layout::Sparse(SparseLayout {
                    row: "user".into(),
                    col: "item".into(),
                    value: Some("rating".into()),
                    ids: Ids::Dense {
                        shape: Some((3, 4)),
                    },
                    duplicates: Duplicates::Last,
                    transforms: vec![Transform::Bm25 { k1: 1.2, b: 0.75 }, Transform::L2Rows],
                }),
                on_bad_row: OnBadRow::Skip,
            },
            output: OutputSpec {
                url: "s3://bucket/out".into(),
                overwrite: Overwrite::Replace,
            },
            rank: Rank::Energy {
                fraction: 0.9,
                at_most: 100,
            },
            block_width: Some(7),
            tol: 1e-4,
            max_reads: 9,
            method: Method::Lanczos,
            centering: Centering::Columns,
            seed: 42,
            convergence: Convergence::Require,
        });
        assert_eq!(job_spec(submission(spec.clone(), String::new())), Ok(spec));
    }
}
