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

impl CellType {
    /// The narrowest type that holds every one of `cells`; empty ones fit anywhere. Digits that no
    /// 64-bit integer is written with (`007`, 20 digits) are text: as numbers they would fall
    /// together with others.
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        let types = cells.filter(|cell| !cell.is_empty()).map(|cell| {
            let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
            let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
            let leading = digits.len() > 1 && digits.starts_with('0');
            if cell.parse::<i64>().is_ok() && !leading {
                Self::Int
            } else if cell.parse::<f64>().is_ok() && !whole {
                Self::Float
            } else {
                Self::Text
            }
        });
        types.max().unwrap_or(Self::Text)
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

/// A column under construction.
pub(super) enum Column {
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
}

impl Column {
    pub(super) fn new(cell_type: CellType) -> Self {
        match cell_type {
            CellType::Int => Self::Int(Int64Builder::new()),
            CellType::Float => Self::Float(Float64Builder::new()),
            CellType::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a cell; an empty one is a null.
    pub(super) fn push(&mut self, cell: &str) -> Result<(), String> {
        let wrong = |what: &str| format!("{cell:?} is not {what}");
        match self {
            Self::Int(builder) if cell.is_empty() => builder.append_null(),
            Self::Float(builder) if cell.is_empty() => builder.append_null(),
            Self::Text(builder) if cell.is_empty() => builder.append_null(),
            Self::Int(builder) => {
                builder.append_value(cell.parse().map_err(|_| wrong("a 64-bit integer"))?);
            }
            Self::Float(builder) => {
                builder.append_value(cell.parse().map_err(|_| wrong("a number"))?);
            }
            Self::Text(builder) => builder.append_value(cell),
        }
        Ok(())
    }

    /// The cells so far; the column is empty afterwards.
    pub(super) fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_type_that_fits_is_taken() {
        assert_eq!(CellType::of(["1", "", "-2"].into_iter()), CellType::Int);
        assert_eq!(CellType::of(["1", "2.5"].into_iter()), CellType::Float);
        assert_eq!(CellType::of(["1", "x"].into_iter()), CellType::Text);
        assert_eq!(CellType::of(["", ""].into_iter()), CellType::Text);
    }

    #[test]
    fn a_cell_of_another_type_is_named() {
        let mut column = Column::new(CellType::Int);
        assert_eq!(column.push("7"), Ok(()));
        assert_eq!(column.push(""), Ok(()));
        assert_eq!(
            column.push("x7"),
            Err("\"x7\" is not a 64-bit integer".to_owned())
        );
        assert_eq!(column.take().null_count(), 1);
        assert_eq!(column.take().len(), 0);
    }
}
