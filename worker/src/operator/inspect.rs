//! `inspect`: lists and pins the input files and checks their columns, from footers alone.
//!
//! One exception: the length of a dense input's vectors is that of its first row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use rankmill_common::input::{
    DenseLayout, GraphLayout, Ids, InputSpec, Layout, Orientation, SparseLayout,
};
use rankmill_common::operator::inspect::{Inspect, Inspection, Piece, PinnedFile, RowGroup};
use rankmill_common::table::{IdRange, IdType};
use rankmill_common::{Error, Result};

use crate::context::TaskContext;
use crate::ids::id_type;
use crate::storage::input::{
    Column, Footer, InputFile, PieceReader, expand, is_numeric, type_name,
};

/// Wider ids are refused: an id is a name, not a document.
const MAX_FIXED_ID: i32 = 1 << 16;

pub(crate) fn run(context: &TaskContext, operator: &Inspect) -> Result<Inspection> {
    let input = &operator.input;
    let urls = expand(context, &input.paths)?;
    let mut files = Vec::with_capacity(urls.len());
    let mut first: Option<(String, Vec<Column>)> = None;
    let mut ranges = [Some(None), Some(None)];
    for url in urls {
        context.check_cancelled()?;
        let footer = Footer::read(&InputFile::open(context, &url)?)?;
        let columns = columns(&footer, input)?;
        match &first {
            Some((name, expected)) => same_types(name, expected, footer.file().name(), &columns)?,
            None => first = Some((footer.file().name().to_owned(), columns.clone())),
        }
        for (range, column) in ranges.iter_mut().zip(&columns) {
            *range = range.and_then(|range| join(range, footer.id_range(column)?));
        }
        files.push(pin(&footer, url, &columns));
    }
    let columns = first.map(|(_, columns)| columns).unwrap_or_default();
    if files
        .iter()
        .all(|file| file.row_groups.iter().all(|group| group.rows == 0))
    {
        let paths = input.paths.join(", ");
        return Err(Error::invalid_input(format!(
            "{paths}: the input has no rows; check the path"
        )));
    }
    let ranges = ranges.map(Option::flatten);
    describe(context, input, files, &columns, ranges)
}

/// The range of ids of two files, either of which may have none.
#[allow(clippy::option_option, reason = "not known, and known to be empty")]
fn join(a: Option<IdRange>, b: Option<IdRange>) -> Option<Option<IdRange>> {
    Some(match (a, b) {
        (Some(a), Some(b)) => Some(a.join(b)),
        (one, None) | (None, one) => one,
    })
}

/// The columns that the job reads, in the order row, col, value, or id, vector….
fn columns(footer: &Footer, input: &InputSpec) -> Result<Vec<Column>> {
    match &input.layout {
        Layout::Sparse(layout) => sparse_columns(footer, layout),
        Layout::Dense(layout) => dense_columns(footer, layout),
        Layout::Graph(layout) => graph_columns(footer, layout),
    }
}

/// Both ends of an edge are looked up in one table of vertices, so their types must agree.
fn graph_columns(footer: &Footer, layout: &GraphLayout) -> Result<Vec<Column>> {
    let columns = sparse_columns(footer, &layout.triplets(Orientation::Outgoing))?;
    if let [src, dst, ..] = columns.as_slice()
        && id_type(&src.data_type) != id_type(&dst.data_type)
    {
        let wanted = format!(
            "but {:?} is of type {}: vertices have ids of one type; cast one of the two columns",
            src.name,
            type_name(&src.data_type)
        );
        return Err(wrong_type(footer, dst, &wanted));
    }
    Ok(columns)
}

fn sparse_columns(footer: &Footer, layout: &SparseLayout) -> Result<Vec<Column>> {
    let mut columns = vec![
        id_column(footer, &layout.row, &layout.ids)?,
        id_column(footer, &layout.col, &layout.ids)?,
    ];
    if let Some(value) = &layout.value {
        columns.push(numeric_column(footer, value)?);
    }
    Ok(columns)
}

fn dense_columns(footer: &Footer, layout: &DenseLayout) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    if let Some(id) = &layout.id {
        columns.push(id_column(footer, id, &Ids::Dictionary)?);
    }
    match layout.vector.as_slice() {
        [] => {
            return Err(Error::invalid_input(
                "no column holds the vectors: name one",
            ));
        }
        [only] => {
            let column = footer.column(only)?;
            let element = list_element(&column.data_type).unwrap_or(&column.data_type);
            if !is_numeric(element) {
                return Err(wrong_type(
                    footer,
                    &column,
                    "vectors need a list of numbers",
                ));
            }
            columns.push(column);
        }
        several => {
            for name in several {
                columns.push(numeric_column(footer, name)?);
            }
        }
    }
    Ok(columns)
}

