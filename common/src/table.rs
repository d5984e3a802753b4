//! Id tables: the users' own ids in index order.

use serde::{Deserialize, Serialize};

use crate::ObjectRef;

/// The type of a column of ids, kept from input to output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdType {
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Unsigned, 8 bits.
    UInt8,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// UTF-8 text.
    Utf8,
    /// Bytes of any length.
    Binary,
    /// Bytes of one length.
    FixedSizeBinary(i32),
}

impl IdType {
    /// Whether each of the indices below `count` is an id of this type.
    pub fn holds_indices(self, count: u64) -> bool {
        let largest = match self {
            Self::Int8 => i8::MAX as u64,
            Self::UInt8 => u8::MAX.into(),
            Self::Int16 => i16::MAX as u64,
            Self::UInt16 => u16::MAX.into(),
            Self::Int32 => i32::MAX as u64,
            Self::UInt32 => u32::MAX.into(),
            Self::Int64 => i64::MAX as u64,
            Self::UInt64 => u64::MAX,
            Self::Utf8 | Self::Binary | Self::FixedSizeBinary(_) => return false,
        };
        count.checked_sub(1).is_none_or(|last| last <= largest)
    }
}

/// Index → id, for the rows or the columns of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum IdTable {
    /// Ids in ascending order, in shards that follow one another.
    Dictionary {
        /// The users' type.
        id_type: IdType,
        /// Shards in index order.
        shards: Vec<IdShard>,
    },
    /// Id = index.
    Range {
        /// The users' type.
        id_type: IdType,
        /// Number of ids.
        count: u64,
    },
    /// Names of the numeric columns of a dense input.
    Names {
        /// In index order.
        names: Vec<String>,
    },
}

/// A run of consecutive ids of an [`IdTable`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdShard {
    /// Index of the first id.
    pub start: u64,
    /// Number of ids.
    pub count: u64,
    /// Arrow IPC, one column `id`.
    pub object: ObjectRef,
}

/// Where all integer ids of a column lie.
///
/// Ids are counted as keys, which have the order of the ids: an unsigned id is its own key, that
/// of a signed one is its 64-bit pattern with the sign bit flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// Key of the lowest id.
    pub lowest: u64,
    /// Keys from the lowest to the highest, both counted.
    pub span: u64,
}

impl IdRange {
    /// Spans above this are wide, however many entries there are: tables over them outgrow memory.
    const WIDEST: u64 = 1 << 27;
    /// Spans below this are narrow, however few entries there are.
    const NARROWEST: u64 = 1 << 20;

    /// The range between two keys.
    pub fn between(lowest: u64, highest: u64) -> Self {
        Self {
            lowest,
            span: highest.saturating_sub(lowest).saturating_add(1),
        }
    }

    /// The smallest range that holds both.
    pub fn join(self, other: Self) -> Self {
        let highest = |range: Self| range.lowest.saturating_add(range.span - 1);
        Self::between(
            self.lowest.min(other.lowest),
            highest(self).max(highest(other)),
        )
    }

    /// Number of indices up to the highest id, where ids are indices; `None` where one is negative or
    /// above 32 bits.
    pub fn indices(self) -> Option<u64> {
        /// Key of zero in a signed column.
        const SIGNED_ZERO: u64 = 1 << 63;
        let zero = self.lowest & SIGNED_ZERO;
        let count = (self.lowest - zero).saturating_add(self.span);
        (count <= 1 << 32).then_some(count)
    }

    /// Whether tables over the whole range are cheaper than lists of the ids that occur in
    /// `entries` entries: a table of 32-bit numbers then takes a byte per entry at most.
    pub fn is_narrow(self, entries: u64) -> bool {
        self.span <= (entries / 4).clamp(Self::NARROWEST, Self::WIDEST)
    }
}

impl IdTable {
    /// Number of ids.
    pub fn count(&self) -> u64 {
        match self {
            Self::Dictionary { shards, .. } => shards.iter().map(|shard| shard.count).sum(),
            Self::Range { count, .. } => *count,
            Self::Names { names } => names.len() as u64,
        }
    }
}
