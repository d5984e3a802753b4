//! Reads text line by line, with a bound on how long a line may be.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rankmill_common::{Error, Result};

use crate::local_file::io_failed;

const LONGEST: u64 = 1 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What some editors put before UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A text file and the number of the line that was read last.
pub(super) struct Lines<R> {
    reader: R,
    path: PathBuf,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines<BufReader<File>> {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self::new(open(path)?, path))
    }
}

/// Opens a file for reading, unless it is compressed.
pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|e| io_failed(path, &e))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let start = reader.fill_buf().map_err(|e| io_failed(path, &e))?;
    if start.starts_with(&GZIP) {
        let message = format!("{} is compressed: gunzip it first", path.display());
        return Err(Error::invalid_input(message));
    }
    if start.starts_with(&BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(reader)
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, path: &Path) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The next line, without white space at its ends; absent at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<&str>> {
        if !self.read()? {
            return Ok(None);
        }
        self.current().map(Some)
    }

    /// The next line that is neither empty nor begins with one of `comments`.
    pub(super) fn next_content(&mut self, comments: &[char]) -> Result<Option<&str>> {
        while self.read()? {
            let line = self.current()?;
            if !line.is_empty() && !line.starts_with(comments) {
                return self.current().map(Some);
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<bool> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = self.reader.by_ref().take(LONGEST);
        let read = limited
            .read_until(b'\n', &mut self.buffer)
            .map_err(|e| io_failed(&self.path, &e))?;
        if read as u64 == LONGEST && !self.buffer.ends_with(b"\n") {
            return Err(self.error("is longer than 1 MiB: is this a text file?"));
        }
        Ok(read > 0)
    }

    fn current(&self) -> Result<&str> {
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(line.trim()),
            Err(_) => Err(self.error("is not UTF-8")),
        }
    }

    /// An error about the line that was read last.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::invalid_input(format!(
            "{}, line {}: {what}",
            self.path.display(),
            self.number
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_trims_them() {
        let mut lines = Lines::new(" a \r\n\nb".as_bytes(), Path::new("x"));
        assert_eq!(lines.next_line(), Ok(Some("a")));
        assert_eq!(lines.next_line(), Ok(Some("")));
        assert_eq!(lines.next_line(), Ok(Some("b")));
        assert_eq!(lines.error("is odd").message, "x, line 3: is odd");
        assert_eq!(lines.next_line(), Ok(None));
    }

    #[test]
    fn a_binary_file_is_no_text() {
        let endless = vec![b'x'; 2 << 20];
        let mut lines = Lines::new(endless.as_slice(), Path::new("x"));
        assert!(lines.next_line().is_err());
        let mut lines = Lines::new(&[0xff, b'\n'][..], Path::new("x"));
        assert!(lines.next_line().is_err());
    }
}
