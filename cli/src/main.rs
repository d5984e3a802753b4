//! `rankmill`: overnight matrix factorization and PageRank on Parquet, from a laptop to a cluster.
//!
//! Parses the command line, runs one subcommand and ends with a documented exit code.

// `text` says why, and how to write instead.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod commands;
mod embedded;
mod exit;
mod interrupt;
mod job;
mod local_file;
mod machine;
mod outcome;
mod place;
mod profile;
mod progress;
mod state;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use rankmill_store::StoreProfiles;

use crate::exit::{Failure, Outcome};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Truncated SVD, PCA and personalized PageRank of Parquet files: certified, resumable, the same
/// bytes every time.
#[derive(Parser)]
#[command(name = "rankmill", version, arg_required_else_help = true)]
struct Cli {
    /// Store profiles (TOML): which remote places may be used, and with which credentials
    /// [default: every place, with the environment's]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RANKMILL_STORES",
        help_heading = "Stores"
    )]
    stores: Option<PathBuf>,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    log_to_stderr();
    let parsed = Cli::command()
        .after_help(exit::help())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return exit::refuse_arguments(&error),
    };
    let format = cli.command.format();
    let ready = install_profiles(cli.stores.as_deref());
    match ready.and_then(|()| cli.command.execute()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit::report(&failure, format),
    }
}

/// Before anything is opened.
fn install_profiles(path: Option<&Path>) -> Outcome {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(());
    };
    let profiles = StoreProfiles::read(path).map_err(|e| Failure::usage(e.message))?;
    Ok(profiles.install()?)
}

/// Logs are for those who look for a defect: off unless `RANKMILL_LOG` asks for them.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into())
        .with_env_var("RANKMILL_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would print them with the macro that panics.
        .log_internal_errors(false)
        .init();
}
