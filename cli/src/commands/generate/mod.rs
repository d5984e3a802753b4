//! `rankmill generate`: test inputs of any size, the same bytes for any number of threads.
//!
//! Every row is a function of the seed and its number, so row groups are made and encoded in
//! parallel and appended in order.

mod dense;
mod permutation;
mod ratings;
mod rmat;
mod table;
mod zipf;

use rankmill_common::{Error, Result};

use crate::exit::Outcome;
use crate::local_file::Target;
use crate::machine;
use crate::text::{grouped, tell};
use table::Table;

#[derive(clap::Args)]
pub(crate) struct Generate {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    /// Ratings 1 to 5: popular users and items, a low-rank taste (user, item, rating)
    Ratings {
        #[command(flatten)]
        args: ratings::RatingsArgs,
        #[command(flatten)]
        output: Output,
    },
    /// Edges of a Graph500 R-MAT graph (src, dst)
    Rmat {
        #[command(flatten)]
        args: rmat::RmatArgs,
        #[command(flatten)]
        output: Output,
    },
    /// Dense vectors with a given spectrum (id, vector)
    Dense {
        #[command(flatten)]
        args: dense::DenseArgs,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, clap::Args)]
struct Output {
    /// Seed: the same seed makes the same bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// FILE.parquet, or a directory for several files
    #[arg(short, long, value_name = "OUT")]
    output: String,
    /// Replace what is there
    #[arg(long)]
    overwrite: bool,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=machine::MOST_THREADS))]
    threads: Option<u32>,
}

impl Generate {
    pub(crate) fn execute(self) -> Outcome {
        match self.kind {
            Kind::Ratings { args, output } => write(&args.table(output.seed)?, &output)?,
            Kind::Rmat { args, output } => write(&args.table(output.seed)?, &output)?,
            Kind::Dense { args, output } => write(&args.table(output.seed)?, &output)?,
        }
        Ok(())
    }
}

fn write(table: &impl Table, output: &Output) -> Result<()> {
    let target = Target::parse(&output.output)?;
    target.check(output.overwrite)?;
    let threads = output
        .threads
        .map_or_else(machine::default_threads, |threads| threads as usize);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::internal(format!("cannot start {threads} threads: {e}")))?;
    let files = pool.install(|| table::write(table, &target))?;
    tell(format_args!(
        "{} rows in {files} {} of {}",
        grouped(table.rows()),
        if files == 1 { "file" } else { "files" },
        output.output
    ));
    Ok(())
}
