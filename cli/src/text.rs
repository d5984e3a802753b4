//! Text for a terminal: whole answers written at once, numbers as people read them.
//!
//! The only place that writes to stdout or stderr: the macros of the standard library panic where
//! that fails.

use std::fmt::Display;
use std::io::Write;

use rankmill_common::{Error, ErrorKind, Result};

/// Writes a finished answer to stdout. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
///
/// `ResourceExhausted` where stdout goes to a full disk, `Unavailable` where it takes nothing for
/// another reason.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.or_else(|error| unwritten(&error))
}

/// Says a line on stderr. Where nobody can be told, the exit code still speaks.
pub(crate) fn tell(line: impl Display) {
    let line = format!("{line}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What a failure to write the answer means.
fn unwritten(error: &std::io::Error) -> Result<()> {
    use std::io::ErrorKind as Io;

    let (kind, why) = match error.kind() {
        Io::BrokenPipe => return Ok(()),
        Io::StorageFull => (ErrorKind::ResourceExhausted, "the disk is full".to_owned()),
        Io::QuotaExceeded | Io::FileTooLarge => (ErrorKind::ResourceExhausted, error.to_string()),
        _ => (ErrorKind::Unavailable, error.to_string()),
    };
    let message = format!("cannot write the answer to stdout: {why}");
    Err(Error::new(kind, message))
}

/// `1234567` as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 read`, `2 reads`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines up columns under their titles.
pub(crate) fn table(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(header[column].0.chars().count())
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let titles: Vec<String> = header
        .iter()
        .map(|(title, _)| (*title).to_owned())
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(header) {
            line.push_str(&match align {
                Align::Left => format!("{cell:<width$}  "),
                Align::Right => format!("{cell:>width$}  "),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_written_is_a_failure_unless_nobody_reads() {
        let kind = |error: std::io::ErrorKind| unwritten(&error.into()).map_err(|e| e.kind);
        assert_eq!(kind(std::io::ErrorKind::BrokenPipe), Ok(()));
        assert_eq!(
            kind(std::io::ErrorKind::StorageFull),
            Err(ErrorKind::ResourceExhausted)
        );
        assert_eq!(
            kind(std::io::ErrorKind::TimedOut),
            Err(ErrorKind::Unavailable)
        );
    }

    #[test]
    fn groups_digits_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "23".to_owned()],
        ];
        assert_eq!(
            table(&[("name", Align::Left), ("n", Align::Right)], &rows),
            "name   n\na      1\nlong  23\n"
        );
    }
}
