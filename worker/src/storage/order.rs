//! The numbering of a graph's vertices: places (in the order of ids) ↔ indices (rows, columns).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::UInt32Type;
use rankmill_common::matrix::VertexOrder;
use rankmill_common::{Error, Result};

use super::ipc::{IpcFile, write_batch};
use crate::context::TaskContext;

/// An open numbering; maps its file.
pub(crate) enum Order {
    /// Places are indices.
    Identity,
    /// `index` of every place, `place` of every index.
    Table(RecordBatch),
}

impl Order {
    /// Opens the numbering of `count` vertices.
    ///
    /// # Errors
    ///
    /// `InputLost` where the object is gone, `Internal` where it numbers other vertices.
    pub(crate) fn open(
        context: &TaskContext,
        order: Option<&VertexOrder>,
        count: u64,
    ) -> Result<Self> {
        let Some(order) = order else {
            return Ok(Self::Identity);
        };
        let batch = IpcFile::open(context, &order.object)?.batch(0)?;
        let sound = batch.num_columns() == 2
            && batch.num_rows() as u64 == count
            && batch
                .columns()
                .iter()
                .all(|column| is_permutation(column, count));
        if !sound {
            let key = &order.object.key;
            return Err(Error::internal(format!(
                "object {key} does not number {count} vertices"
            )));
        }
        Ok(Self::Table(batch))
    }

    /// The index of every place; none where places are indices.
    pub(crate) fn indices(&self) -> Option<&[u32]> {
        match self {
            Self::Identity => None,
            Self::Table(batch) => Some(batch.column(0).as_primitive::<UInt32Type>().values()),
        }
    }

    /// The index of the vertex at `place`.
    pub(crate) fn index(&self, place: u32) -> u32 {
        self.look_up(0, place)
    }

    /// The place of the vertex with `index`.
    pub(crate) fn place(&self, index: u32) -> u32 {
        self.look_up(1, index)
    }

    fn look_up(&self, column: usize, key: u32) -> u32 {
        match self {
            Self::Identity => key,
            Self::Table(batch) => {
                batch.column(column).as_primitive::<UInt32Type>().values()[key as usize]
            }
        }
    }
}

/// Whether a column holds numbers below `count` only; that they are distinct follows from how it
/// is made.
fn is_permutation(column: &ArrayRef, count: u64) -> bool {
    let numbers = column.as_primitive_opt::<UInt32Type>();
    numbers.is_some_and(|numbers| {
        let largest = numbers.values().iter().max();
        largest.is_none_or(|&largest| u64::from(largest) < count)
    })
}

/// Writes the numbering in which `places` has the place of every index.
///
/// # Errors
///
/// `ResourceExhausted` when the disk is full, `Unavailable` when the store is out of reach.
pub(crate) fn write(context: &TaskContext, name: &str, places: Vec<u32>) -> Result<VertexOrder> {
    let mut indices = vec![0u32; places.len()];
    for (index, &place) in places.iter().enumerate() {
        indices[place as usize] = index as u32;
    }
    let columns: [(&str, ArrayRef); 2] = [
        ("index", Arc::new(UInt32Array::from(indices))),
        ("place", Arc::new(UInt32Array::from(places))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| Error::internal(e.to_string()))?;
    Ok(VertexOrder {
        object: write_batch(context, name, &batch)?,
    })
}
