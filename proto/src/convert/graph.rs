//! `PageRankJob` ↔ [`PageRankSpec`], `PprJob` ↔ [`PprSpec`], `PprIndexJob` ↔
//! [`PprIndexSpec`].

use rankmill_common::job::graph::{Dangling, defaults};
use rankmill_common::job::ppr::{OnMissingSource, PprMethod, PprSpec, Seeds, Stop};
use rankmill_common::job::svd::Convergence;
use rankmill_common::job::{PageRankSpec, PprIndexSpec};
use rankmill_common::{ByteSize, Error, Result};

use super::required;
use crate::pb;

impl TryFrom<pb::PageRankJob> for PageRankSpec {
    type Error = Error;

    fn try_from(job: pb::PageRankJob) -> Result<Self> {
        let dangling = dangling(job.dangling());
        Ok(Self {
            input: required(job.input, "input")?.try_into()?,
            output: required(job.output, "output")?.into(),
            damping: job.damping,
            dangling,
            tol: job.tol,
            max_iterations: job.max_iterations,
            convergence: convergence(job.require_convergence),
            task_memory: task_memory(job.task_memory),
        })
    }
}

impl From<PageRankSpec> for pb::PageRankJob {
    fn from(spec: PageRankSpec) -> Self {
        Self {
            input: Some(spec.input.into()),
            output: Some(spec.output.into()),
            damping: spec.damping,
            dangling: wire_dangling(spec.dangling).into(),
            tol: spec.tol,
            max_iterations: spec.max_iterations,
            require_convergence: spec.convergence == Convergence::Require,
            task_memory: spec.task_memory.0,
        }
    }
}

impl TryFrom<pb::PprJob> for PprSpec {
    type Error = Error;

    fn try_from(job: pb::PprJob) -> Result<Self> {
        let (dangling, method) = (dangling(job.dangling()), method(job.method()));
        Ok(Self {
            input: required(job.input, "input")?.try_into()?,
            output: required(job.output, "output")?.into(),
            seeds: required(job.seeds, "seeds")?.try_into()?,
            on_missing_source: if job.skip_missing_sources {
                OnMissingSource::Skip
            } else {
                OnMissingSource::Error
            },
            damping: job.damping,
            dangling,
            tol: job.tol,
            top_k: job.top_k,
            method,
            index: job.index,
            stop: if job.stop_when_proven {
                Stop::BoundOrProven
            } else {
                Stop::Bound
            },
            max_iterations: job.max_iterations,
            convergence: convergence(job.require_convergence),
            task_memory: task_memory(job.task_memory),
        })
    }
}

impl From<PprSpec> for pb::PprJob {
    fn from(spec: PprSpec) -> Self {
        Self {
            input: Some(spec.input.into()),
            output: Some(spec.output.into()),
            seeds: Some(spec.seeds.into()),
            skip_missing_sources: spec.on_missing_source == OnMissingSource::Skip,
            damping: spec.damping,
            dangling: wire_dangling(spec.dangling).into(),
            tol: spec.tol,
            top_k: spec.top_k,
            method: wire_method(spec.method).into(),
            max_iterations: spec.max_iterations,
            require_convergence: spec.convergence == Convergence::Require,
            task_memory: spec.task_memory.0,
            stop_when_proven: spec.stop == Stop::BoundOrProven,
            index: spec.index,
        }
    }
}

impl TryFrom<pb::PprIndexJob> for PprIndexSpec {
    type Error = Error;

    fn try_from(job: pb::PprIndexJob) -> Result<Self> {
        let dangling = dangling(job.dangling());
        Ok(Self {
            input: required(job.input, "input")?.try_into()?,
            output: required(job.output, "output")?.into(),
            damping: job.damping,
            dangling,
            walks: job.walks,
            entries: job.entries,
            seed: job.seed,
            task_memory: task_memory(job.task_memory),
        })
    }
}

impl From<PprIndexSpec> for pb::PprIndexJob {
    fn from(spec: PprIndexSpec) -> Self {
        Self {
            input: Some(spec.input.into()),
            output: Some(spec.output.into()),
            damping: spec.damping,
            dangling: wire_dangling(spec.dangling).into(),
            walks: spec.walks,
            entries: spec.entries,
            seed: spec.seed,
            task_memory: spec.task_memory.0,
        }
    }
}

impl TryFrom<pb::Seeds> for Seeds {
    type Error = Error;

    fn try_from(seeds: pb::Seeds) -> Result<Self> {
        Ok(match required(seeds.seeds, "seeds.seeds")? {
            pb::seeds::Seeds::All(pb::AllSources {}) => Self::All,
            pb::seeds::Seeds::Ids(pb::SourceIds { ids }) => Self::Ids { ids },
            pb::seeds::Seeds::Sources(files) => Self::Sources {
                paths: files.paths,
                column: files.column,
            },
            pb::seeds::Seeds::Table(table) => Self::Table {
                paths: table.paths,
                source: table.source,
                vertex: table.vertex,
                weight: table.weight,
            },
        })
    }
}

impl From<Seeds> for pb::Seeds {
    fn from(seeds: Seeds) -> Self {
        let seeds = match seeds {
            Seeds::All => pb::seeds::Seeds::All(pb::AllSources {}),
            Seeds::Ids { ids } => pb::seeds::Seeds::Ids(pb::SourceIds { ids }),
            Seeds::Sources { paths, column } => {
                pb::seeds::Seeds::Sources(pb::SourceFiles { paths, column })
            }
            Seeds::Table {
                paths,
                source,
                vertex,
                weight,
            } => pb::seeds::Seeds::Table(pb::SeedTable {
                paths,
                source,
                vertex,
                weight,
            }),
        };
        Self { seeds: Some(seeds) }
    }
}

