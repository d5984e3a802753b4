//! Arrays of ascending ids, compared and searched.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, GenericByteArray};
use arrow::datatypes::ByteArrayType;
use rankmill_common::{Error, Result};

/// Ascending ids of one type.
pub(crate) trait SortedIds: Copy {
    /// One id.
    type Key: Copy + Ord;

    /// Number of ids.
    fn len(self) -> usize;

    /// The id at `index`.
    fn key(self, index: usize) -> Self::Key;

    /// First place from `from` on whose id is not below `key`; fast where that is near.
    fn seek(self, from: usize, key: Self::Key) -> usize {
        let mut step = 1;
        let mut low = from;
        while low + step < self.len() && self.key(low + step) < key {
            low += step;
            step *= 2;
        }
        let mut high = (low + step).min(self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<T: Copy + Ord> SortedIds for &[T] {
    type Key = T;

    fn len(self) -> usize {
        <[T]>::len(self)
    }

    fn key(self, index: usize) -> T {
        self[index]
    }
}

impl<'a, B: ByteArrayType> SortedIds for &'a GenericByteArray<B> {
    type Key = &'a [u8];

    fn len(self) -> usize {
        Array::len(self)
    }

    fn key(self, index: usize) -> &'a [u8] {
        self.value(index).as_ref()
    }
}

impl<'a> SortedIds for &'a FixedSizeBinaryArray {
    type Key = &'a [u8];

    fn len(self) -> usize {
        Array::len(self)
    }

    fn key(self, index: usize) -> &'a [u8] {
        self.value(index)
    }
}

/// Something to do with several arrays of ids of one type.
pub(crate) trait Visitor {
    /// What it makes.
    type Output;

    /// Does it.
    fn visit<S: SortedIds>(self, ids: &[S]) -> Result<Self::Output>;
}

/// Calls `visitor` with `arrays` in their static type.
///
/// # Errors
///
/// `Internal` where the arrays are of several types or hold no ids.
pub(crate) fn visit<V: Visitor>(arrays: &[ArrayRef], visitor: V) -> Result<V::Output> {
    use arrow::datatypes::DataType;

    let Some(first) = arrays.first() else {
        return visitor.visit::<&[u64]>(&[]);
    };
    let data_type = first.data_type();
    if arrays.iter().any(|array| array.data_type() != data_type) {
        return Err(Error::internal("ids of several types"));
    }
    super::with_integer_type!(data_type, T => {
        let ids: Vec<_> = arrays
            .iter()
            .map(|array| &array.as_primitive::<T>().values()[..])
            .collect();
        visitor.visit(&ids)
    }, match data_type {
        DataType::LargeUtf8 => {
            visitor.visit(&arrays.iter().map(AsArray::as_string::<i64>).collect::<Vec<_>>())
        }
        DataType::LargeBinary => {
            visitor.visit(&arrays.iter().map(AsArray::as_binary::<i64>).collect::<Vec<_>>())
        }
        DataType::FixedSizeBinary(_) => visitor.visit(
            &arrays.iter().map(AsArray::as_fixed_size_binary).collect::<Vec<_>>(),
        ),
        other => Err(Error::internal(format!("{other} holds no ids"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seek_finds_what_a_scan_finds(
            mut ids in prop::collection::vec(0u32..200, 0..100),
            from in 0usize..120,
            key in 0u32..220,
        ) {
            ids.sort_unstable();
            let slice = &ids[..];
            let from = from.min(ids.len());
            let expected = (from..ids.len()).find(|&i| ids[i] >= key).unwrap_or(ids.len());
            prop_assert_eq!(slice.seek(from, key), expected);
        }
    }
}
