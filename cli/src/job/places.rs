//! Where a job reads and writes, as absolute URLs that do not lie inside one another.

use rankmill_common::Error;
use rankmill_common::job::{OutputSpec, Overwrite};
use rankmill_store::Location;

use super::overlap::refuse_overlap;
use crate::exit::{Failure, Outcome};
use crate::place;

/// Inputs and output of a job.
pub(super) struct Places {
    pub(super) inputs: Vec<String>,
    pub(super) output: OutputSpec,
}

impl Places {
    /// Paths as they were typed.
    pub(super) fn of(inputs: &[String], output: Option<&str>, overwrite: bool) -> Outcome<Self> {
        let Some(output) = output else {
            return Err(Failure::usage(
                "-o OUT is missing: where should the result go?",
            ));
        };
        let output = place::parse(output)?;
        let inputs = locations(inputs)?;
        refuse_overlap(&inputs, &output)?;
        Ok(Self {
            inputs: inputs.iter().map(Location::url).collect(),
            output: OutputSpec {
                url: output.url(),
                overwrite: if overwrite {
                    Overwrite::Replace
                } else {
                    Overwrite::Refuse
                },
            },
        })
    }
}

fn locations(paths: &[String]) -> Result<Vec<Location>, Error> {
    paths.iter().map(|path| place::parse(path)).collect()
}
