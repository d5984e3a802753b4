//! One column of ids: gathered batch by batch, then replaced by codes.
//!
//! A code is the place of an id among the column's distinct ids in ascending order, so it does
//! not depend on hashing or on the order of arrival.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, GenericByteViewArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::filter;
use arrow::datatypes::{ByteViewType, DataType};
use rankmill_common::table::IdType;
use rankmill_common::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;

use super::integers;
use super::interner::Interner;
use super::with_integer_type;

/// A column of ids being gathered.
pub(crate) struct IdColumn {
    id_type: IdType,
    gathered: Gathered,
}

enum Gathered {
    /// Arrays as they were decoded.
    Integers(Vec<ArrayRef>),
    /// Distinct byte strings in order of arrival, and which one each row has.
    Bytes { interner: Interner, rows: Vec<u32> },
}

/// A column whose ids are replaced by codes.
pub(crate) struct EncodedColumn {
    /// Per row.
    pub(crate) codes: Vec<u32>,
    /// Distinct, ascending.
    pub(crate) ids: ArrayRef,
    /// Rows per distinct id.
    pub(crate) counts: Vec<u32>,
}

impl IdColumn {
    /// An empty column.
    pub(crate) fn new(id_type: IdType) -> Self {
        let gathered = match id_type {
            IdType::Utf8 | IdType::Binary | IdType::FixedSizeBinary(_) => Gathered::Bytes {
                interner: Interner::default(),
                rows: Vec::new(),
            },
            IdType::Int8
            | IdType::Int16
            | IdType::Int32
            | IdType::Int64
            | IdType::UInt8
            | IdType::UInt16
            | IdType::UInt32
            | IdType::UInt64 => Gathered::Integers(Vec::new()),
        };
        Self { id_type, gathered }
    }

    /// Whether its ids are of this type.
    pub(crate) fn is_of(&self, id_type: IdType) -> bool {
        self.id_type == id_type
    }

    /// Appends a batch. Nulls are appended as some id or other; the caller drops those rows.
    pub(crate) fn push(&mut self, array: &ArrayRef) -> Result<()> {
        let Gathered::Bytes { interner, rows } = &mut self.gathered else {
            let Gathered::Integers(arrays) = &mut self.gathered else {
                return Ok(());
            };
            arrays.push(Arc::clone(array));
            return Ok(());
        };
        #[allow(clippy::wildcard_enum_match_arm, reason = "the rest holds no bytes")]
        match array.data_type() {
            DataType::Utf8View => intern_views(array.as_string_view(), interner, rows),
            DataType::BinaryView => intern_views(array.as_binary_view(), interner, rows),
            DataType::FixedSizeBinary(_) => {
                let array = array.as_fixed_size_binary();
                rows.extend((0..array.len()).map(|row| interner.intern(array.value(row))));
            }
            other => return Err(Error::internal(format!("{other} holds no ids of bytes"))),
        }
        Ok(())
    }

    /// Drops some rows, given ascending.
    pub(crate) fn drop_rows(&mut self, dropped: &[u32]) -> Result<()> {
        match &mut self.gathered {
            Gathered::Bytes { rows, .. } => {
                drop_items(rows, dropped);
                Ok(())
            }
            Gathered::Integers(arrays) => {
                let mut first = 0;
                for array in arrays {
                    let end = first + array.len() as u32;
                    let from = dropped.partition_point(|&row| row < first);
                    let to = dropped.partition_point(|&row| row < end);
                    if from < to {
                        let mut keep = vec![true; array.len()];
                        for &row in &dropped[from..to] {
                            keep[(row - first) as usize] = false;
                        }
                        *array = filter(array, &BooleanArray::from(keep))
                            .map_err(|e| Error::internal(e.to_string()))?;
                    }
                    first = end;
                }
                Ok(())
            }
        }
    }

    /// Replaces ids by codes.
    pub(crate) fn encode(self) -> Result<EncodedColumn> {
        match self.gathered {
            Gathered::Integers(arrays) => {
                let stored = super::stored_type(self.id_type);
                with_integer_type!(&stored, T => {
                    let slices: Vec<_> = arrays
                        .iter()
                        .map(|array| &array.as_primitive::<T>().values()[..])
                        .collect();
                    let encoded = integers::encode(&slices);
                    Ok(EncodedColumn {
                        codes: encoded.codes,
                        ids: Arc::new(PrimitiveArray::<T>::new(encoded.ids.into(), None)),
                        counts: encoded.counts,
                    })
                }, Err(Error::internal("ids of bytes among integers")))
            }
            Gathered::Bytes { interner, rows } => encode_bytes(self.id_type, &interner, rows),
        }
    }

