//! Matrix Market files (Boisvert et al., NISTIR 5935): coordinate and array.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Float64Builder, Int64Builder};
use arrow::datatypes::{DataType, Field, Schema};
use rankmill_common::Result;

use super::Imported;
use super::lines::Lines;
use super::sink::{BATCH_ROWS, Sink};

const COMMENT: [char; 1] = ['%'];

/// Parameters of the header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    format: Format,
    field: ValueKind,
    symmetry: Symmetry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Coordinate,
    Array,
}

/// What a value is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    Number,
    Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symmetry {
    General,
    Symmetric,
    Skew,
}

/// Rows, columns and the number of entries that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    nrows: u64,
    ncols: u64,
    entries: u64,
}

pub(super) fn import(file: &Path, place: &Path) -> Result<Imported> {
    let mut lines = Lines::open(file)?;
    let mut triplets = Triplets::begin(place)?;
    let size = read(&mut lines, |row, col, value| triplets.push(row, col, value))?;
    let rows = triplets.finish()?;
    let note = format!(
        ": a matrix of {} x {} (--ids dense --shape {0}x{1} keeps its empty rows and columns)",
        size.nrows, size.ncols
    );
    Ok(Imported { rows, note })
}

/// Hands every entry to `entry`, mirrored where the header says so. Array files hold zeros,
/// which are left out.
fn read<R: BufRead>(
    lines: &mut Lines<R>,
    mut entry: impl FnMut(u64, u64, f64) -> Result<()>,
) -> Result<Size> {
    let header = header(lines)?;
    let size = size(lines, header)?;
    let mut positions = Positions::new(header, size);
    for done in 0..size.entries {
        let Some(line) = lines.next_content(&COMMENT)? else {
            return Err(lines.error(format!(
                "the file ends after {done} of {} entries",
                size.entries
            )));
        };
        let parsed = match header.format {
            Format::Coordinate => coordinate_entry(line, header, size),
            Format::Array => array_entry(line, &mut positions),
        };
        let (row, col, value) = parsed.map_err(|what| lines.error(what))?;
        if header.format == Format::Array && value == 0.0 {
            continue;
        }
        entry(row, col, value)?;
        match header.symmetry {
            Symmetry::Symmetric if row != col => entry(col, row, value)?,
            Symmetry::Skew if row != col => entry(col, row, -value)?,
            Symmetry::General | Symmetry::Symmetric | Symmetry::Skew => {}
        }
    }
    if lines.next_content(&COMMENT)?.is_some() {
        return Err(lines.error(format!("more than the {} entries declared", size.entries)));
    }
    Ok(size)
}

fn header<R: BufRead>(lines: &mut Lines<R>) -> Result<Header> {
    let first = lines.next_line()?.unwrap_or_default().to_lowercase();
    parse_header(&first).map_err(|what| lines.error(what))
}

fn parse_header(line: &str) -> Result<Header, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [banner, object, format, field, symmetry] = words[..] else {
        return Err(
            "a Matrix Market file begins with `%%MatrixMarket matrix coordinate real general` \
             or the like"
                .to_owned(),
        );
    };
    if banner != "%%matrixmarket" || object != "matrix" {
        return Err("this is no Matrix Market matrix".to_owned());
    }
    let format = match format {
        "coordinate" => Format::Coordinate,
        "array" => Format::Array,
        other => return Err(format!("unknown format {other:?}")),
    };
    let field = match field {
        "real" | "double" | "integer" => ValueKind::Number,
        "pattern" if format == Format::Coordinate => ValueKind::Pattern,
        other => return Err(format!("values of type {other:?} are not supported")),
    };
    let symmetry = match symmetry {
        "general" => Symmetry::General,
        "symmetric" => Symmetry::Symmetric,
        "skew-symmetric" if field == ValueKind::Number => Symmetry::Skew,
        other => return Err(format!("symmetry {other:?} is not supported")),
    };
    Ok(Header {
        format,
        field,
        symmetry,
    })
}

fn size<R: BufRead>(lines: &mut Lines<R>, header: Header) -> Result<Size> {
    let Some(line) = lines.next_content(&COMMENT)? else {
        return Err(lines.error("the line with the size of the matrix is missing"));
    };
    parse_size(line, header).map_err(|what| lines.error(what))
}

