//! The flags of `rankmill ppr`, raw, and what they mean.

use std::path::Path;

use rankmill_common::job::JobSpec;
use rankmill_common::job::graph::defaults;
use rankmill_common::job::ppr::{OnMissingSource, PprMethod, PprSpec, Seeds, Stop};
use rankmill_common::job::ppr_index::INDEXED_TOL;
use serde::Deserialize;

use super::graph_args::GraphArgs;
use super::words::{ids, one_or_many, word};
use crate::exit::{Failure, Outcome};

/// Targets per source, unless said otherwise.
const TOP_K: u32 = 100;

/// Which graph, which sources, and where the scores go.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct PprArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) graph: GraphArgs,

    /// Parquet files of sources, the word `all` for every vertex, or ids
    #[arg(
        long,
        value_name = "FILE.parquet|all|ID,...",
        value_delimiter = ',',
        allow_hyphen_values = true,
        help_heading = "Sources"
    )]
    #[serde(deserialize_with = "ids")]
    pub(crate) sources: Vec<String>,
    /// Column of the sources [default: the only one, else source]
    #[arg(long, value_name = "COL", help_heading = "Sources")]
    #[serde(alias = "source_column")]
    pub(crate) source_column: Option<String>,
    /// Parquet files with a weighted set of vertices per source, instead of --sources
    #[arg(
        long,
        value_name = "FILE.parquet",
        value_delimiter = ',',
        help_heading = "Sources"
    )]
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) seeds: Vec<String>,
    /// Column of --seeds that names the source, with any ids [default: source]
    #[arg(long, value_name = "COL", help_heading = "Sources")]
    #[serde(alias = "seed_source")]
    pub(crate) seed_source: Option<String>,
    /// Column of --seeds with a vertex of its set [default: vertex]
    #[arg(long, value_name = "COL", help_heading = "Sources")]
    #[serde(alias = "seed_vertex")]
    pub(crate) seed_vertex: Option<String>,
    /// Column of --seeds with its positive weight [default: weight]
    #[arg(long, value_name = "COL", help_heading = "Sources")]
    #[serde(alias = "seed_weight")]
    pub(crate) seed_weight: Option<String>,
    /// Sources that are not in the graph: error, skip [default: error]
    #[arg(long, value_name = "WHAT", value_parser = word::<OnMissingSource>, help_heading = "Sources")]
    #[serde(alias = "on_missing_source")]
    pub(crate) on_missing_source: Option<OnMissingSource>,

    /// Targets per source to keep [default: 100]
    #[arg(long, value_name = "K")]
    #[serde(alias = "top_k")]
    pub(crate) top_k: Option<u32>,
    /// power (blocks of sources), push (one by one, as far as needed), auto (push, and power for
    /// sources that would follow too many edges) [default: auto]
    #[arg(long, value_name = "METHOD", value_parser = word::<PprMethod>)]
    pub(crate) method: Option<PprMethod>,
    /// Result of `rankmill ppr-index` with the same edges: push until its fingerprints are good for
    /// what is left, and complete it from them; without --tol, nothing much is proven of the scores
    #[arg(long, value_name = "INDEX")]
    pub(crate) index: Option<String>,
    /// By push: leave a source as soon as its set of targets is proven, whatever --tol says; its
    /// scores are then as good as its residual says
    #[arg(long)]
    #[serde(alias = "stop_when_proven")]
    pub(crate) stop_when_proven: bool,
}

impl PprArgs {
    /// What runs. Reads nothing but looks whether sources are files.
    pub(crate) fn into_spec(self) -> Outcome<JobSpec> {
        let seeds = self.seeds()?;
        let files: &[String] = match &seeds {
            Seeds::All | Seeds::Ids { .. } => &[],
            Seeds::Sources { paths, .. } | Seeds::Table { paths, .. } => paths,
        };
        let mut files = files.to_vec();
        files.extend(self.index.clone());
        let (job, mut files) = self.graph.job(&files)?;
        let index = self.index.as_ref().and_then(|_| files.pop());
        let tol = match index {
            None => defaults::PERSONAL_TOL,
            Some(_) => INDEXED_TOL,
        };
        let spec = JobSpec::Ppr(PprSpec {
            input: job.input,
            output: job.output,
            seeds: with_paths(seeds, files),
            on_missing_source: self.on_missing_source.unwrap_or_default(),
            damping: job.damping,
            dangling: job.dangling,
            tol: self.graph.tol.unwrap_or(tol),
            top_k: self.top_k.unwrap_or(TOP_K),
            method: self.method.unwrap_or_default(),
            index,
            stop: if self.stop_when_proven {
                Stop::BoundOrProven
            } else {
                Stop::Bound
            },
            max_iterations: job.max_iterations,
            convergence: job.convergence,
            task_memory: job.task_memory,
        });
        spec.validate()?;
        Ok(spec)
    }

