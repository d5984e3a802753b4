//! Edge lists as SNAP has them: two ids per line, perhaps a weight; `#` or `%` begins a comment.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use rankmill_common::Result;

use super::Imported;
use super::column::{CellType, Column, Origin};
use super::lines::Lines;
use super::sink::{BATCH_ROWS, Sink};

const COMMENTS: [char; 2] = ['#', '%'];
const NAMES: [&str; 3] = ["src", "dst", "weight"];

pub(super) fn import(file: &Path, text_ids: bool, place: &Path) -> Result<Imported> {
    let mut lines = Lines::open(file)?;
    let mut sink = None;
    read(&mut lines, text_ids, |types, columns| {
        let sink = match &mut sink {
            Some(sink) => sink,
            none => none.insert(Sink::begin(place, schema(types))?),
        };
        sink.write(columns)
    })?;
    let rows = match sink {
        Some(sink) => sink.finish()?,
        None => return Err(lines.error("the file holds no edges")),
    };
    Ok(Imported {
        rows,
        note: String::new(),
    })
}

fn schema(types: &[CellType]) -> Arc<Schema> {
    let fields = NAMES.iter().zip(types);
    let fields: Vec<_> = fields.map(|(name, cell)| cell.field(name, false)).collect();
    Arc::new(Schema::new(fields))
}

/// Hands the edges to `write` in batches. The first edge decides how many columns there are and
/// whether ids are integers.
fn read<R: BufRead>(
    lines: &mut Lines<R>,
    text_ids: bool,
    mut write: impl FnMut(&[CellType], Vec<ArrayRef>) -> Result<()>,
) -> Result<()> {
    let mut types: Vec<CellType> = Vec::new();
    let mut columns: Vec<Column> = Vec::new();
    let (mut rows, mut pending) = (0u64, 0);
    while let Some(line) = lines.next_content(&COMMENTS)? {
        if rows == 1 && !text_ids && follows_a_header(&types, line) {
            return Err(lines.error(
                "ids are integers here and words in the line before: put # before a header, or take \
                 both as text with --text-ids",
            ));
        }
        if types.is_empty() {
            types = match types_of(line, text_ids) {
                Ok(types) => types,
                Err(what) => return Err(lines.error(what)),
            };
            columns = types.iter().map(|&cell| column(cell)).collect();
        }
        if let Err(what) = push(line, &mut columns) {
            return Err(lines.error(what));
        }
        rows += 1;
        pending += 1;
        if pending == BATCH_ROWS {
            pending = 0;
            write(&types, columns.iter_mut().map(Column::take).collect())?;
        }
    }
    if pending > 0 {
        write(&types, columns.iter_mut().map(Column::take).collect())?;
    }
    Ok(())
}

/// Whether ids were taken for text by the line before, and are integers in this one.
fn follows_a_header(types: &[CellType], line: &str) -> bool {
    types.first() == Some(&CellType::Text) && CellType::of(split(line).take(2)) == CellType::Int
}

fn types_of(line: &str, text_ids: bool) -> Result<Vec<CellType>, String> {
    let cells: Vec<&str> = split(line).collect();
    let id = if text_ids || CellType::of(cells.iter().take(2).copied()) != CellType::Int {
        CellType::Text
    } else {
        CellType::Int
    };
    match cells.len() {
        2 => Ok(vec![id, id]),
        3 => Ok(vec![id, id, CellType::Float]),
        n => Err(format!(
            "an edge has two ids and perhaps a weight, not {n} words"
        )),
    }
}

/// Ids are what the first edge shows; a weight is whatever can be read as a number.
fn column(cell_type: CellType) -> Column {
    let origin = match cell_type {
        CellType::Float => Origin::Named,
        CellType::Int | CellType::Text => Origin::Inferred,
    };
    Column::new(cell_type, origin)
}

