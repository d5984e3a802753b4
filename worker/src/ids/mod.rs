//! Ids of rows and columns: integers, text or bytes, in the users' own type.
//!
//! Integers keep their width; text and bytes are stored with 64-bit offsets, so that any number
//! of them fits one array. Ids are ordered numerically or bytewise, never by how they hash.

pub(crate) mod column;
pub(crate) mod distances;
pub(crate) mod integers;
mod interner;
pub(crate) mod sorted;

use arrow::datatypes::DataType;
use rankmill_common::table::IdType;

/// The id type of a column as the Parquet reader shows it; `None` where it cannot hold ids.
pub(crate) fn id_type(data_type: &DataType) -> Option<IdType> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the rest cannot hold ids")]
    Some(match data_type {
        DataType::Int8 => IdType::Int8,
        DataType::Int16 => IdType::Int16,
        DataType::Int32 => IdType::Int32,
        DataType::Int64 => IdType::Int64,
        DataType::UInt8 => IdType::UInt8,
        DataType::UInt16 => IdType::UInt16,
        DataType::UInt32 => IdType::UInt32,
        DataType::UInt64 => IdType::UInt64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => IdType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => IdType::Binary,
        DataType::FixedSizeBinary(width) => IdType::FixedSizeBinary(*width),
        _ => return None,
    })
}

/// The Arrow type that ids of a type are stored in.
pub(crate) fn stored_type(id_type: IdType) -> DataType {
    match id_type {
        IdType::Int8 => DataType::Int8,
        IdType::Int16 => DataType::Int16,
        IdType::Int32 => DataType::Int32,
        IdType::Int64 => DataType::Int64,
        IdType::UInt8 => DataType::UInt8,
        IdType::UInt16 => DataType::UInt16,
        IdType::UInt32 => DataType::UInt32,
        IdType::UInt64 => DataType::UInt64,
        IdType::Utf8 => DataType::LargeUtf8,
        IdType::Binary => DataType::LargeBinary,
        IdType::FixedSizeBinary(width) => DataType::FixedSizeBinary(width),
    }
}

/// Calls `$body` with `$T` as the Arrow type of an integer column, or `$other` where it is none.
macro_rules! with_integer_type {
    ($data_type:expr, $T:ident => $body:expr, $other:expr) => {{
        use arrow::datatypes as types;
        macro_rules! with {
            ($name:ident) => {{
                type $T = types::$name;
                $body
            }};
        }
        #[allow(clippy::wildcard_enum_match_arm, reason = "the rest is no integer")]
        match $data_type {
            types::DataType::Int8 => with!(Int8Type),
            types::DataType::Int16 => with!(Int16Type),
            types::DataType::Int32 => with!(Int32Type),
            types::DataType::Int64 => with!(Int64Type),
            types::DataType::UInt8 => with!(UInt8Type),
            types::DataType::UInt16 => with!(UInt16Type),
            types::DataType::UInt32 => with!(UInt32Type),
            types::DataType::UInt64 => with!(UInt64Type),
            _ => $other,
        }
    }};
}
pub(crate) use with_integer_type;
