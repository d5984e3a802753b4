//! `rankmill estimate`: what a job would need, from the input's footers alone.

use std::path::PathBuf;

use rankmill_common::ByteSize;
use rankmill_common::estimate::{Estimate as Cost, ShapeKnowledge, StageEstimate};
use rankmill_common::job::JobSpec;

use crate::exit::{Failure, Format, Outcome};
use crate::job::{
    JobArgs, JobFile, PageRankArgs, PprArgs, PprIndexArgs, RunKeys, SvdArgs, check_local_inputs,
};
use crate::machine;
use crate::text::{Align, counted, grouped, print, table};

/// Stands for the output of a job that is only estimated.
const NOWHERE: &str = "memory://estimate";

/// Reads the input's footers and says what the job would need: memory, reads, scratch space. The
/// same flags or job file as the job itself.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Estimate {
    #[command(subcommand)]
    job: Option<Job>,
    /// The job file (TOML)
    #[arg(value_name = "JOB.toml")]
    file: Option<PathBuf>,
    /// JSON on stdout
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Job {
    /// Estimate what `rankmill svd` would need with these flags
    Svd(Box<Flags<SvdArgs>>),
    /// Estimate what `rankmill pagerank` would need with these flags
    #[command(name = "pagerank")]
    PageRank(Box<Flags<PageRankArgs>>),
    /// Estimate what `rankmill ppr` would need with these flags
    Ppr(Box<Flags<PprArgs>>),
    /// Estimate what `rankmill ppr-index` would need with these flags
    PprIndex(Box<Flags<PprIndexArgs>>),
}

#[derive(clap::Args)]
struct Flags<A: clap::Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    keys: RunKeys,
    /// JSON on stdout
    #[arg(long)]
    json: bool,
}

impl Job {
    fn json(&self) -> bool {
        match self {
            Self::Svd(flags) => flags.json,
            Self::PageRank(flags) => flags.json,
            Self::Ppr(flags) => flags.json,
            Self::PprIndex(flags) => flags.json,
        }
    }

    fn split(self) -> (JobArgs, RunKeys) {
        match self {
            Self::Svd(flags) => (JobArgs::Svd(Box::new(flags.args)), flags.keys),
            Self::PageRank(flags) => (JobArgs::PageRank(Box::new(flags.args)), flags.keys),
            Self::Ppr(flags) => (JobArgs::Ppr(Box::new(flags.args)), flags.keys),
            Self::PprIndex(flags) => (JobArgs::PprIndex(Box::new(flags.args)), flags.keys),
        }
    }
}

impl Estimate {
    pub(crate) fn format(&self) -> Format {
        Format::json_if(self.json || self.job.as_ref().is_some_and(Job::json))
    }

    pub(crate) fn execute(self) -> Outcome {
        let format = self.format();
        let (mut job, keys) = match (self.job, self.file) {
            (Some(job), _) => job.split(),
            (None, Some(file)) => {
                let file = JobFile::read(&file)?;
                (file.job, file.run)
            }
            (None, None) => {
                return Err(Failure::usage(
                    "what job? Name a job file, or write `rankmill estimate svd`, `pagerank`, \
                     `ppr` or `ppr-index` with its flags",
                ));
            }
        };
        // Nothing is written, so a job without an output can be estimated as well.
        job.output_mut().get_or_insert_with(|| NOWHERE.to_owned());
        if keys.coordinator.is_none() {
            job.default_task_memory(keys.task_memory());
        }
        let spec = job.into_spec()?;
        check_local_inputs(&spec)?;
        let inspection = rankmill_worker::inspect(spec.input())?;
        let cost = rankmill_common::estimate::job(&spec, &inspection);
        if let JobSpec::Svd(svd) = &spec {
            svd.fitted(cost.nrows, cost.ncols)?;
        }
        let budget = keys.memory.unwrap_or_else(machine::default_memory);
        Ok(print(&match format {
            Format::Json => json(&cost, budget),
            Format::Text => text(&spec, &cost, budget),
        })?)
    }
}

