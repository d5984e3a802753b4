//! Rows of numbers as Arrow: one column `vector` of fixed-size lists.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions,
};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, DataType, Field, Float32Type, Float64Type, Schema, SchemaRef,
};
use rankmill_common::{Error, Result};

/// A number that vectors are made of.
pub(crate) trait Number: ArrowNativeType + Send + Sync {
    /// Its Arrow type.
    type Arrow: ArrowPrimitiveType<Native = Self>;
}

impl Number for f32 {
    type Arrow = Float32Type;
}

impl Number for f64 {
    type Arrow = Float64Type;
}

/// Numbers of either width.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    Single(&'a [f32]),
    Double(&'a [f64]),
}

/// The schema of vectors of `ncols` numbers.
pub(crate) fn schema<T: Number>(ncols: usize) -> Result<SchemaRef> {
    let list = DataType::FixedSizeList(element::<T>(), list_size(ncols)?);
    Ok(Arc::new(Schema::new(vec![Field::new(
        "vector", list, false,
    )])))
}

/// Rows as a batch. The numbers are not copied.
pub(crate) fn batch<T: Number>(
    schema: &SchemaRef,
    nrows: usize,
    ncols: usize,
    numbers: Buffer,
) -> Result<RecordBatch> {
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let values = ScalarBuffer::<T>::new(numbers, 0, nrows * ncols);
    let values: ArrayRef = Arc::new(PrimitiveArray::<T::Arrow>::new(values, None));
    let list = FixedSizeListArray::try_new_with_length(
        element::<T>(),
        list_size(ncols)?,
        values,
        None,
        nrows,
    )
    .map_err(internal)?;
    let options = RecordBatchOptions::new().with_row_count(Some(nrows));
    RecordBatch::try_new_with_options(Arc::clone(schema), vec![Arc::new(list)], &options)
        .map_err(internal)
}

/// The numbers of a batch's rows, row-major; `None` unless it holds `ncols` of them per row.
pub(crate) fn numbers(batch: &RecordBatch, ncols: usize) -> Option<Numbers<'_>> {
    let list = batch
        .column_by_name("vector")?
        .as_any()
        .downcast_ref::<FixedSizeListArray>()?;
    if usize::try_from(list.value_length()).ok() != Some(ncols) || list.null_count() > 0 {
        return None;
    }
    let span = list.offset() * ncols..(list.offset() + list.len()) * ncols;
    let values = list.values().as_any();
    if let Some(single) = values.downcast_ref::<PrimitiveArray<Float32Type>>() {
        return single.values().get(span).map(Numbers::Single);
    }
    let double = values.downcast_ref::<PrimitiveArray<Float64Type>>()?;
    double.values().get(span).map(Numbers::Double)
}

fn element<T: Number>() -> Arc<Field> {
    Arc::new(Field::new("item", T::Arrow::DATA_TYPE, false))
}

fn list_size(ncols: usize) -> Result<i32> {
    i32::try_from(ncols).map_err(|_| Error::internal(format!("{ncols} columns in one list")))
}