fn convergence(required: bool) -> Convergence {
    if required {
        Convergence::Require
    } else {
        Convergence::Report
    }
}

fn task_memory(bytes: u64) -> ByteSize {
    match bytes {
        0 => defaults::TASK_MEMORY,
        bytes => ByteSize(bytes),
    }
}

fn dangling(wire: pb::Dangling) -> Dangling {
    match wire {
        pb::Dangling::Unspecified | pb::Dangling::Restart => Dangling::Restart,
        pb::Dangling::Uniform => Dangling::Uniform,
        pb::Dangling::SelfLoop => Dangling::SelfLoop,
    }
}

fn wire_dangling(dangling: Dangling) -> pb::Dangling {
    match dangling {
        Dangling::Restart => pb::Dangling::Restart,
        Dangling::Uniform => pb::Dangling::Uniform,
        Dangling::SelfLoop => pb::Dangling::SelfLoop,
    }
}

fn method(wire: pb::PprMethod) -> PprMethod {
    match wire {
        pb::PprMethod::Unspecified | pb::PprMethod::Auto => PprMethod::Auto,
        pb::PprMethod::Power => PprMethod::Power,
        pb::PprMethod::Push => PprMethod::Push,
    }
}

fn wire_method(method: PprMethod) -> pb::PprMethod {
    match method {
        PprMethod::Auto => pb::PprMethod::Auto,
        PprMethod::Power => pb::PprMethod::Power,
        PprMethod::Push => pb::PprMethod::Push,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{job_spec, submission};
    use rankmill_common::input::{
        Duplicates, EdgeDirection, GraphLayout, Ids, InputSpec, Layout, OnBadRow,
    };
    use rankmill_common::job::{JobSpec, OutputSpec, Overwrite};

    fn input(edges: EdgeDirection) -> InputSpec {
        InputSpec {
            paths: vec!["file:///edges.parquet".into()],
            layout: Layout::Graph(GraphLayout {
                src: "from".into(),
                dst: "to".into(),
                weight: Some("w".into()),
                ids: Ids::Dense { shape: None },
                duplicates: Duplicates::Max,
                edges,
            }),
            on_bad_row: OnBadRow::Skip,
        }
    }

    fn output() -> OutputSpec {
        OutputSpec {
            url: "s3://bucket/out".into(),
            overwrite: Overwrite::Replace,
        }
    }

    #[test]
    fn page_rank_survives_the_wire() {
        let spec = JobSpec::PageRank(PageRankSpec {
            input: input(EdgeDirection::Undirected),
            output: output(),
            damping: 0.9,
            dangling: Dangling::SelfLoop,
            tol: 1e-8,
            max_iterations: 50,
            convergence: Convergence::Require,
            task_memory: ByteSize(3 << 30),
        });
        assert_eq!(job_spec(submission(spec.clone(), String::new())), Ok(spec));
    }

    #[test]
    fn an_index_survives_the_wire() {
        let index = JobSpec::PprIndex(PprIndexSpec {
            input: input(EdgeDirection::Directed),
            output: output(),
            damping: 0.8,
            dangling: Dangling::SelfLoop,
            walks: 17,
            entries: 33,
            seed: 1 << 40,
            task_memory: ByteSize(5 << 20),
        });
        assert_eq!(
            job_spec(submission(index.clone(), String::new())),
            Ok(index)
        );
        let user = JobSpec::Ppr(PprSpec {
            input: input(EdgeDirection::Directed),
            output: output(),
            seeds: Seeds::All,
            on_missing_source: OnMissingSource::Error,
            damping: 0.8,
            dangling: Dangling::SelfLoop,
            tol: 0.5,
            top_k: 7,
            method: PprMethod::Auto,
            index: Some("s3://bucket/index".into()),
            stop: Stop::Bound,
            max_iterations: 9,
            convergence: Convergence::Report,
            task_memory: defaults::TASK_MEMORY,
        });
        assert_eq!(job_spec(submission(user.clone(), String::new())), Ok(user));
    }

    #[test]
    fn personalized_page_rank_survives_the_wire() {
        let paths = vec!["file:///seeds.parquet".to_owned()];
        for seeds in [
            Seeds::All,
            Seeds::Ids {
                ids: vec!["a".into(), "b".into()],
            },
            Seeds::Sources {
                paths: paths.clone(),
                column: Some("user".into()),
            },
            Seeds::Table {
                paths,
                source: "s".into(),
                vertex: "v".into(),
                weight: None,
            },
        ] {
            let spec = JobSpec::Ppr(PprSpec {
                input: input(EdgeDirection::Directed),
                output: output(),
                seeds,
                on_missing_source: OnMissingSource::Skip,
                damping: 0.8,
                dangling: Dangling::Restart,
                tol: 1e-3,
                top_k: 7,
                method: PprMethod::Push,
                index: None,
                stop: Stop::BoundOrProven,
                max_iterations: 9,
                convergence: Convergence::Report,
                task_memory: ByteSize(7 << 30),
            });
            assert_eq!(job_spec(submission(spec.clone(), String::new())), Ok(spec));
        }
    }
}
