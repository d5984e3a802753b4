//! `merge_scores`: the best vertices of every part, merged into the best of the graph.

use serde::{Deserialize, Serialize};

use super::power_scores::{Personal, PersonalScores};
use crate::ObjectRef;

/// Parameters of `merge_scores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergeScores {
    /// Lists of the best vertices, as in [`super::PushedPart::best`]; each part lists a source at
    /// most once.
    pub best: Vec<ObjectRef>,
    /// What is known of the sources that are merged, by ascending source.
    pub sources: Vec<MergedSource>,
    /// What comes of it.
    pub purpose: Purpose,
    /// What all methods need.
    pub personal: Personal,
}

/// A source whose scores are merged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedSource {
    /// The source, counted from the first one of [`Personal::range`].
    pub source: u32,
    /// Bound of ‖scores − exact‖₁.
    pub residual: f64,
    /// Vertices with a positive score, where it is certain that no other one can ever have any.
    pub closed: Option<u64>,
}

/// What the merged scores are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// To say whether sets are proven.
    Prove,
    /// To be written; they are then those of all sources of the task.
    Write {
        /// Rounds that were made.
        rounds: u32,
        /// Edges that were followed.
        edges: u64,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedScores {
    /// Sources whose set of targets is proven, counted as in [`MergedSource`].
    pub proven: Vec<u32>,
    /// What was written.
    pub written: Option<PersonalScores>,
}

impl MergeScores {
    pub(super) fn memory(&self) -> u64 {
        self.personal.result_memory()
    }
}
