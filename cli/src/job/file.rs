//! Job files: the flags of a subcommand as TOML keys, plus `job = "svd"`.
//!
//! Paths count from the current directory, as on the command line. The allowed keys are the
//! flags themselves, so the two cannot drift apart.

use std::path::Path;

use clap::Args;
use serde::Deserialize;

use super::paths::distance;
use super::{JobArgs, PageRankArgs, PprArgs, PprIndexArgs, RunKeys, SvdArgs};
use crate::exit::{Failure, Outcome};

/// A job file as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobFile {
    /// The job.
    pub(crate) job: JobArgs,
    /// Where it runs.
    pub(crate) run: RunKeys,
}

#[derive(Deserialize)]
struct Kind {
    job: JobKind,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JobKind {
    Svd,
    PageRank,
    Ppr,
    #[serde(rename = "ppr-index")]
    PprIndex,
}

impl JobFile {
    /// Reads the job file at `path`.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let read = |e: toml::de::Error| e.to_string().trim_end().to_owned();
        let Kind { job: kind } = toml::from_str(text).map_err(read)?;
        refuse_unknown_keys(text, kind)?;
        let job = match kind {
            JobKind::Svd => JobArgs::Svd(toml::from_str(text).map_err(read)?),
            JobKind::PageRank => JobArgs::PageRank(toml::from_str(text).map_err(read)?),
            JobKind::Ppr => JobArgs::Ppr(toml::from_str(text).map_err(read)?),
            JobKind::PprIndex => JobArgs::PprIndex(toml::from_str(text).map_err(read)?),
        };
        Ok(Self {
            job,
            run: toml::from_str(text).map_err(read)?,
        })
    }
}

fn refuse_unknown_keys(text: &str, kind: JobKind) -> Result<(), String> {
    let table = toml::de::DeTable::parse(text).map_err(|e| e.to_string())?;
    let known = known_keys(kind);
    for key in table.get_ref().keys() {
        let name: &str = key.get_ref().as_ref();
        if known.contains(&name.replace('_', "-")) {
            continue;
        }
        let line = text[..key.span().start].matches('\n').count() + 1;
        let nearest = known.iter().min_by_key(|known| distance(known, name));
        let hint = match nearest {
            Some(nearest) if distance(nearest, name) <= 2 => format!("; did you mean {nearest}?"),
            Some(_) | None => format!(": there are {}", known.join(", ")),
        };
        return Err(format!("line {line}: no key is called {name:?}{hint}"));
    }
    Ok(())
}