fn id_column(footer: &Footer, name: &str, ids: &Ids) -> Result<Column> {
    let column = footer.column(name)?;
    match (id_type(&column.data_type), ids) {
        (Some(IdType::FixedSizeBinary(width)), _) if width > MAX_FIXED_ID => Err(wrong_type(
            footer,
            &column,
            &format!("ids have {MAX_FIXED_ID} bytes at most"),
        )),
        (Some(IdType::Utf8 | IdType::Binary | IdType::FixedSizeBinary(_)), Ids::Dense { .. }) => {
            Err(wrong_type(
                footer,
                &column,
                "--ids dense needs integers; leave it out for other ids",
            ))
        }
        (Some(_), _) => Ok(column),
        (None, _) => Err(wrong_type(
            footer,
            &column,
            "ids are integers, strings or binary",
        )),
    }
}

fn numeric_column(footer: &Footer, name: &str) -> Result<Column> {
    let column = footer.column(name)?;
    if is_numeric(&column.data_type) {
        Ok(column)
    } else {
        Err(wrong_type(footer, &column, "values are numbers"))
    }
}

fn wrong_type(footer: &Footer, column: &Column, wanted: &str) -> Error {
    Error::invalid_input(format!(
        "{}: column {:?} is of type {}; {wanted}",
        footer.file().name(),
        column.name,
        type_name(&column.data_type),
    ))
}

fn same_types(first: &str, expected: &[Column], name: &str, found: &[Column]) -> Result<()> {
    for (expected, found) in expected.iter().zip(found) {
        let types = (type_name(&expected.data_type), type_name(&found.data_type));
        if types.0 != types.1 {
            return Err(Error::invalid_input(format!(
                "column {:?} is of type {} in {first} but {} in {name}; write both files alike",
                expected.name, types.0, types.1
            )));
        }
    }
    Ok(())
}

fn pin(footer: &Footer, url: String, columns: &[Column]) -> PinnedFile {
    let group = |index| RowGroup {
        rows: footer.rows(index),
        bytes: footer.bytes(index, columns),
    };
    PinnedFile {
        url,
        size: footer.file().size(),
        version: footer.file().version().to_owned(),
        row_groups: (0..footer.row_groups()).map(group).collect(),
    }
}

fn describe(
    context: &TaskContext,
    input: &InputSpec,
    files: Vec<PinnedFile>,
    columns: &[Column],
    ranges: [Option<IdRange>; 2],
) -> Result<Inspection> {
    let type_of = |column: Option<&Column>| {
        column
            .and_then(|column| id_type(&column.data_type))
            .unwrap_or(IdType::Int64)
    };
    let (row_id_type, column_id_type, vector_length) = match &input.layout {
        Layout::Sparse(_) | Layout::Graph(_) => {
            (type_of(columns.first()), type_of(columns.get(1)), None)
        }
        Layout::Dense(layout) => {
            let (ids, vectors) = columns.split_at(usize::from(layout.id.is_some()));
            let length = match vectors {
                [list] if list_element(&list.data_type).is_some() => {
                    first_length(context, &files, list)?
                }
                numbers => numbers.len() as u64,
            };
            (type_of(ids.first()), IdType::Int64, Some(length))
        }
    };
    Ok(Inspection {
        files,
        row_id_type,
        column_id_type,
        row_id_range: ranges[0],
        column_id_range: ranges[1],
        vector_length,
    })
}

/// The element type of a list.
pub(super) fn list_element(data_type: &DataType) -> Option<&DataType> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "lists among all types")]
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type())
        }
        _ => None,
    }
}

/// The length of the first vector that is not null.
fn first_length(context: &TaskContext, files: &[PinnedFile], column: &Column) -> Result<u64> {
    const ROWS: u64 = 1024;
    for file in files {
        let groups = file.row_groups.iter().enumerate();
        for (index, group) in groups.filter(|(_, group)| group.rows > 0) {
            let piece = Piece {
                url: file.url.clone(),
                size: file.size,
                version: file.version.clone(),
                row_groups: vec![index as u32],
                skip: 0,
                rows: group.rows.min(ROWS),
                first_row: 0,
                bytes: 0,
            };
            let reader = PieceReader::open(context, &piece)?;
            let column = reader.footer().column(&column.name)?;
            let mut length = None;
            reader.read(std::slice::from_ref(&column), 64, |_, arrays| {
                if let Some(array) = arrays.first().filter(|_| length.is_none()) {
                    length = list_length(array);
                }
                Ok(())
            })?;
            match length {
                Some(0) => return Err(reader.error_at(0, &column.name, "vectors are empty")),
                Some(length) => return Ok(length),
                None => {}
            }
        }
    }
    Err(Error::invalid_input(format!(
        "column {:?} holds no vector in the first rows of any row group",
        column.name
    )))
}

fn list_length(array: &ArrayRef) -> Option<u64> {
    let list = array.as_list_opt::<i32>()?;
    let first = (0..list.len()).find(|&row| list.is_valid(row))?;
    u64::try_from(list.value_length(first)).ok()
}
