//! The control plane of rankmill.
//!
//! Accepts jobs, runs their algorithms, hands out tasks, keeps the log and commits results. It
//! carries descriptors and short vectors, never matrix data, and does no linear algebra: there is
//! no arrow, parquet, rayon or faer below it.

// Closed enums are matched without a catch-all, so that the compiler walks whoever adds a variant
// through the house.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod algorithm;
pub mod commit;
pub mod config;
mod engine;
mod http;
mod leadership;
pub mod log;
mod metrics;
pub mod prune;
pub mod scheduler;
mod seat;
mod server;
mod service;
#[cfg(test)]
mod simulation;
pub mod stages;

pub use config::CoordinatorConfig;
pub use engine::Outputs;
pub use leadership::living_leader;
pub use server::{Coordinator, Role};