fn known_keys(kind: JobKind) -> Vec<String> {
    let command = clap::Command::new("keys");
    let command = RunKeys::augment_args(match kind {
        JobKind::Svd => SvdArgs::augment_args(command),
        JobKind::PageRank => PageRankArgs::augment_args(command),
        JobKind::Ppr => PprArgs::augment_args(command),
        JobKind::PprIndex => PprIndexArgs::augment_args(command),
    });
    let mut known = vec!["job".to_owned()];
    for argument in command.get_arguments() {
        known.push(argument.get_id().to_string().replace('_', "-"));
        known.extend(argument.get_long().map(str::to_owned));
        let aliases = argument.get_all_aliases().unwrap_or_default();
        known.extend(aliases.into_iter().map(|alias| alias.replace('_', "-")));
    }
    known.sort();
    known.dedup();
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use rankmill_common::ByteSize;

    fn svd(file: JobFile) -> SvdArgs {
        match file.job {
            JobArgs::Svd(args) => *args,
            JobArgs::PageRank(_) | JobArgs::Ppr(_) | JobArgs::PprIndex(_) => panic!("no svd"),
        }
    }

    #[test]
    fn reads_jobs_on_graphs() {
        let file = JobFile::parse(
            r#"
            job = "pagerank"
            input = "edges/"
            weight = "w"
            restart_prob = 0.2
            dangling = "self-loop"
            max-iterations = 50
            output = "out"
            "#,
        )
        .expect("a job");
        assert!(file.job.into_spec().is_ok());
        let file = JobFile::parse("job = 'ppr'\ninput = 'e'\noutput = 'o'\nsources = [7, 'x']");
        let JobArgs::Ppr(ppr) = file.expect("a job").job else {
            panic!("no ppr");
        };
        assert_eq!(ppr.sources, ["7", "x"]);
        let file = JobFile::parse("job = 'ppr-index'\ninput = 'e'\noutput = 'o'\nwalks = 7");
        let JobArgs::PprIndex(index) = file.expect("a job").job else {
            panic!("no ppr-index");
        };
        assert_eq!(index.walks, Some(7));
        let error = JobFile::parse("job = 'pagerank'\nrow = 'user'\n").expect_err("unknown");
        assert!(error.contains("line 2"), "{error}");
        let file = JobFile::parse("job = 'pagerank'\ninput = 'e'\noutput = 'o'\nalpha = 0.85");
        let refused = file.expect("a job").job.into_spec();
        assert!(matches!(refused, Err(Failure::Usage(text)) if text.contains("--damping")));
    }

    #[test]
    fn reads_the_keys_of_the_command_line() {
        let file = JobFile::parse(
            r#"
            job = "svd"
            input = "ratings.parquet"
            row = "user"
            col = "item"
            transform = ["bm25", "l2-rows"]
            n_components = 64
            max_reads = 8
            on-bad-row = "skip"
            memory = "8GiB"
            output = "out"
            "#,
        )
        .expect("a job");
        assert_eq!(file.run.memory, Some(ByteSize(8 << 30)));
        let svd = svd(file);
        assert_eq!(svd.input, ["ratings.parquet"]);
        assert_eq!(svd.transform, ["bm25", "l2-rows"]);
        assert_eq!((svd.k, svd.max_reads), (Some(64), Some(8)));
        assert!(svd.into_spec().is_ok());
    }

    #[test]
    fn every_key_that_is_allowed_is_read() {
        // No key takes a date: who reads one refuses it, who ignores it does not.
        for (kind, name) in [
            (JobKind::Svd, "svd"),
            (JobKind::PageRank, "pagerank"),
            (JobKind::Ppr, "ppr"),
            (JobKind::PprIndex, "ppr-index"),
        ] {
            for key in known_keys(kind).into_iter().filter(|key| key != "job") {
                for key in [key.replace('-', "_"), key] {
                    let text = format!("job = '{name}'\n{key} = 1979-05-27");
                    assert!(JobFile::parse(&text).is_err(), "{key} of {name} is ignored");
                }
            }
        }
    }

    #[test]
    fn a_list_of_inputs_is_fine() {
        let file = JobFile::parse("job = 'svd'\ninput = ['a', 'b']").expect("a job");
        assert_eq!(svd(file).input, ["a", "b"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = JobFile::parse("job = 'svd'\nk = 3\nmaxreads = 4\n").expect_err("unknown");
        assert_eq!(
            error,
            "line 3: no key is called \"maxreads\"; did you mean max-reads?"
        );
        let error = JobFile::parse("job = 'svd'\nalphabet = 4\n").expect_err("unknown");
        assert!(
            error.contains("there are block-width, center, col"),
            "{error}"
        );
    }

    #[test]
    fn a_job_needs_a_kind() {
        let error = JobFile::parse("k = 3").expect_err("no kind");
        assert!(error.contains("missing field `job`"), "{error}");
        let error = JobFile::parse("job = 'als'").expect_err("unknown kind");
        assert!(error.contains("`als`"), "{error}");
    }

    #[test]
    fn a_wrong_type_is_shown_where_it_stands() {
        let error = JobFile::parse("job = 'svd'\nk = 'many'").expect_err("wrong type");
        assert!(error.contains("line 2"), "{error}");
        let error = JobFile::parse("job = 'svd'\nmethod = 'magic'").expect_err("wrong word");
        assert!(error.contains("unknown variant `magic`"), "{error}");
    }
}
