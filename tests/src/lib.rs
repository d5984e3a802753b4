//! The harness of the end-to-end tests: large, so that the tests stay small.
//!
//! Runs the real binary on real files and reads results the way a user would, with pyarrow's
//! view of the format and nothing of rankmill's own code: what checks a result shares no code
//! with what made it.

pub mod check;
pub mod graph;
pub mod input;
pub mod program;
pub mod reference;
pub mod result;
