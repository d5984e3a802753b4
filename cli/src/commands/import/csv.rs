//! CSV: names from the header or the command line, types from the first rows or by name.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use csv::{Reader, ReaderBuilder, StringRecord};
use rankmill_common::{Error, Result};

use super::Imported;
use super::column::{CellType, Column, Origin};
use super::lines::open;
use super::quotes::QuoteWatch;
use super::sink::{BATCH_ROWS, Sink};
use crate::local_file::io_failed;

/// Rows from which types are inferred.
const SAMPLE_ROWS: usize = 1000;

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CsvOptions {
    /// Names of the columns, for a file without a header
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    columns: Vec<String>,
    /// Character between cells; `tab` for a tab [default: ,]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// The type of a column, int, float or text, instead of the inferred one
    #[arg(long = "type", value_name = "NAME=TYPE", value_parser = named_type)]
    types: Vec<(String, CellType)>,
}

pub(super) fn import(file: &Path, options: &CsvOptions, place: &Path) -> Result<Imported> {
    let mut source = Source::open(file, options)?;
    let names = source.names(options)?;
    let sample = source.sample(names.len())?;
    let types = types(&names, &sample, options)?;
    let fields: Vec<_> = names
        .iter()
        .zip(&types)
        .map(|(name, (cell, _))| cell.field(name, true))
        .collect();
    let mut sink = Sink::begin(place, Arc::new(Schema::new(fields)))?;
    write_rows(&mut source, sample, &names, &types, &mut sink)?;
    let kinds = names.iter().zip(&types);
    let kinds: Vec<String> = kinds
        .map(|(name, (cell, _))| format!("{name} {}", word(*cell)))
        .collect();
    Ok(Imported {
        rows: sink.finish()?,
        note: format!(": {}", kinds.join(", ")),
    })
}

/// Writes the sampled rows and all that follow.
fn write_rows(
    source: &mut Source<'_>,
    sample: Vec<(u64, StringRecord)>,
    names: &[String],
    types: &[(CellType, Origin)],
    sink: &mut Sink,
) -> Result<()> {
    let columns = types.iter();
    let mut columns: Vec<Column> = columns
        .map(|&(cell, origin)| Column::new(cell, origin))
        .collect();
    let mut pending = 0;
    let mut record = StringRecord::new();
    let mut sample = sample.into_iter();
    loop {
        match sample.next() {
            Some((line, sampled)) => {
                source.line = line;
                record = sampled;
            }
            None if source.read(&mut record)? => {}
            None => break,
        }
        source.push(&record, names, &mut columns)?;
        pending += 1;
        if pending == BATCH_ROWS {
            pending = 0;
            sink.write(take(&mut columns))?;
        }
    }
    sink.write(take(&mut columns))
}

fn take(columns: &mut [Column]) -> Vec<ArrayRef> {
    columns.iter_mut().map(Column::take).collect()
}

