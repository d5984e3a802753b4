//! Watches the quotes and the lines of a CSV file while it is read.
//!
//! The parser takes the end of the file for the end of a quoted cell, so that a quote that nobody
//! closes swallows all rows behind it without a word. And it counts a record as beginning in the
//! line before where empty lines or two-byte line ends precede it. Invariant: the state here is the
//! parser's.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read};

/// Bytes of one quoted cell: more than anybody writes, and less than memory.
const LONGEST: u64 = 64 << 20;

/// Passes bytes on; errs where a quoted cell does not end.
pub(super) struct QuoteWatch<R> {
    inner: R,
    delimiter: u8,
    state: State,
    /// The line of the next byte, from 1.
    line: u64,
    /// The lines where records begin that the parser has not asked for yet.
    records: VecDeque<u64>,
}

/// ```text
///                    "            "
///   Record, Cell ──────▶ Quoted ◀───▶ Quote
///         │ other                       │ other
///         ▼                             │
///       Plain ◀─────────────────────────┘
/// ```
/// A delimiter leads to Cell and the end of a line to Record, from anywhere but Quoted.
#[derive(Clone, Copy)]
enum State {
    /// Between records.
    Record,
    /// A cell begins.
    Cell,
    /// In a cell where quotes mean nothing.
    Plain,
    /// In a quoted cell.
    Quoted { line: u64, length: u64 },
    /// Behind a quote in a quoted cell: its end, or the first half of a quote that is doubled.
    Quote { line: u64, length: u64 },
}

impl<R> QuoteWatch<R> {
    pub(super) fn new(inner: R, delimiter: u8) -> Self {
        Self {
            inner,
            delimiter,
            state: State::Record,
            line: 1,
            records: VecDeque::new(),
        }
    }

    /// The line where the next record begins that the parser hands out. To be asked once for each.
    pub(super) fn next_record(&mut self) -> Option<u64> {
        self.records.pop_front()
    }

    fn pass(&mut self, byte: u8) {
        let ends_record = byte == b'\n' || byte == b'\r';
        if matches!(self.state, State::Record) && !ends_record {
            self.records.push_back(self.line);
        }
        self.state = match self.state {
            State::Quoted { line, length } if byte == b'"' => State::Quote { line, length },
            State::Quoted { line, length } => State::Quoted {
                line,
                length: length + 1,
            },
            State::Quote { line, length } if byte == b'"' => State::Quoted {
                line,
                length: length + 1,
            },
            State::Record | State::Cell if byte == b'"' => State::Quoted {
                line: self.line,
                length: 0,
            },
            State::Record | State::Cell | State::Plain | State::Quote { .. } => {
                if ends_record {
                    State::Record
                } else if byte == self.delimiter {
                    State::Cell
                } else {
                    State::Plain
                }
            }
        };
        self.line += u64::from(byte == b'\n');
    }
}

impl<R: Read> Read for QuoteWatch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            self.pass(byte);
        }
        match self.state {
            State::Quoted { line, .. } if count == 0 && !buffer.is_empty() => {
                let what = format!("line {line}: a quote opens here and is never closed");
                Err(Error::new(ErrorKind::InvalidData, what))
            }
            State::Quoted { line, length } if length > LONGEST => {
                let what = format!("line {line}: a quote opens here and is not closed for 64 MiB");
                Err(Error::new(ErrorKind::InvalidData, what))
            }
            State::Record
            | State::Cell
            | State::Plain
            | State::Quoted { .. }
            | State::Quote { .. } => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use csv::{ByteRecord, ReaderBuilder};
    use proptest::prelude::*;

    fn read(text: &[u8]) -> std::io::Result<usize> {
        let mut watch = QuoteWatch::new(text, b',');
        std::io::copy(&mut watch, &mut std::io::sink()).map(|count| count as usize)
    }

    #[test]
    fn the_line_where_the_quote_opens_is_named() {
        let error = read(b"a,b\n1,\"x\n2,y\n3,z\n").expect_err("open");
        assert_eq!(
            error.to_string(),
            "line 2: a quote opens here and is never closed"
        );
        let error = read(b"a\n\"x\ny\"\n\"z\n").expect_err("open");
        assert!(error.to_string().starts_with("line 4"), "{error}");
        let endless = std::io::repeat(b'x').take(2 * LONGEST);
        let mut watch = QuoteWatch::new(b"a\n\"".chain(endless), b',');
        let error = std::io::copy(&mut watch, &mut std::io::sink()).expect_err("too long");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn quotes_that_close_or_mean_nothing_are_fine() {
        for text in [
            "a\n\"x\"",
            "a\n\"\"",
            "a\n\"x\"\"y\"\n",
            "a\n5\" disk\n",
            "a\n\"x\"y\"\n",
            "a,b\n1,\"x\ny\"\n",
        ] {
            assert_eq!(read(text.as_bytes()).expect(text), text.len());
        }
    }

    fn records(text: &str) -> Vec<ByteRecord> {
        let mut reader = ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true);
        let records = reader.from_reader(text.as_bytes()).into_byte_records();
        records.collect::<Result<_, _>>().expect("records")
    }

    /// Whether the parser is in a quoted cell at the end of `text`: then the line that is put
    /// behind becomes a part of it.
    fn is_open(text: &str) -> bool {
        let records = records(&format!("{text}\nZ"));
        let last = records.last().expect("a record");
        last.iter().next_back() != Some(b"Z")
    }

    proptest! {
        #[test]
        fn the_parser_agrees(text in "[a,\"\r\n]{0,40}") {
            let mut watch = QuoteWatch::new(text.as_bytes(), b',');
            let read = std::io::copy(&mut watch, &mut std::io::sink());
            prop_assert_eq!(read.is_err(), is_open(&text));
            prop_assert_eq!(watch.records.len(), records(&text).len());
        }
    }

    #[test]
    fn records_begin_behind_empty_lines_and_line_ends() {
        let text = "a,b\r\n1,\"x\r\ny\"\r\n\r\n2,3\n\n,4";
        let mut watch = QuoteWatch::new(text.as_bytes(), b',');
        std::io::copy(&mut watch, &mut std::io::sink()).expect("read");
        let lines: Vec<u64> = std::iter::from_fn(|| watch.next_record()).collect();
        assert_eq!(lines, [1, 2, 5, 7]);
    }
}
