//! Numbers of any Parquet type as f32, and what can be wrong with one.

use std::fmt;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use rankmill_common::input::OnBadRow;
use rankmill_common::{Error, Result};

/// Values that are checked at a time.
const CHECKED: usize = 1 << 10;

/// What is wrong with a value or an id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Defect {
    /// It is null.
    Null,
    /// It is NaN.
    NotANumber,
    /// It is +∞ or −∞.
    Infinite,
    /// It is finite, but not as f32.
    TooLarge(f64),
}

impl Defect {
    /// Whether `--on-bad-row skip` leaves the row out.
    pub(crate) fn is_skipped(self, on_bad_row: OnBadRow) -> bool {
        match (self, on_bad_row) {
            (Self::Null | Self::NotANumber | Self::Infinite, OnBadRow::Skip) => true,
            (Self::TooLarge(_), OnBadRow::Skip) | (_, OnBadRow::Error) => false,
        }
    }

    /// What is wrong, and what to do about it where bad rows may be left out.
    pub(crate) fn advise(self) -> String {
        match self {
            Self::Null | Self::NotANumber | Self::Infinite => {
                format!("{self}; correct it, or leave such rows out with --on-bad-row skip")
            }
            Self::TooLarge(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "is null"),
            Self::NotANumber => write!(f, "is NaN"),
            Self::Infinite => write!(f, "is infinite"),
            Self::TooLarge(value) => write!(
                f,
                "is {value:e}, which 32-bit floats cannot hold; scale the column down"
            ),
        }
    }
}

/// Whether a column of this type can hold values.
pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || data_type.is_decimal()
        || *data_type == DataType::Boolean
}

/// Appends the values of `array` as f32, calling `defect` with the place of each bad one; those
/// are appended as zeros.
///
/// # Errors
///
/// `Internal` for a type that [`is_numeric`] denies.
pub(crate) fn append_f32(
    array: &ArrayRef,
    out: &mut Vec<f32>,
    defect: &mut dyn FnMut(usize, Defect),
) -> Result<()> {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the rest is cast or refused"
    )]
    match array.data_type() {
        DataType::Float32 => floats::<Float32Type>(array, out, defect, f64::from),
        DataType::Float64 => floats::<Float64Type>(array, out, defect, |x| x),
        DataType::Float16 => floats::<Float16Type>(array, out, defect, f64::from),
        DataType::Int8 => integers::<Int8Type>(array, out, defect, f32::from),
        DataType::Int16 => integers::<Int16Type>(array, out, defect, f32::from),
        DataType::Int32 => integers::<Int32Type>(array, out, defect, |x| x as f32),
        DataType::Int64 => integers::<Int64Type>(array, out, defect, |x| x as f32),
        DataType::UInt8 => integers::<UInt8Type>(array, out, defect, f32::from),
        DataType::UInt16 => integers::<UInt16Type>(array, out, defect, f32::from),
        DataType::UInt32 => integers::<UInt32Type>(array, out, defect, |x| x as f32),
        DataType::UInt64 => integers::<UInt64Type>(array, out, defect, |x| x as f32),
        other if is_numeric(other) => {
            let wide = cast(array, &DataType::Float64)
                .map_err(|e| Error::internal(format!("cannot read {other} as numbers: {e}")))?;
            floats::<Float64Type>(&wide, out, defect, |x| x);
        }
        other => return Err(Error::internal(format!("{other} holds no numbers"))),
    }
    Ok(())
}

fn integers<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    out: &mut Vec<f32>,
    defect: &mut dyn FnMut(usize, Defect),
    convert: impl Fn(T::Native) -> f32,
) {
    let array: &PrimitiveArray<T> = array.as_primitive();
    out.extend(array.values().iter().map(|&value| convert(value)));
    nulls(array, defect);
}

fn floats<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    out: &mut Vec<f32>,
    defect: &mut dyn FnMut(usize, Defect),
    widen: impl Fn(T::Native) -> f64,
) {
    let array: &PrimitiveArray<T> = array.as_primitive();
    let first = out.len();
    out.extend(array.values().iter().map(|&value| widen(value) as f32));
    nulls(array, defect);
    for (part, narrow) in out[first..].chunks_mut(CHECKED).enumerate() {
        // Without a way out of the loop it fills vector units.
        let finite = narrow.iter().fold(true, |all, x| all & x.is_finite());
        if finite {
            continue;
        }
        for (place, narrow) in narrow.iter_mut().enumerate() {
            let row = part * CHECKED + place;
            if narrow.is_finite() || array.is_null(row) {
                continue;
            }
            let value = widen(array.value(row));
            *narrow = 0.0;
            defect(row, what_is_wrong(value));
        }
    }
}

/// Why a value is not finite as f32.
fn what_is_wrong(value: f64) -> Defect {
    if value.is_nan() {
        Defect::NotANumber
    } else if value.is_infinite() {
        Defect::Infinite
    } else {
        Defect::TooLarge(value)
    }
}

/// Reports the nulls of `array`.
pub(crate) fn nulls(array: &dyn Array, defect: &mut dyn FnMut(usize, Defect)) {
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        for row in (0..array.len()).filter(|&row| nulls.is_null(row)) {
            defect(row, Defect::Null);
        }
    }
}
