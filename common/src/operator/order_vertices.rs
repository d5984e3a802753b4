//! `order_vertices`: numbers a graph's vertices by descending degree, ties by id.
//!
//! Hubs are met most often; side by side at the front they stay in cache, which about doubles the
//! speed of graph kernels.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use super::encode_entries::EncodedEntries;
use crate::matrix::VertexOrder;
use crate::table::IdTable;

/// Parameters of `order_vertices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderVertices {
    /// All vertices.
    pub ids: IdTable,
    /// Where their degrees come from.
    pub degrees: Degrees,
    /// Ends of edges after which a block of rows should end.
    pub block_ends: u64,
}

/// Where degrees come from: the number of edge ends at a vertex, before parallel edges merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "degrees", rename_all = "snake_case")]
pub enum Degrees {
    /// The counts beside the ids.
    Table,
    /// The encoded pieces, whose codes are indices.
    Pieces {
        /// In file order.
        pieces: Vec<EncodedEntries>,
    },
}

/// A numbering of vertices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderedVertices {
    /// The numbering.
    pub order: VertexOrder,
    /// Indices, ascending, at which a block of rows should end.
    pub cuts: Vec<u64>,
}

impl OrderVertices {
    pub(super) fn memory(&self) -> u64 {
        // Degrees, the sorted places and their inverse.
        TASK_OVERHEAD + 24 * self.ids.count()
    }
}