fn parse_size(line: &str, header: Header) -> Result<Size, String> {
    let numbers: Option<Vec<u64>> = line
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    let numbers = numbers.unwrap_or_default();
    let (nrows, ncols, entries) = match (header.format, &numbers[..]) {
        (Format::Coordinate, &[nrows, ncols, entries]) => (nrows, ncols, Some(entries)),
        (Format::Array, &[nrows, ncols]) => (nrows, ncols, stored(nrows, ncols, header.symmetry)),
        (Format::Coordinate, _) => return Err(format!("{line:?} is not `rows columns entries`")),
        (Format::Array, _) => return Err(format!("{line:?} is not `rows columns`")),
    };
    if header.symmetry != Symmetry::General && nrows != ncols {
        return Err(format!("a symmetric matrix cannot be {nrows} x {ncols}"));
    }
    let entries = entries
        .filter(|_| nrows.max(ncols) <= i64::MAX as u64)
        .ok_or_else(|| format!("{nrows} x {ncols} is too large"))?;
    Ok(Size {
        nrows,
        ncols,
        entries,
    })
}

/// Numbers in an array file: all of them, or one triangle.
fn stored(nrows: u64, ncols: u64, symmetry: Symmetry) -> Option<u64> {
    match symmetry {
        Symmetry::General => nrows.checked_mul(ncols),
        Symmetry::Symmetric => Some(nrows.checked_mul(nrows.checked_add(1)?)? / 2),
        Symmetry::Skew => Some(nrows.checked_mul(nrows.saturating_sub(1))? / 2),
    }
}

fn coordinate_entry(line: &str, header: Header, size: Size) -> Result<(u64, u64, f64), String> {
    let mut words = line.split_whitespace();
    let mut index = |name: &str, limit: u64| {
        let word = words.next().unwrap_or_default();
        match word.parse::<u64>() {
            Ok(index) if (1..=limit).contains(&index) => Ok(index - 1),
            Ok(index) => Err(format!("{name} {index} lies outside 1 to {limit}")),
            Err(_) => Err(format!("{word:?} is no {name} number")),
        }
    };
    let row = index("row", size.nrows)?;
    let col = index("column", size.ncols)?;
    let value = match header.field {
        ValueKind::Pattern => 1.0,
        ValueKind::Number => number(words.next().unwrap_or_default())?,
    };
    match words.next() {
        None => Ok((row, col, value)),
        Some(word) => Err(format!("{word:?} is one word too many")),
    }
}

fn array_entry(line: &str, positions: &mut Positions) -> Result<(u64, u64, f64), String> {
    let value = number(line)?;
    let (row, col) = positions.next();
    Ok((row, col, value))
}

