//! From what a person typed to what runs.
//!
//! [`SvdArgs`] is raw: the flags of `rankmill svd`, or the same keys in a job file. Its one
//! conversion yields a validated [`rankmill_common::job::JobSpec`].

mod file;
mod overlap;
mod paths;
mod run_args;
mod svd_args;
mod svd_spec;

pub(crate) use file::JobFile;
pub(crate) use paths::check_local_inputs;
pub(crate) use run_args::{RunArgs, RunKeys};
pub(crate) use svd_args::SvdArgs;