/// The file and its reader.
struct Source<'a> {
    reader: Reader<QuoteWatch<BufReader<File>>>,
    path: &'a Path,
    /// Where the last record begins.
    line: u64,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path, options: &CsvOptions) -> Result<Self> {
        let delimiter = options.delimiter.unwrap_or(b',');
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(options.columns.is_empty())
            .from_reader(QuoteWatch::new(open(path)?, delimiter));
        Ok(Self {
            reader,
            path,
            line: 1,
        })
    }

    fn names(&mut self, options: &CsvOptions) -> Result<Vec<String>> {
        let names: Vec<String> = if options.columns.is_empty() {
            let header = self.reader.headers().cloned();
            let header = self.located(header)?;
            let header = header.iter();
            header.map(|name| name.trim().to_owned()).collect()
        } else {
            options.columns.clone()
        };
        let mut sorted = names.clone();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!(
                "{}: two columns are called {:?}",
                self.path.display(),
                pair[0]
            );
            return Err(Error::invalid_input(message));
        }
        if names.iter().any(String::is_empty) {
            let message = format!(
                "{}: a column has no name; name them all with --columns",
                self.path.display()
            );
            return Err(Error::invalid_input(message));
        }
        Ok(names)
    }

    /// The first records, for a look at their types.
    fn sample(&mut self, width: usize) -> Result<Vec<(u64, StringRecord)>> {
        let mut sample = Vec::new();
        let mut record = StringRecord::new();
        while sample.len() < SAMPLE_ROWS && self.read(&mut record)? {
            if record.len() != width {
                let message = format!("{} cells, but {width} columns", record.len());
                return Err(self.error(&message));
            }
            sample.push((self.line, record.clone()));
        }
        if sample.is_empty() {
            let message = format!("{} holds no rows", self.path.display());
            return Err(Error::invalid_input(message));
        }
        Ok(sample)
    }

    fn read(&mut self, record: &mut StringRecord) -> Result<bool> {
        let read = self.reader.read_record(record);
        self.located(read)
    }

    /// What came of reading a record, with the line where the record begins.
    fn located<T>(&mut self, read: csv::Result<T>) -> Result<T> {
        let line = self.reader.get_mut().next_record();
        self.line = line.unwrap_or(self.line);
        read.map_err(|e| failed(self.path, self.line, e))
    }

    fn push(&self, record: &StringRecord, names: &[String], columns: &mut [Column]) -> Result<()> {
        for ((column, cell), name) in columns.iter_mut().zip(record).zip(names) {
            column.push(cell).map_err(|what| {
                let message = format!(
                    "column {name}: {what}; the type was named or is that of the first \
                     {SAMPLE_ROWS} rows: --type {name}=text keeps every cell as it is, --type \
                     {name}=float takes any number"
                );
                self.error(&message)
            })?;
        }
        Ok(())
    }

    /// An error about the last record.
    fn error(&self, what: &str) -> Error {
        let (path, line) = (self.path.display(), self.line);
        Error::invalid_input(format!("{path}, line {line}: {what}"))
    }
}

fn types(
    names: &[String],
    sample: &[(u64, StringRecord)],
    options: &CsvOptions,
) -> Result<Vec<(CellType, Origin)>> {
    if let Some((name, _)) = options.types.iter().find(|(name, _)| !names.contains(name)) {
        return Err(Error::invalid_input(format!(
            "--type {name}: there is no such column, only {}",
            names.join(", ")
        )));
    }
    let typed = names.iter().enumerate().map(|(index, name)| {
        let named = options.types.iter().find(|(named, _)| named == name);
        let inferred = || {
            let cells = sample.iter().filter_map(|(_, record)| record.get(index));
            (CellType::of(cells), Origin::Inferred)
        };
        named.map_or_else(inferred, |(_, cell)| (*cell, Origin::Named))
    });
    Ok(typed.collect())
}

fn failed(path: &Path, line: u64, error: csv::Error) -> Error {
    let place = format!("{}, line {line}", path.display());
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    match error.into_kind() {
        csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            Error::invalid_input(format!("{}, {e}", path.display()))
        }
        csv::ErrorKind::Io(e) => io_failed(path, &e),
        csv::ErrorKind::Utf8 { .. } => Error::invalid_input(format!("{place}: is not UTF-8")),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Error::invalid_input(format!("{place}: {len} cells, but {expected_len} columns")),
        other => Error::invalid_input(format!("{place}: {other:?}")),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte.is_ascii() && !b"\"\r\n".contains(&byte) => Ok(byte),
        _ => Err(format!("{text:?} is no delimiter: one character, or `tab`")),
    }
}

fn named_type(text: &str) -> Result<(String, CellType), String> {
    let (name, cell) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=TYPE, e.g. user=text"))?;
    Ok((name.to_owned(), cell.parse()?))
}

