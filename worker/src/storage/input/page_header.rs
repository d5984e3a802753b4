//! Just enough of the Thrift compact protocol to know a page's size before it is decoded.
//!
//! The Parquet library reserves what a page header declares. This reads the same header first,
//! without reserving anything.

/// What a page header declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) uncompressed_size: i64,
    /// Values of a data page, nulls included.
    pub(super) values: i64,
}

/// Structs within structs, at most.
const MAX_DEPTH: u32 = 8;

/// Reads a page header from the front of `bytes`; `None` where they hold no whole one.
pub(super) fn parse(bytes: &[u8]) -> Option<PageHeader> {
    let mut header = PageHeader::default();
    let mut input = Input { bytes };
    input.fields(|input, id, kind| match (id, kind) {
        (2, kind::I32) => {
            header.uncompressed_size = input.integer()?;
            Some(())
        }
        // Data page of version 1 or 2: the first field counts values.
        (5 | 8, kind::STRUCT) => input.fields(|input, id, kind| {
            if (id, kind) == (1, kind::I32) {
                header.values = input.integer()?;
                Some(())
            } else {
                input.skip(kind, MAX_DEPTH)
            }
        }),
        (_, kind) => input.skip(kind, MAX_DEPTH),
    })?;
    Some(header)
}

mod kind {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn advance(&mut self, count: usize) -> Option<()> {
        self.bytes = self.bytes.get(count..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A signed integer in zigzag encoding.
    fn integer(&mut self) -> Option<i64> {
        let raw = self.varint()?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Calls `visit` for every field of a struct; it must consume the field.
    fn fields(&mut self, mut visit: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.integer()?,
                delta => id.checked_add(i64::from(delta))?,
            };
            visit(self, id, head & 0x0f)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.advance(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(|_| ()),
            kind::DOUBLE => self.advance(8),
            kind::BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.advance(length)
            }
            kind::LIST | kind::SET => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    short => u64::from(short),
                };
                for _ in 0..count {
                    match head & 0x0f {
                        kind::TRUE | kind::FALSE => self.advance(1)?,
                        other => self.skip(other, depth)?,
                    }
                }
                Some(())
            }
            kind::STRUCT => self.fields(|input, _, kind| input.skip(kind, depth)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sizes_behind_unknown_fields() {
        // type = 0, uncompressed = 300, compressed = 10, crc, data header {1: 7, 2: 0}.
        let bytes = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x14, 0x15, 0x02, 0x1c, 0x15, 0x0e, 0x15, 0x00,
            0x00, 0x00, 0xff,
        ];
        let header = parse(&bytes);
        let expected = PageHeader {
            uncompressed_size: 300,
            values: 7,
        };
        assert_eq!(header, Some(expected));
        assert_eq!(parse(&bytes[..12]), None);
    }

    proptest! {
        #[test]
        fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