    /// Takes ids for indices: calls `check` with the row and the id of each that is not below
    /// `limit`. Nothing is left of it but the codes.
    pub(crate) fn indices(
        self,
        limit: u64,
        check: &mut dyn FnMut(usize, i128),
    ) -> Result<Vec<u32>> {
        let Gathered::Integers(arrays) = &self.gathered else {
            return Err(Error::internal("ids of bytes as indices"));
        };
        let limit = i128::from(limit.min(1 << 32));
        let mut codes: Vec<u32> = Vec::with_capacity(arrays.iter().map(Array::len).sum());
        let stored = super::stored_type(self.id_type);
        with_integer_type!(&stored, T => {
            for array in arrays {
                for &id in array.as_primitive::<T>().values() {
                    let id = i128::from(id);
                    if !(0..limit).contains(&id) {
                        check(codes.len(), id);
                    }
                    codes.push(id as u32);
                }
            }
            Ok(codes)
        }, Err(Error::internal("ids of bytes as indices")))
    }
}

/// Appends the numbers of the ids of `array`; what is null counts as empty.
fn intern_views<T>(array: &GenericByteViewArray<T>, interner: &mut Interner, rows: &mut Vec<u32>)
where
    T: ByteViewType<Native: AsRef<[u8]>>,
{
    let number = |(row, &view): (usize, &u128)| {
        let view = if array.is_null(row) { 0 } else { view };
        interner.intern_view(view, || array.value(row).as_ref())
    };
    rows.extend(array.views().iter().enumerate().map(number));
}

/// Drops the items at some places, given ascending.
pub(crate) fn drop_items<T>(items: &mut Vec<T>, dropped: &[u32]) {
    let mut next = dropped.iter().copied().peekable();
    let mut place = 0;
    items.retain(|_| {
        let hit = next.peek() == Some(&place);
        if hit {
            next.next();
        }
        place += 1;
        !hit
    });
}

fn encode_bytes(id_type: IdType, interner: &Interner, mut rows: Vec<u32>) -> Result<EncodedColumn> {
    let mut arrived_counts = vec![0u32; interner.len()];
    for &row in &rows {
        arrived_counts[row as usize] += 1;
    }
    // Ids of dropped rows only are no ids of this column.
    let shared = interner.shared_prefix();
    let mut order: Vec<(u64, u32)> = (0..interner.len() as u32)
        .filter(|&arrived| arrived_counts[arrived as usize] > 0)
        .map(|arrived| (prefix(&interner.get(arrived)[shared..]), arrived))
        .collect();
    order.par_sort_unstable_by(|a, b| {
        a.0.cmp(&b.0)
            .then_with(|| interner.get(a.1).cmp(interner.get(b.1)))
    });
    let mut rank = vec![0u32; interner.len()];
    for (code, &(_, arrived)) in order.iter().enumerate() {
        rank[arrived as usize] = code as u32;
    }
    for row in &mut rows {
        *row = rank[*row as usize];
    }
    let counts = order
        .iter()
        .map(|&(_, arrived)| arrived_counts[arrived as usize])
        .collect();
    let sorted: Vec<&[u8]> = order
        .iter()
        .map(|&(_, arrived)| interner.get(arrived))
        .collect();
    Ok(EncodedColumn {
        codes: rows,
        ids: bytes_array(id_type, &sorted)?,
        counts,
    })
}

/// The first eight bytes, such that numeric order is byte order.
fn prefix(bytes: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = bytes.len().min(8);
    first[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(first)
}

fn bytes_array(id_type: IdType, ids: &[&[u8]]) -> Result<ArrayRef> {
    let invalid = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let mut values = Vec::with_capacity(ids.iter().map(|id| id.len()).sum());
    let mut offsets = Vec::with_capacity(ids.len() + 1);
    offsets.push(0i64);
    for id in ids {
        values.extend_from_slice(id);
        offsets.push(values.len() as i64);
    }
    let values = Buffer::from_vec(values);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(match id_type {
        IdType::Utf8 => {
            Arc::new(LargeStringArray::try_new(offsets, values, None).map_err(invalid)?)
        }
        IdType::FixedSizeBinary(width) => {
            Arc::new(FixedSizeBinaryArray::try_new(width, values, None).map_err(invalid)?)
        }
        IdType::Binary
        | IdType::Int8
        | IdType::Int16
        | IdType::Int32
        | IdType::Int64
        | IdType::UInt8
        | IdType::UInt16
        | IdType::UInt32
        | IdType::UInt64 => {
            Arc::new(LargeBinaryArray::try_new(offsets, values, None).map_err(invalid)?)
        }
    })
}
