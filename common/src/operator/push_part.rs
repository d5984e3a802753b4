//! `push_part`: a round of forward push for some sources on a part of a graph.
//!
//! Parts are ranges of vertices. A round takes what earlier rounds know of the part's vertices and
//! what other parts have sent to them, pushes, and leaves the same for the next round: a state, and
//! a frontier with what travels to each other part.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::power_scores::Personal;
use crate::ObjectRef;
use crate::matrix::{BlockFormat, BlockRef, RowRange};

/// Parameters of `push_part`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushPart {
    /// How blocks store their rows.
    pub format: BlockFormat,
    /// The blocks that hold any row of the part, in row order; rows are outgoing edges.
    pub blocks: Vec<BlockRef>,
    /// Number of vertices of the graph.
    pub vertices: u64,
    /// The vertices of every part, in order.
    pub parts: Vec<RowRange>,
    /// Which of them this task works on.
    pub part: u32,
    /// Sources that are worked on at a time, each in a workspace of its own.
    pub lanes: u32,
    /// What happens to which source, by ascending source.
    pub turns: Vec<Turn>,
    /// What there is to work on.
    pub found: PartInput,
    /// What all methods need.
    pub personal: Personal,
}

/// What a round does for a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The source, counted from the first one of [`Personal::range`].
    pub source: u32,
    /// Bound of ‖r‖₁ over all parts and what is on the way.
    pub left: f64,
    /// What to do.
    pub action: Action,
}

/// What a round does for a source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Push what exceeds the threshold.
    Push {
        /// Residual per edge; absent, it follows from what the part has.
        threshold: Option<f64>,
        /// Edges to follow at most.
        max_edges: u64,
        /// Whether to list the best vertices as well.
        list: bool,
    },
    /// Take what arrived, list the best vertices and keep nothing.
    Finish,
}

/// What a round finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum PartInput {
    /// Nothing: walks start.
    Seeds,
    /// What the round before has left.
    Round {
        /// The part's own state, if a source has reached it.
        state: Option<ObjectRef>,
        /// What other parts send, in their order.
        frontiers: Vec<ObjectRef>,
    },
}

/// What a round leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushedPart {
    /// Arrow IPC: `source: u32`, `vertex: u32`, `reserve: f64`, `residual: f64`, by source and
    /// vertex; absent where there is nothing.
    pub state: Option<ObjectRef>,
    /// Arrow IPC: `source`, `vertex`, `mass: f64`, by source and vertex; batch b is for part
    /// b modulo their number.
    pub frontier: Option<ObjectRef>,
    /// Entries of the frontier by part.
    pub sent: Vec<u64>,
    /// The best vertices of sources that are finished. Arrow IPC: `source`, `index: u32`,
    /// `place: u32`, `score: f64`, by source and rank.
    pub best: Option<ObjectRef>,
    /// The same of sources that go on.
    pub listed: Option<ObjectRef>,
    /// What was done, turn by turn.
    pub sums: Vec<PartSums>,
}

/// What a round did for one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartSums {
    /// Σ residual that stays, and mass that was sent.
    pub left: f64,
    /// Edges of the vertices with a residual.
    pub volume: u64,
    /// Vertices of other parts that mass was sent to.
    pub receivers: u64,
    /// Edges that were followed.
    pub edges: u64,
    /// Bound of what rounding did to ‖p‖₁ + ‖r‖₁, in units of the roundoff of f64.
    pub rounding: f64,
    /// Vertices with a positive score.
    pub positive: u64,
    /// Vertices that were reached but have none.
    pub untouched: u64,
}

/// Share of the average residual per edge above which a vertex is pushed: at least three quarters of
/// the mass move in a round.
pub const PUSHED_SHARE: f64 = 0.25;

/// Bytes per vertex of the part: its strength.
pub const ROW_BYTES: u64 = 8;
/// Bytes per vertex of the part and lane: reserve, residual, mark, and two lists.
pub const LANE_ROW_BYTES: u64 = 25;
/// Bytes per vertex of the graph and lane: the outbox.
pub const LANE_VERTEX_BYTES: u64 = 12;
/// Bytes per vertex of the graph: its numbering, mapped.
pub const VERTEX_BYTES: u64 = 8;

impl PushPart {
    /// The vertices of the part.
    pub fn rows(&self) -> Option<RowRange> {
        self.parts.get(self.part as usize).copied()
    }

    pub(super) fn memory(&self) -> u64 {
        let rows = self.rows().map_or(0, |rows| rows.count);
        let blocks: u64 = self.blocks.iter().map(|block| block.object.size).sum();
        let lane = LANE_ROW_BYTES * rows + LANE_VERTEX_BYTES * self.vertices;
        TASK_OVERHEAD
            + blocks
            + ROW_BYTES * rows
            + VERTEX_BYTES * self.vertices
            + u64::from(self.lanes) * lane
    }
}
