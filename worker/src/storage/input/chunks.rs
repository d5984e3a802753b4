//! An input file as the Parquet library reads it: in windows, with an eye on page headers.
//!
//! The library asks for a header, then for the page behind it. Asked for a header, this reads it
//! first and refuses pages that would not fit the task's memory.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use rankmill_common::{ByteSize, Error};

use super::page_header;
use super::source::InputFile;
use crate::storage::objects::lock;

/// Bytes read ahead within a column chunk.
const WINDOW: usize = 4 << 20;
/// A page header is this long at most, unless its statistics hold long strings.
const HEADER: usize = 1 << 10;

/// The bytes of a file that one reader may ask for.
#[derive(Clone)]
pub(super) struct Chunks {
    file: InputFile,
    spans: Arc<Vec<Span>>,
    /// The error behind the library's error.
    failure: Arc<Mutex<Option<Error>>>,
}

/// A range of the file that is read from front to back.
pub(super) struct Span {
    range: Range<u64>,
    pages: Option<Pages>,
    window: Mutex<Window>,
}

/// What is known of the pages in a span.
pub(super) struct Pages {
    /// "row group 3, column \"x\"".
    pub(super) place: String,
    /// Values of the whole column chunk.
    pub(super) values: i64,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// A window from `start` on. What this one has of it already is not read again.
    fn moved(&self, file: &InputFile, start: u64, length: usize) -> Result<Self, Error> {
        let behind = start.checked_sub(self.start).map(usize::try_from);
        let known = match behind {
            Some(Ok(behind)) => self.bytes.get(behind..).unwrap_or_default(),
            Some(Err(_)) | None => &[],
        };
        let known = &known[..known.len().min(length)];
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(known);
        file.append(&mut bytes, start + known.len() as u64, length - known.len())?;
        Ok(Self {
            start,
            bytes: bytes.into(),
        })
    }
}

impl Span {
    pub(super) fn new(range: Range<u64>, pages: Option<Pages>) -> Self {
        Self {
            range,
            pages,
            window: Mutex::default(),
        }
    }
}

impl Chunks {
    pub(super) fn new(file: InputFile, spans: Vec<Span>) -> Self {
        Self {
            file,
            spans: Arc::new(spans),
            failure: Arc::default(),
        }
    }

    /// The error behind a failed read, if it was one of this reader.
    pub(super) fn failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    fn fail(&self, error: Error) -> ParquetError {
        let message = error.message.clone();
        lock(&self.failure).get_or_insert(error);
        ParquetError::General(message)
    }

    fn span(&self, start: u64) -> Result<&Span, ParquetError> {
        let span = self.spans.iter().find(|span| span.range.contains(&start));
        span.ok_or_else(|| {
            let name = self.file.name();
            self.fail(Error::invalid_input(format!(
                "{name}: a page lies outside its column; the file is damaged"
            )))
        })
    }

    /// Up to `length` bytes from `start` within one span.
    fn slice(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let span = self.span(start)?;
        let left = usize::try_from(span.range.end - start).unwrap_or(usize::MAX);
        let length = length.min(left);
        let mut window = lock(&span.window);
        let ahead = start
            .checked_sub(window.start)
            .and_then(|ahead| usize::try_from(ahead).ok())
            .filter(|&ahead| ahead + length <= window.bytes.len());
        let ahead = match ahead {
            Some(ahead) => ahead,
            None => {
                let wanted = length.max(WINDOW).min(left);
                let moved = window.moved(&self.file, start, wanted);
                *window = moved.map_err(|e| self.fail(e))?;
                0
            }
        };
        Ok(window.bytes.slice(ahead..ahead + length))
    }

    /// Refuses the page at `start` if it is too large to decode.
    fn check_page(&self, start: u64) -> Result<(), ParquetError> {
        let span = self.span(start)?;
        let Some(pages) = &span.pages else {
            return Ok(());
        };
        let left = usize::try_from(span.range.end - start).unwrap_or(usize::MAX);
        let mut length = HEADER;
        let header = loop {
            match page_header::parse(&self.slice(start, length)?) {
                Some(header) => break header,
                // Not a header at all: the library says so better.
                None if length >= left => return Ok(()),
                None => length *= 8,
            }
        };
        let budget = self.file.context().memory();
        if u64::try_from(header.uncompressed_size).is_ok_and(|size| size > budget) {
            return Err(self.fail(Error::invalid_input(format!(
                "{}: {} has a page of {} uncompressed, more than the {} that this task may use; \
                 raise --memory, or write the file with smaller pages",
                self.file.name(),
                pages.place,
                ByteSize(header.uncompressed_size as u64),
                ByteSize(budget),
            ))));
        }
        if header.values > pages.values {
            return Err(self.fail(Error::invalid_input(format!(
                "{}: {} has a page of {} values where the footer has {} in all; the file is \
                 damaged, write it again",
                self.file.name(),
                pages.place,
                header.values,
                pages.values,
            ))));
        }
        Ok(())
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file.size()
    }
}

impl ChunkReader for Chunks {
    type T = HeaderReader;

    fn get_read(&self, start: u64) -> Result<HeaderReader, ParquetError> {
        Ok(HeaderReader {
            chunks: self.clone(),
            position: start,
            bytes: Bytes::new(),
            checked: false,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let budget = self.file.context().memory();
        if length as u64 > budget {
            return Err(self.fail(Error::invalid_input(format!(
                "{}: {} in one piece at byte {start}, more than the {} that this task may use; \
                 raise --memory, or write the file with smaller pages",
                self.file.name(),
                ByteSize(length as u64),
                ByteSize(budget),
            ))));
        }
        let bytes = self.slice(start, length)?;
        if bytes.len() < length {
            let name = self.file.name();
            return Err(self.fail(Error::invalid_input(format!(
                "{name}: a page ends behind its column; the file is truncated or damaged"
            ))));
        }
        Ok(bytes)
    }
}

/// Reads a page header, once it was found harmless.
pub(super) struct HeaderReader {
    chunks: Chunks,
    position: u64,
    bytes: Bytes,
    checked: bool,
}

impl Read for HeaderReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Only what is read is a header: the library also asks for readers that it never uses.
        if !self.checked {
            self.checked = true;
            self.chunks
                .check_page(self.position)
                .map_err(io::Error::other)?;
        }
        if self.bytes.is_empty() {
            let at_end = !self
                .chunks
                .spans
                .iter()
                .any(|span| span.range.contains(&self.position));
            if at_end {
                return Ok(0);
            }
            let slice = self.chunks.slice(self.position, HEADER);
            self.bytes = slice.map_err(io::Error::other)?;
            self.position += self.bytes.len() as u64;
        }
        let count = buffer.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
