//! From what a person typed to what runs.
//!
//! [`JobArgs`] are raw: the flags of a subcommand, or the same keys in a job file. Their one
//! conversion yields a validated [`rankmill_common::job::JobSpec`].

mod file;
mod graph_args;
mod job_args;
mod overlap;
mod page_rank_args;
mod paths;
mod places;
mod ppr_args;
mod ppr_index_args;
mod run_args;
mod svd_args;
mod svd_spec;
mod words;

pub(crate) use file::JobFile;
pub(crate) use job_args::JobArgs;
pub(crate) use page_rank_args::PageRankArgs;
pub(crate) use paths::check_local_inputs;
pub(crate) use ppr_args::PprArgs;
pub(crate) use ppr_index_args::PprIndexArgs;
pub(crate) use run_args::{Profile, RunArgs, RunKeys};
pub(crate) use svd_args::SvdArgs;
