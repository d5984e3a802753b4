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
use super::column::{CellType, Column};
use super::lines::open;
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
        .map(|(name, cell)| cell.field(name, true))
        .collect();
    let mut sink = Sink::begin(place, Arc::new(Schema::new(fields)))?;
    write_rows(&mut source, sample, &names, &types, &mut sink)?;
    let kinds = names.iter().zip(&types);
    let kinds: Vec<String> = kinds
        .map(|(name, cell)| format!("{name} {}", word(*cell)))
        .collect();
    Ok(Imported {
        rows: sink.finish()?,
        note: format!(": {}", kinds.join(", ")),
    })
}

/// Writes the sampled rows and all that follow.
fn write_rows(
    source: &mut Source<'_>,
    sample: Vec<StringRecord>,
    names: &[String],
    types: &[CellType],
    sink: &mut Sink,
) -> Result<()> {
    let mut columns: Vec<Column> = types.iter().map(|&cell| Column::new(cell)).collect();
    let mut pending = 0;
    let mut record = StringRecord::new();
    let mut sample = sample.into_iter();
    loop {
        match sample.next() {
            Some(sampled) => record = sampled,
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
    reader: Reader<BufReader<File>>,
    path: &'a Path,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path, options: &CsvOptions) -> Result<Self> {
        let reader = ReaderBuilder::new()
            .delimiter(options.delimiter.unwrap_or(b','))
            .has_headers(options.columns.is_empty())
            .from_reader(open(path)?);
        Ok(Self { reader, path })
    }

    fn names(&mut self, options: &CsvOptions) -> Result<Vec<String>> {
        let names: Vec<String> = if options.columns.is_empty() {
            let path = self.path;
            let header = self.reader.headers().map_err(|e| failed(path, e))?;
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
    fn sample(&mut self, width: usize) -> Result<Vec<StringRecord>> {
        let mut sample = Vec::new();
        let mut record = StringRecord::new();
        while sample.len() < SAMPLE_ROWS && self.read(&mut record)? {
            if record.len() != width {
                let message = format!("{} cells, but {width} columns", record.len());
                return Err(self.error(&record, &message));
            }
            sample.push(record.clone());
        }
        if sample.is_empty() {
            let message = format!("{} holds no rows", self.path.display());
            return Err(Error::invalid_input(message));
        }
        Ok(sample)
    }

    fn read(&mut self, record: &mut StringRecord) -> Result<bool> {
        let path = self.path;
        self.reader.read_record(record).map_err(|e| failed(path, e))
    }

    fn push(&self, record: &StringRecord, names: &[String], columns: &mut [Column]) -> Result<()> {
        for ((column, cell), name) in columns.iter_mut().zip(record).zip(names) {
            column.push(cell.trim()).map_err(|what| {
                let message = format!(
                    "column {name}: {what}, as its type was named or the first {SAMPLE_ROWS} rows \
                     had it; --type {name}=float takes numbers, --type {name}=text takes any"
                );
                self.error(record, &message)
            })?;
        }
        Ok(())
    }

    fn error(&self, record: &StringRecord, what: &str) -> Error {
        let line = record.position().map_or(0, csv::Position::line);
        Error::invalid_input(format!("{}, line {line}: {what}", self.path.display()))
    }
}

fn types(names: &[String], sample: &[StringRecord], options: &CsvOptions) -> Result<Vec<CellType>> {
    if let Some((name, _)) = options.types.iter().find(|(name, _)| !names.contains(name)) {
        return Err(Error::invalid_input(format!(
            "--type {name}: there is no such column, only {}",
            names.join(", ")
        )));
    }
    let typed = names.iter().enumerate().map(|(index, name)| {
        let named = options.types.iter().find(|(named, _)| named == name);
        let inferred = || {
            let cells = sample.iter().filter_map(|record| record.get(index));
            CellType::of(cells.map(str::trim))
        };
        named.map_or_else(inferred, |(_, cell)| *cell)
    });
    Ok(typed.collect())
}

fn failed(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map(csv::Position::line);
    let place = match line {
        Some(line) => format!("{}, line {line}", path.display()),
        None => path.display().to_string(),
    };
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive"
    )]
    match error.into_kind() {
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
        &[byte] if byte.is_ascii() && byte != b'"' => Ok(byte),
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
        assert!(refused("a,a\n1,2\n", &none).contains("two columns"));
        assert!(refused("a,b\n", &none).contains("no rows"));
        assert!(refused("a,\n1,2\n", &none).contains("no name"));
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