fn word(cell: CellType) -> &'static str {
    match cell {
        CellType::Int => "int",
        CellType::Float => "float",
        CellType::Text => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import_text(text: &str, options: &CsvOptions) -> Result<Imported> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.csv");
        std::fs::write(&file, text).expect("written");
        import(&file, options, &folder.path().join("a.parquet"))
    }

    fn refused(text: &str, options: &CsvOptions) -> String {
        let imported = import_text(text, options);
        imported.err().expect("refused").message
    }

    #[test]
    fn names_and_types_come_from_the_file() {
        let text = "user,item,rating\n1,\"a,b\",3.5\n2,c,\n";
        let imported = import_text(text, &CsvOptions::default()).expect("imported");
        assert_eq!(imported.rows, 2);
        assert_eq!(imported.note, ": user int, item text, rating float");
    }

    #[test]
    fn ids_that_numbers_would_merge_stay_text() {
        let text = "big,code,score\n18446744073709551615,007,1e3\n18446744073709551614,7,-2\n";
        let imported = import_text(text, &CsvOptions::default()).expect("imported");
        assert_eq!(imported.note, ": big text, code text, score float");
        let marked = import_text("\u{feff}a,b\n1,2\n", &CsvOptions::default());
        assert_eq!(marked.expect("imported").note, ": a int, b int");
    }

    #[test]
    fn a_file_without_header_needs_names() {
        let options = CsvOptions {
            columns: ["a", "b"].map(str::to_owned).to_vec(),
            delimiter: Some(b'\t'),
            types: vec![("a".to_owned(), CellType::Text)],
        };
        let imported = import_text("1\t2\n3\t4\n", &options).expect("imported");
        assert_eq!(imported.rows, 2);
        assert_eq!(imported.note, ": a text, b int");
    }

    #[test]
    fn errors_name_line_and_column() {
        let none = CsvOptions::default();
        let mut late = "a,b\n".to_owned();
        late.push_str(&"1,2\n".repeat(SAMPLE_ROWS));
        late.push_str("1,x\n");
        let message = refused(&late, &none);
        assert!(
            message.contains("line 1002: column b: \"x\" is not a 64-bit"),
            "{message}"
        );
        assert!(message.contains("--type b=text"), "{message}");
        let message = refused("a,b\n1,2\n1\n", &none);
        assert!(
            message.contains("line 3: 1 cells, but 2 columns"),
            "{message}"
        );
        let message = refused("a,b\r\n1,2\r\n\r\n1\r\n", &none);
        assert!(message.contains("line 4: 1 cells"), "{message}");
        let typed = CsvOptions {
            types: vec![("b".to_owned(), CellType::Int)],
            ..CsvOptions::default()
        };
        let message = refused("a,b\r\n1,2\r\n1,x\r\n1,3\r\n", &typed);
        assert!(message.contains("line 3: column b"), "{message}");
        assert!(refused("a,a\n1,2\n", &none).contains("two columns"));
        assert!(refused("a,b\n", &none).contains("no rows"));
        assert!(refused("a,\n1,2\n", &none).contains("no name"));
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error() {
        let none = CsvOptions::default();
        let message = refused("a,b\n1,\"x\n2,y\n3,z\n", &none);
        assert!(
            message.contains("a.csv, line 2: a quote opens"),
            "{message}"
        );
        let message = refused("a,\"b\n1,x\n", &none);
        assert!(
            message.contains("a.csv, line 1: a quote opens"),
            "{message}"
        );
        let closed = import_text("a,b\n1,5\" disk\n2,\"x\ny\"", &none);
        assert_eq!(closed.expect("imported").rows, 2);
    }

    #[test]
    fn ids_after_the_sample_do_not_merge() {
        let mut late = "a,b\n".to_owned();
        late.push_str(&"7,2\n".repeat(SAMPLE_ROWS));
        late.push_str("007,2\n");
        let message = refused(&late, &CsvOptions::default());
        assert!(
            message.contains("line 1002: column a: \"007\" as a number is 7"),
            "{message}"
        );
        assert!(message.contains("--type a=text"), "{message}");
        let options = CsvOptions {
            types: vec![("a".to_owned(), CellType::Int)],
            ..CsvOptions::default()
        };
        assert!(import_text(&late, &options).is_ok());
    }

    #[test]
    fn a_line_end_is_no_delimiter() {
        for text in ["\n", "\r", "\"", "ab", ""] {
            assert!(delimiter(text).is_err(), "{text:?}");
        }
        assert_eq!(delimiter(";"), Ok(b';'));
    }

    #[test]
    fn a_type_needs_its_column() {
        let options = CsvOptions {
            types: vec![("c".to_owned(), CellType::Text)],
            ..CsvOptions::default()
        };
        assert!(refused("a,b\n1,2\n", &options).contains("only a, b"));
    }
}
