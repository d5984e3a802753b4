//! Columns of text cells whose type was inferred or named.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field};

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CellType {
    Int,
    Float,
    Text,
}

/// How a cell is written, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// As every program writes that integer.
    Int,
    /// A sign that an integer is not written with (`+7`, `-0`). Among integers, which may be ids,
    /// it would fall together with another cell; among measurements it is one.
    Signed,
    /// With a point or an exponent, or a word such as `inf`.
    Float,
    /// Anything else, digits among them that no 64-bit integer is written with (`007`, 20 digits):
    /// as numbers they would fall together with others.
    Text,
}

impl Spelling {
    fn of(cell: &str) -> Self {
        let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return match cell.parse::<f64>() {
                Ok(_) => Self::Float,
                Err(_) => Self::Text,
            };
        }
        let leading = digits.len() > 1 && digits.starts_with('0');
        if leading || cell.parse::<i64>().is_err() {
            Self::Text
        } else if cell.starts_with('+') || cell == "-0" {
            Self::Signed
        } else {
            Self::Int
        }
    }
}

impl CellType {
    /// The narrowest type that keeps every two of `cells` apart; empty ones fit anywhere.
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        let cells = cells.map(number).filter(|cell| !cell.is_empty());
        match cells.map(Spelling::of).max() {
            Some(Spelling::Int) => Self::Int,
            Some(Spelling::Float) => Self::Float,
            Some(Spelling::Signed | Spelling::Text) | None => Self::Text,
        }
    }

    pub(super) fn field(self, name: &str, nullable: bool) -> Field {
        let data_type = match self {
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Text => DataType::Utf8,
        };
        Field::new(name, data_type, nullable)
    }
}

impl std::str::FromStr for CellType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "int" => Ok(Self::Int),
            "float" => Ok(Self::Float),
            "text" => Ok(Self::Text),
            _ => Err(format!("{text:?} is no type: there are int, float, text")),
        }
    }
}

/// Where the type of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A person named it: whatever can be read as it is meant so.
    Named,
    /// Some cells were looked at: others may show that the guess was wrong.
    Inferred,
}

/// A column under construction.
pub(super) struct Column {
    cells: Cells,
    origin: Origin,
}

enum Cells {
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl Column {
    pub(super) fn new(cell_type: CellType, origin: Origin) -> Self {
        let cells = match cell_type {
            CellType::Int => Cells::Int(Int64Builder::new()),
            CellType::Float => Cells::Float(Float64Builder::new()),
            CellType::Text => Cells::Text(StringBuilder::new()),
        };
        Self { cells, origin }
    }

    /// Appends a cell; an empty one is a null. Text is kept as it is, blanks around numbers go.
    pub(super) fn push(&mut self, cell: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{cell:?} is not {what}");
        let allows = |widest: Spelling, cell: &str| match self.origin {
            Origin::Named => true,
            Origin::Inferred => Spelling::of(cell) <= widest,
        };
        match &mut self.cells {
            Cells::Int(builder) => match number(cell) {
                "" => builder.append_null(),
                cell => {
                    let value = cell.parse().map_err(|_| wrong("a 64-bit integer"))?;
                    if !allows(Spelling::Int, cell) {
                        return Err(merged(cell, value));
                    }
                    builder.append_value(value);
                }
            },
            Cells::Float(builder) => match number(cell) {
                "" => builder.append_null(),
                cell => {
                    let value = cell.parse().map_err(|_| wrong("a number"))?;
                    if !allows(Spelling::Float, cell) {
                        return Err(merged(cell, value));
                    }
                    builder.append_value(value);
                }
            },
            Cells::Text(builder) if cell.is_empty() => builder.append_null(),
            Cells::Text(builder) => builder.append_value(cell),
        }
        Ok(())
    }

    /// The cells so far; the column is empty afterwards.
    pub(super) fn take(&mut self) -> ArrayRef {
        match &mut self.cells {
            Cells::Int(builder) => Arc::new(builder.finish()),
            Cells::Float(builder) => Arc::new(builder.finish()),
            Cells::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

fn merged(cell: &str, value: impl std::fmt::Display) -> String {
    format!("{cell:?} as a number is {value}, and two ids that differ may become one")
}

/// A cell as numbers are read from it.
fn number(cell: &str) -> &str {
    cell.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_that_fits_is_taken() {
        for (cells, cell_type) in [
            (["1", "", "-2"], CellType::Int),
            ([" 1", "2\t", " "], CellType::Int),
            (["1", "2.5", "-0"], CellType::Float),
            (["+7", "2.5", "1e3"], CellType::Float),
            (["1", "x", "2"], CellType::Text),
            (["", "", ""], CellType::Text),
            (["1", "007", "2"], CellType::Text),
            (["1", "+7", "2"], CellType::Text),
            (["1", "-0", "2"], CellType::Text),
            (["-07", "1.5", "2"], CellType::Text),
            (["18446744073709551615", "1.5", "2"], CellType::Text),
        ] {
            assert_eq!(CellType::of(cells.into_iter()), cell_type, "{cells:?}");
        }
    }

    #[test]
    fn a_cell_of_another_type_is_named() {
        let mut column = Column::new(CellType::Int, Origin::Inferred);
        assert_eq!(column.push("7"), Ok(()));
        assert_eq!(column.push(" -7 "), Ok(()));
        assert_eq!(column.push(""), Ok(()));
        assert_eq!(
            column.push("x7"),
            Err("\"x7\" is not a 64-bit integer".to_owned())
        );
        assert_eq!(column.take().null_count(), 1);
        assert_eq!(column.take().len(), 0);
    }

    #[test]
    fn ids_that_would_merge_show_that_the_guess_was_wrong() {
        for cell in ["007", "+7", "-0", "-07"] {
            let mut inferred = Column::new(CellType::Int, Origin::Inferred);
            let error = inferred.push(cell).expect_err(cell);
            assert!(error.contains("may become one"), "{error}");
            let mut named = Column::new(CellType::Int, Origin::Named);
            assert_eq!(named.push(cell), Ok(()), "{cell}");
        }
        let mut floats = Column::new(CellType::Float, Origin::Inferred);
        assert!(floats.push("007").is_err());
        assert!(floats.push("18446744073709551615").is_err());
        assert_eq!(floats.push("-0"), Ok(()));
    }

    #[test]
    fn text_is_kept_as_it_is() {
        let mut column = Column::new(CellType::Text, Origin::Inferred);
        for cell in [" x", "x", "\u{a0}x", " ", ""] {
            column.push(cell).expect("text");
        }
        let column = column.take();
        let cells: &arrow::array::StringArray = column.as_any().downcast_ref().expect("text");
        let expected = [Some(" x"), Some("x"), Some("\u{a0}x"), Some(" "), None];
        assert!(cells.iter().eq(expected));
    }
}
