//! The harness of the end-to-end tests: large, so that the tests stay small.
//!
//! Runs the real binary on real files and reads results the way a user would, with pyarrow's
//! view of the format and nothing of rankmill's own code: what checks a result shares no code
//! with what made it. The exception is `conformance`, which is about rankmill's own client of
//! object stores.

pub mod chance;
pub mod check;
pub mod cluster;
pub mod conformance;
pub mod graph;
pub mod input;
pub mod log;
pub mod midway;
pub mod program;
pub mod proxy;
pub mod reference;
pub mod result;
pub mod s3;
pub mod scene;
pub mod workload;