fn number(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

/// Places of an array file's numbers: column by column, one triangle where it is symmetric.
struct Positions {
    row: u64,
    col: u64,
    nrows: u64,
    symmetry: Symmetry,
}

impl Positions {
    fn new(header: Header, size: Size) -> Self {
        Self {
            row: u64::from(header.symmetry == Symmetry::Skew),
            col: 0,
            nrows: size.nrows,
            symmetry: header.symmetry,
        }
    }

    fn next(&mut self) -> (u64, u64) {
        let place = (self.row, self.col);
        self.row += 1;
        if self.row == self.nrows {
            self.col += 1;
            self.row = match self.symmetry {
                Symmetry::General => 0,
                Symmetry::Symmetric => self.col,
                Symmetry::Skew => self.col + 1,
            };
        }
        place
    }
}

/// Entries on their way to Parquet.
struct Triplets {
    sink: Sink,
    rows: Int64Builder,
    cols: Int64Builder,
    values: Float64Builder,
}

impl Triplets {
    fn begin(place: &Path) -> Result<Self> {
        let schema = Schema::new(vec![
            Field::new("row", DataType::Int64, false),
            Field::new("col", DataType::Int64, false),
            Field::new("value", DataType::Float64, false),
        ]);
        Ok(Self {
            sink: Sink::begin(place, Arc::new(schema))?,
            rows: Int64Builder::new(),
            cols: Int64Builder::new(),
            values: Float64Builder::new(),
        })
    }

    fn push(&mut self, row: u64, col: u64, value: f64) -> Result<()> {
        self.rows.append_value(row as i64);
        self.cols.append_value(col as i64);
        self.values.append_value(value);
        if self.values.values_slice().len() == BATCH_ROWS {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.sink.write(vec![
            Arc::new(self.rows.finish()),
            Arc::new(self.cols.finish()),
            Arc::new(self.values.finish()),
        ])
    }

    fn finish(mut self) -> Result<u64> {
        self.write()?;
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(u64, u64, f64)>;

    fn parse(text: &str) -> Result<(Size, Entries)> {
        let mut entries = Vec::new();
        let mut lines = Lines::new(text.as_bytes(), Path::new("a.mtx"));
        let size = read(&mut lines, |row, col, value| {
            entries.push((row, col, value));
            Ok(())
        })?;
        Ok((size, entries))
    }

    fn entries(text: &str) -> Entries {
        parse(text).expect("a matrix").1
    }

    #[test]
    fn coordinates_count_from_zero() {
        let text = "%%MatrixMarket matrix coordinate real general\n% a comment\n\n\
                    3 2 2\n1 1 1.5\n3 2 -2e1\n";
        let (size, entries) = parse(text).expect("a matrix");
        assert_eq!((size.nrows, size.ncols), (3, 2));
        assert_eq!(entries, [(0, 0, 1.5), (2, 1, -20.0)]);
    }

    #[test]
    fn symmetry_is_unfolded() {
        let symmetric = "%%MatrixMarket matrix coordinate pattern symmetric\n2 2 2\n1 1\n2 1\n";
        assert_eq!(entries(symmetric), [(0, 0, 1.0), (1, 0, 1.0), (0, 1, 1.0)]);
        let skew = "%%MatrixMarket matrix coordinate integer skew-symmetric\n2 2 1\n2 1 3\n";
        assert_eq!(entries(skew), [(1, 0, 3.0), (0, 1, -3.0)]);
    }

    #[test]
    fn arrays_go_column_by_column() {
        let general = "%%MatrixMarket matrix array real general\n2 2\n1\n0\n3\n4\n";
        assert_eq!(entries(general), [(0, 0, 1.0), (0, 1, 3.0), (1, 1, 4.0)]);
        let symmetric = "%%MatrixMarket matrix array real symmetric\n2 2\n1\n2\n3\n";
        assert_eq!(
            entries(symmetric),
            [(0, 0, 1.0), (1, 0, 2.0), (0, 1, 2.0), (1, 1, 3.0)]
        );
        let skew = "%%MatrixMarket matrix array real skew-symmetric\n3 3\n1\n2\n3\n";
        let lower: Entries = entries(skew).into_iter().step_by(2).collect();
        assert_eq!(lower, [(1, 0, 1.0), (2, 0, 2.0), (2, 1, 3.0)]);
    }

    #[test]
    fn errors_name_the_line() {
        const HEAD: &str = "%%MatrixMarket matrix coordinate real general\n";
        for (text, part) in [
            ("1 2 3\n".to_owned(), "line 1: a Matrix Market file begins"),
            (format!("{HEAD}3 2\n"), "line 2: \"3 2\" is not"),
            (
                format!("{HEAD}3 2 1\n4 1 1.0\n"),
                "line 3: row 4 lies outside",
            ),
            (
                format!("{HEAD}3 2 1\n0 1 1.0\n"),
                "line 3: row 0 lies outside",
            ),
            (
                format!("{HEAD}3 2 1\n1 1 x\n"),
                "line 3: \"x\" is no number",
            ),
            (format!("{HEAD}3 2 1\n1 1\n"), "line 3: \"\" is no number"),
            (
                format!("{HEAD}3 2 1\n1 1 1 1\n"),
                "line 3: \"1\" is one word",
            ),
            (format!("{HEAD}3 2 2\n1 1 1\n"), "ends after 1 of 2 entries"),
            (format!("{HEAD}3 2 1\n1 1 1\n2 1 1\n"), "line 4: more than"),
            (
                format!("{HEAD}18446744073709551615 2 1\n18446744073709551615 1 1\n"),
                "line 2: 18446744073709551615 x 2 is too large",
            ),
            (HEAD.replace("real", "complex"), "\"complex\""),
            (HEAD.replace("general", "hermitian"), "\"hermitian\""),
            (
                format!("{}2 3 0\n", HEAD.replace("general", "symmetric")),
                "2 x 3",
            ),
        ] {
            let error = parse(&text).expect_err(part);
            assert!(error.message.contains(part), "{part}: {error}");
        }
    }
}
