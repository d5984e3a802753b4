//! Reads Parquet files of sources and seed tables, whole.

use arrow::array::{Array, ArrayRef};
use rankmill_common::operator::inspect::Piece;
use rankmill_common::table::IdType;
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::ids::column::{EncodedColumn, IdColumn};
use crate::ids::id_type;
use crate::storage::input::{
    Footer, InputFile, PieceReader, append_f32, expand, is_numeric, nulls,
};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1 << 16;

/// A table of seeds: a row is a vertex of a source's set, and its weight.
pub(super) struct SeedRows {
    pub(super) sources: EncodedColumn,
    pub(super) source_type: IdType,
    pub(super) vertices: EncodedColumn,
    /// Absent where all are equal.
    weights: Option<Vec<f32>>,
}

impl SeedRows {
    pub(super) fn read(
        context: &TaskContext,
        paths: &[String],
        source: &str,
        vertex: &str,
        weight: Option<&str>,
    ) -> Result<Self> {
        let (mut sources, mut vertices) = (None, None);
        let mut weights = weight.map(|_| Vec::new());
        let mut source_type = IdType::Int64;
        read(context, paths, |reader| {
            if let Some(found) = id_type(&reader.footer().column(source)?.data_type) {
                source_type = found;
            }
            append_ids(reader, source, &mut sources)?;
            append_ids(reader, vertex, &mut vertices)?;
            match (weight, &mut weights) {
                (Some(name), Some(weights)) => append_weights(reader, name, weights),
                (None, _) | (_, None) => Ok(()),
            }
        })?;
        let columns = sources.zip(vertices);
        let (sources, vertices) =
            columns.ok_or_else(|| Error::invalid_input("the seed table has no rows"))?;
        Ok(Self {
            sources: sources.encode()?,
            source_type,
            vertices: vertices.encode()?,
            weights,
        })
    }

    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights
            .as_ref()
            .map_or(1.0, |weights| f64::from(weights[row]))
    }
}

/// Calls `visit` with every file that has rows.
pub(super) fn read(
    context: &TaskContext,
    paths: &[String],
    mut visit: impl FnMut(&PieceReader) -> Result<()>,
) -> Result<()> {
    for url in expand(context, paths)? {
        context.check_cancelled()?;
        let file = InputFile::open(context, &url)?;
        let footer = Footer::read(&file)?;
        let groups = 0..footer.row_groups();
        let piece = Piece {
            url,
            size: file.size(),
            version: file.version().to_owned(),
            row_groups: groups.clone().map(|group| group as u32).collect(),
            skip: 0,
            rows: groups.map(|group| footer.rows(group)).sum(),
            first_row: 0,
            bytes: 0,
        };
        if piece.rows > u64::from(u32::MAX) {
            return Err(Error::invalid_input(format!(
                "{}: more than 2³² rows in one file of sources; split it",
                file.name()
            )));
        }
        if piece.rows > 0 {
            let reader = PieceReader::open(context, &piece)?;
            visit(&reader)?;
            reader.check_unchanged()?;
        }
    }
    Ok(())
}

/// The column of sources: the named one, else the only one, else `source`.
pub(super) fn only_column(reader: &PieceReader, name: Option<&str>) -> Result<String> {
    let names = reader.footer().names();
    match (name, names.as_slice()) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, names) if names.contains(&"source") => Ok("source".to_owned()),
        (None, names) => Err(Error::invalid_input(format!(
            "{}: which column holds the sources? Name it with --source-column; there are {}",
            reader.footer().file().name(),
            names.join(", ")
        ))),
    }
}

/// Appends the ids of a file's column to those of the files before it.
pub(super) fn append_ids(
    reader: &PieceReader,
    name: &str,
    gathered: &mut Option<IdColumn>,
) -> Result<()> {
    let column = reader.footer().column(name)?;
    let kind = id_type(&column.data_type)
        .ok_or_else(|| reader.error_at(0, name, "ids are integers, strings or binary"))?;
    let ids = gathered.get_or_insert_with(|| IdColumn::new(kind));
    if !ids.is_of(kind) {
        return Err(reader.error_at(0, name, "the files before have ids of another type"));
    }
    read_column(reader, name, |array| ids.push(array))
}

fn append_weights(reader: &PieceReader, name: &str, weights: &mut Vec<f32>) -> Result<()> {
    let column = reader.footer().column(name)?;
    if !is_numeric(&column.data_type) {
        return Err(reader.error_at(0, name, "weights are numbers"));
    }
    let first_of_file = weights.len();
    let mut wrong = None;
    read_column(reader, name, |array| {
        let first = weights.len();
        append_f32(array, weights, &mut |row, defect| {
            wrong.get_or_insert((first + row, defect.to_string()));
        })
    })?;
    let not_positive = weights[first_of_file..]
        .iter()
        .position(|&weight| weight <= 0.0);
    match (wrong, not_positive) {
        (Some((row, what)), _) => Err(reader.error_at((row - first_of_file) as u64, name, &what)),
        (None, Some(row)) => {
            let what = format!("is {}: weights are positive", weights[first_of_file + row]);
            Err(reader.error_at(row as u64, name, &what))
        }
        (None, None) => Ok(()),
    }
}

/// Calls `visit` with the arrays of a column; a null is an error.
fn read_column(
    reader: &PieceReader,
    name: &str,
    mut visit: impl FnMut(&ArrayRef) -> Result<()>,
) -> Result<()> {
    let column = reader.footer().column(name)?;
    reader.read(&[column], BATCH_ROWS, |first, arrays| {
        for array in arrays {
            let mut null = None;
            nulls(array.as_ref() as &dyn Array, &mut |row, _| {
                null.get_or_insert(row);
            });
            if let Some(row) = null {
                return Err(reader.error_at(first + row as u64, name, "is null; correct it"));
            }
            visit(array)?;
        }
        Ok(())
    })
}