fn push(line: &str, columns: &mut [Column]) -> Result<(), String> {
    let expected = columns.len();
    let mut cells = split(line);
    for (column, name) in columns.iter_mut().zip(NAMES) {
        let Some(cell) = cells.next() else {
            return Err(format!(
                "{name} is missing: earlier lines have {expected} words"
            ));
        };
        if cell.is_empty() {
            return Err(format!("{name} is missing"));
        }
        column.push(cell).map_err(|what| match name {
            "weight" => format!("weight {what}"),
            _ => format!("{name} {what}; --text-ids keeps ids as text"),
        })?;
    }
    match cells.next() {
        None => Ok(()),
        Some(cell) => Err(format!(
            "{cell:?} is one word too many: earlier lines have {expected}"
        )),
    }
}

/// The words of a line. Blanks or one comma separate them: between two commas there is an empty
/// one. A comma may end the line.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let line = line.strip_suffix(',').unwrap_or(line);
    line.split(',').flat_map(|part| {
        let mut words = part.split_whitespace();
        std::iter::once(words.next().unwrap_or_default()).chain(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    fn parse(text: &str, text_ids: bool) -> Result<Vec<ArrayRef>> {
        let mut lines = Lines::new(text.as_bytes(), Path::new("edges.txt"));
        let mut all = Vec::new();
        read(&mut lines, text_ids, |_, columns| {
            all = columns;
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn integers_stay_integers() {
        let columns = parse("# Nodes: 3\n1\t2\n3\t1\n", false).expect("edges");
        assert_eq!(columns.len(), 2);
        assert_eq!(columns[0].data_type(), &DataType::Int64);
        assert_eq!(columns[0].len(), 2);
        let columns = parse("007 2\n7 x\n", false).expect("edges");
        assert_eq!(columns[0].data_type(), &DataType::Utf8);
        let columns = parse("1 2\n", true).expect("edges");
        assert_eq!(columns[0].data_type(), &DataType::Utf8);
    }

    #[test]
    fn names_and_weights_are_read() {
        let columns = parse("a b 1\nb,c,0.5\nc , d,\t+2\nd e 007,\n", false).expect("edges");
        assert_eq!(columns[1].data_type(), &DataType::Utf8);
        assert_eq!(columns[2].data_type(), &DataType::Float64);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, part) in [
            ("1\n", "line 1: an edge has two ids"),
            (
                "1 2\nx 3\n",
                "line 2: src \"x\" is not a 64-bit integer; --text-ids",
            ),
            ("1 2 3\n1 2\n", "line 2: weight is missing"),
            ("1 2\n\n1 2 3\n", "line 3: \"3\" is one word too many"),
            ("source,target\n1,2\n", "line 2: ids are integers here"),
            ("1 2 3\n1 2 x\n", "line 2: weight \"x\" is not a number"),
            ("1,2\n1,,5\n", "line 2: dst is missing"),
            ("1,,5\n", "line 1: dst is missing"),
            (",1,5\n", "line 1: src is missing"),
            ("1,2,3\n1,2,\n", "line 2: weight is missing"),
            ("1,2,3\n1, ,3\n", "line 2: dst is missing"),
            ("7 1\n007 1\n", "line 2: src \"007\" as a number is 7"),
            ("7 1\n7 +1\n", "line 2: dst \"+1\" as a number is 1"),
            ("7 1\n7 -0\n", "--text-ids keeps ids as text"),
        ] {
            let error = parse(text, false).expect_err(part);
            assert!(error.message.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn nothing_is_left_of_a_failed_import() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edges.txt");
        std::fs::write(&file, "1 2\n".repeat(BATCH_ROWS + 1) + "x y\n").expect("written");
        let place = folder.path().join("edges.parquet");
        assert!(import(&file, false, &place).is_err());
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 1);
        assert_eq!(
            import(&file, true, &place).expect("as text").rows,
            BATCH_ROWS as u64 + 2
        );
    }
}