fn text(spec: &JobSpec, cost: &Cost, budget: ByteSize) -> String {
    let at_most = match cost.shape {
        ShapeKnowledge::Exact => "",
        ShapeKnowledge::UpperBound => "at most ",
    };
    let subject = match spec {
        JobSpec::Svd(_) => format!(
            "matrix     {at_most}{} × {}, {} entries",
            grouped(cost.nrows),
            grouped(cost.ncols),
            grouped(cost.nnz)
        ),
        JobSpec::PageRank(_) | JobSpec::Ppr(_) | JobSpec::PprIndex(_) => format!(
            "graph      {at_most}{} vertices, {} edges",
            grouped(cost.nrows),
            grouped(cost.nnz)
        ),
    };
    let rows: Vec<Vec<String>> = cost.stages.iter().map(stage_row).collect();
    format!(
        "{subject}\n\
         method     {}, {} expected\n\n\
         {}\n\
         memory     {} at once; {}\n\
         reading    {}\n\
         scratch    {}\n\
         result     {}\n",
        cost.method,
        counted(cost.reads, "read"),
        table(
            &[
                ("stage", Align::Left),
                ("times", Align::Right),
                ("memory", Align::Right),
                ("reads each", Align::Right),
                ("scratch each", Align::Right),
            ],
            &rows
        ),
        ByteSize(cost.peak_memory()),
        verdict(spec, cost, budget),
        ByteSize(cost.bytes_read()),
        ByteSize(cost.scratch()),
        ByteSize(cost.result_bytes),
    )
}

/// Whether the job fits. A bound that assumes as many ids as entries proves nothing when it does
/// not fit.
fn verdict(spec: &JobSpec, cost: &Cost, budget: ByteSize) -> String {
    if cost.peak_memory() <= budget.0 {
        return format!("fits into {budget}");
    }
    let (less, shape) = match spec {
        JobSpec::Svd(_) => (
            ", a smaller -k or --method subspace",
            "--shape RxC, your guess of both counts",
        ),
        JobSpec::PageRank(_) => ("", "--vertices N, your guess"),
        JobSpec::Ppr(_) => (" or --method push", "--vertices N, your guess"),
        JobSpec::PprIndex(_) => (" or fewer --walks", "--vertices N, your guess"),
    };
    match cost.shape {
        ShapeKnowledge::Exact => format!(
            "does NOT fit into {budget}: --memory {}MiB{less}",
            cost.peak_memory().div_ceil(1 << 20)
        ),
        ShapeKnowledge::UpperBound => format!(
            "more than {budget}, but this assumes as many ids as the footers\n           allow; with \
             --ids dense {shape}, it is exact"
        ),
    }
}

fn stage_row(stage: &StageEstimate) -> Vec<String> {
    vec![
        stage.name.clone(),
        stage.times.to_string(),
        ByteSize(stage.memory).to_string(),
        ByteSize(stage.bytes_read).to_string(),
        ByteSize(stage.scratch).to_string(),
    ]
}

fn json(cost: &Cost, budget: ByteSize) -> String {
    let object = serde_json::json!({
        "estimate": cost,
        "peak_memory": cost.peak_memory(),
        "bytes_read": cost.bytes_read(),
        "scratch_bytes": cost.scratch(),
        "memory_budget": budget,
        "fits": cost.peak_memory() <= budget.0,
    });
    format!("{object:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Cost {
        Cost {
            nrows: 1_000,
            ncols: 1_000,
            nnz: 1_000,
            shape: ShapeKnowledge::UpperBound,
            method: "lanczos".to_owned(),
            reads: 7,
            stages: vec![StageEstimate {
                name: "read entries".to_owned(),
                times: 2,
                memory: 1 << 30,
                bytes_read: 1 << 20,
                scratch: 1 << 10,
            }],
            result_bytes: 4_000,
        }
    }

    fn spec() -> JobSpec {
        let args = SvdArgs {
            input: vec!["/ratings.parquet".to_owned()],
            output: Some("/out".to_owned()),
            row: Some("user".to_owned()),
            col: Some("item".to_owned()),
            k: Some(8),
            ..SvdArgs::default()
        };
        args.into_spec().expect("a job")
    }

    #[test]
    fn an_estimate_says_what_would_make_the_job_fit() {
        let exact = Cost {
            shape: ShapeKnowledge::Exact,
            ..cost()
        };
        let text = text(&spec(), &exact, ByteSize(1 << 20));
        assert!(
            text.contains("does NOT fit into 1.0 MiB: --memory 1024MiB"),
            "{text}"
        );
        assert!(text.contains("reading    2.0 MiB"), "{text}");
        let bound = super::text(&spec(), &cost(), ByteSize(1 << 20));
        assert!(bound.contains("at most 1 000 × 1 000"), "{bound}");
        assert!(bound.contains("as many ids as the footers"), "{bound}");
        let enough = super::text(&spec(), &cost(), ByteSize(2 << 30));
        assert!(enough.contains("fits into 2.00 GiB"), "{enough}");
    }

    #[test]
    fn machines_get_an_object() {
        let object: serde_json::Value =
            serde_json::from_str(&json(&cost(), ByteSize(1))).expect("JSON");
        assert_eq!(object["fits"], false);
        assert_eq!(object["estimate"]["reads"], 7);
    }
}