    /// Where walks start; paths as they were typed.
    fn seeds(&self) -> Outcome<Seeds> {
        if !self.seeds.is_empty() {
            return self.seed_table();
        }
        let seed_flags = [&self.seed_source, &self.seed_vertex, &self.seed_weight];
        if seed_flags.iter().any(|flag| flag.is_some()) {
            return Err(Failure::usage(
                "--seed-source, --seed-vertex and --seed-weight need --seeds",
            ));
        }
        let files = self.sources.iter().filter(|text| is_file(text)).count();
        let column = self.source_column.clone();
        if column.is_some() && files == 0 {
            return Err(Failure::usage(
                "--source-column needs Parquet files in --sources",
            ));
        }
        match self.sources.as_slice() {
            [] => Err(Failure::usage(
                "which sources? --sources FILE.parquet, --sources all, --sources ID,ID, or --seeds",
            )),
            [all] if all == "all" => Ok(Seeds::All),
            ids if files == 0 => Ok(Seeds::Ids { ids: ids.to_vec() }),
            paths if files == paths.len() => Ok(Seeds::Sources {
                paths: paths.to_vec(),
                column,
            }),
            _ => Err(Failure::usage(
                "--sources holds files and ids: put the ids into a file as well",
            )),
        }
    }

    fn seed_table(&self) -> Outcome<Seeds> {
        if !self.sources.is_empty() {
            return Err(Failure::usage(
                "--seeds names the sources itself: leave --sources out",
            ));
        }
        let name =
            |given: &Option<String>, name: &str| given.clone().unwrap_or_else(|| name.to_owned());
        Ok(Seeds::Table {
            paths: self.seeds.clone(),
            source: name(&self.seed_source, "source"),
            vertex: name(&self.seed_vertex, "vertex"),
            weight: Some(name(&self.seed_weight, "weight")),
        })
    }
}

fn is_file(text: &str) -> bool {
    text.ends_with(".parquet") || text.contains("://") || Path::new(text).exists()
}

fn with_paths(seeds: Seeds, urls: Vec<String>) -> Seeds {
    match seeds {
        Seeds::All | Seeds::Ids { .. } => seeds,
        Seeds::Sources { column, .. } => Seeds::Sources {
            paths: urls,
            column,
        },
        Seeds::Table {
            source,
            vertex,
            weight,
            ..
        } => Seeds::Table {
            paths: urls,
            source,
            vertex,
            weight,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sources: &[&str]) -> PprArgs {
        PprArgs {
            graph: GraphArgs {
                input: vec!["/edges.parquet".to_owned()],
                output: Some("/out".to_owned()),
                ..GraphArgs::default()
            },
            sources: sources.iter().map(|&text| text.to_owned()).collect(),
            ..PprArgs::default()
        }
    }

    fn seeds(args: PprArgs) -> Seeds {
        match args.into_spec() {
            Ok(JobSpec::Ppr(spec)) => spec.seeds,
            Ok(_) | Err(_) => panic!("no ppr job"),
        }
    }

    fn refused(args: PprArgs) -> String {
        match args.into_spec() {
            Err(Failure::Usage(text)) => text,
            Err(Failure::Failed(error)) => error.message,
            Ok(_) | Err(Failure::Interrupted(_)) => panic!("it was not refused"),
        }
    }

    #[test]
    fn sources_are_files_ids_or_all() {
        assert_eq!(seeds(args(&["all"])), Seeds::All);
        let ids = vec!["7".to_owned(), "8".to_owned()];
        assert_eq!(seeds(args(&["7", "8"])), Seeds::Ids { ids });
        let files = seeds(args(&["/users.parquet"]));
        assert!(
            matches!(files, Seeds::Sources { paths, .. } if paths[0].ends_with("/users.parquet"))
        );
        assert!(refused(args(&["/users.parquet", "7"])).contains("files and ids"));
        assert!(refused(args(&[])).contains("--sources all"));
    }

    #[test]
    fn alpha_is_refused_with_the_two_names_that_are_meant() {
        let mut alpha = args(&["all"]);
        alpha.graph.alpha = Some(0.15);
        let text = refused(alpha);
        assert!(
            text.contains("--damping 0.15") && text.contains("--restart-prob 0.15"),
            "{text}"
        );
    }

    #[test]
    fn restart_probability_is_the_complement_of_damping() {
        let mut both = args(&["all"]);
        both.graph.restart_prob = Some(0.2);
        match both.clone().into_spec() {
            Ok(JobSpec::Ppr(spec)) => assert!((spec.damping - 0.8).abs() < 1e-15),
            Ok(_) | Err(_) => panic!("no ppr job"),
        }
        both.graph.damping = Some(0.8);
        assert!(refused(both).contains("give one of them"));
    }

    #[test]
    fn an_index_is_completed_by_push_alone() {
        let mut indexed = args(&["all"]);
        indexed.index = Some("/index".to_owned());
        match indexed.clone().into_spec() {
            Ok(JobSpec::Ppr(spec)) => {
                assert!(
                    spec.index
                        .as_ref()
                        .is_some_and(|url| url.ends_with("/index"))
                );
                assert_eq!(spec.chosen_method(), PprMethod::Push);
                assert!((spec.tol - INDEXED_TOL).abs() < 1e-15);
            }
            Ok(_) | Err(_) => panic!("no ppr job"),
        }
        indexed.method = Some(PprMethod::Power);
        assert!(refused(indexed.clone()).contains("--method power"));
        indexed.method = None;
        indexed.stop_when_proven = true;
        assert!(refused(indexed).contains("--stop-when-proven"));
    }

    #[test]
    fn nothing_is_kept_of_no_targets() {
        let mut none = args(&["all"]);
        none.top_k = Some(0);
        assert!(refused(none).contains("--top-k"));
    }
}
