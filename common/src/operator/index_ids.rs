//! `index_ids`: the index of every code, where ids are coded as distances.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::ObjectRef;
use crate::matrix::VertexOrder;
use crate::table::{IdRange, IdTable};

/// Parameters of `index_ids`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexIds {
    /// All ids.
    pub ids: IdTable,
    /// The ids behind the codes.
    pub range: IdRange,
    /// The numbering, where it is not that of the ids.
    pub order: Option<VertexOrder>,
}

/// The index of every code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexedIds {
    /// Arrow IPC: `index: u32` of every code, 2³²−1 where no entry has it.
    pub object: ObjectRef,
}

impl IndexIds {
    pub(super) fn memory(&self) -> u64 {
        let order = self.order.as_ref().map_or(0, |order| order.object.size);
        TASK_OVERHEAD + 4 * self.range.span + order
    }
}
