//! Footers: what a Parquet file says of itself, checked for sanity.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use rankmill_common::table::IdRange;
use rankmill_common::{Error, Result};

use super::chunks::{Chunks, Pages, Span};
use super::source::InputFile;
use crate::ids::integers::Integer;

/// A file's footer.
#[derive(Clone)]
pub(crate) struct Footer {
    file: InputFile,
    metadata: ArrowReaderMetadata,
}

/// A top-level column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its place among the top-level columns.
    pub(super) index: usize,
    pub(crate) name: String,
    /// Its type, without what only Arrow's own metadata says: dictionaries read as their values,
    /// fixed-size lists as lists.
    pub(crate) data_type: DataType,
}

impl Footer {
    /// Reads and checks the footer of `file`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the file is no Parquet file, truncated or damaged.
    pub(crate) fn read(file: &InputFile) -> Result<Self> {
        let chunks = Chunks::new(file.clone(), vec![Span::new(0..file.size(), None)]);
        let damaged = |reason: String| {
            let name = file.name();
            Error::invalid_input(format!("{name}: not a Parquet file or truncated: {reason}"))
        };
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let metadata = ArrowReaderMetadata::load(&chunks, options())?;
            let schema = compact_strings(metadata.schema());
            ArrowReaderMetadata::try_new(
                Arc::clone(metadata.metadata()),
                options().with_schema(Arc::new(schema)),
            )
        }));
        let metadata = match loaded {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(error)) => {
                let reason = || damaged(lowercase(&error.to_string()));
                return Err(chunks.failure().unwrap_or_else(reason));
            }
            Err(_) => return Err(damaged("its footer makes the reader panic".to_owned())),
        };
        check(metadata.metadata(), file.size()).map_err(damaged)?;
        Ok(Self {
            file: file.clone(),
            metadata,
        })
    }

    /// The file.
    pub(crate) fn file(&self) -> &InputFile {
        &self.file
    }

    pub(super) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// The column `name`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` listing the columns that there are.
    pub(crate) fn column(&self, name: &str) -> Result<Column> {
        let fields = self.metadata.schema().fields();
        let found = fields.iter().position(|field| field.name() == name);
        match found {
            Some(index) => Ok(Column {
                index,
                name: name.to_owned(),
                data_type: fields[index].data_type().clone(),
            }),
            None => {
                let columns: Vec<_> = fields.iter().map(|field| describe(field)).collect();
                Err(Error::invalid_input(format!(
                    "{} has no column {name:?}; it has {}",
                    self.file.name(),
                    columns.join(", ")
                )))
            }
        }
    }

    /// Names of all columns.
    pub(crate) fn names(&self) -> Vec<&str> {
        let fields = self.metadata.schema().fields().iter();
        fields.map(|field| field.name().as_str()).collect()
    }

    /// Number of row groups.
    pub(crate) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> u64 {
        // Checked to be non-negative when the footer was read.
        self.group(group).num_rows() as u64
    }

    /// Uncompressed bytes of some columns of a row group.
    pub(crate) fn bytes(&self, group: usize, columns: &[Column]) -> u64 {
        self.leaves(columns)
            .map(|leaf| self.group(group).column(leaf).uncompressed_size() as u64)
            .sum()
    }

    /// Where the ids of a column of integers lie. `None` where the footer does not say so of every
    /// row group, `Some(None)` where there are no ids at all.
    #[allow(clippy::option_option, reason = "not known, and known to be empty")]
    pub(crate) fn id_range(&self, column: &Column) -> Option<Option<IdRange>> {
        let leaf = self.leaves(std::slice::from_ref(column)).next()?;
        let chunks = (0..self.row_groups()).map(|group| self.group(group).column(leaf));
        let mut all: Option<IdRange> = None;
        for chunk in chunks.filter(|chunk| chunk.num_values() > 0) {
            let statistics = chunk.statistics()?;
            if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
                continue;
            }
            let range = id_range(statistics, &column.data_type)?;
            all = Some(all.map_or(range, |all| all.join(range)));
        }
        Some(all)
    }

    /// Values, nulls included, of a column of a row group: list elements where it is a list.
    pub(crate) fn values(&self, group: usize, column: &Column) -> u64 {
        self.leaves(std::slice::from_ref(column))
            .map(|leaf| self.group(group).column(leaf).num_values() as u64)
            .sum()
    }

    /// The parts of the file that hold some columns of a row group.
    pub(super) fn spans(&self, group: usize, columns: &[Column]) -> Vec<Span> {
        let span = |leaf: usize| {
            let chunk = self.group(group).column(leaf);
            let (start, length) = chunk.byte_range();
            let pages = Pages {
                place: format!(
                    "row group {group}, column {:?}",
                    chunk.column_path().string()
                ),
                values: chunk.num_values(),
            };
            Span::new(start..start + length, Some(pages))
        };
        self.leaves(columns).map(span).collect()
    }

    pub(super) fn projection(&self, columns: &[Column]) -> ProjectionMask {
        let roots = columns.iter().map(|column| column.index);
        ProjectionMask::roots(self.metadata.parquet_schema(), roots)
    }

    fn group(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.metadata().row_group(group)
    }

    fn leaves<'a>(&'a self, columns: &'a [Column]) -> impl Iterator<Item = usize> + 'a {
        let schema = self.metadata.parquet_schema();
        (0..schema.num_columns()).filter(move |&leaf| {
            let root = schema.get_column_root_idx(leaf);
            columns.iter().any(|column| column.index == root)
        })
    }
}

fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new()
        .with_skip_arrow_metadata(true)
        .with_page_index_policy(PageIndexPolicy::Skip)
}

/// Strings and bytes as views, which point into decoded pages instead of copying them.
fn compact_strings(schema: &Schema) -> Schema {
    let compact = |field: &Arc<Field>| -> Arc<Field> {
        #[allow(clippy::wildcard_enum_match_arm, reason = "two types of many")]
        let view = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            _ => return Arc::clone(field),
        };
        Arc::new(field.as_ref().clone().with_data_type(view))
    };
    let fields: Vec<_> = schema.fields().iter().map(compact).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// The range of one column chunk. Orders that old writers used for unsigned numbers are not
/// trusted.
fn id_range(statistics: &Statistics, data_type: &DataType) -> Option<IdRange> {
    if statistics.is_min_max_deprecated() {
        return None;
    }
    #[allow(clippy::wildcard_enum_match_arm, reason = "integers among all types")]
    let (lowest, highest) = match statistics {
        Statistics::Int32(values) => (i64::from(*values.min_opt()?), i64::from(*values.max_opt()?)),
        Statistics::Int64(values) => (*values.min_opt()?, *values.max_opt()?),
        _ => return None,
    };
    #[allow(clippy::wildcard_enum_match_arm, reason = "integers among all types")]
    let key = |value: i64| match data_type {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Some(u64::from(value as u32)),
        DataType::UInt64 => Some(value as u64),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            Some(Integer::key(value))
        }
        _ => None,
    };
    let (lowest, highest) = (key(lowest)?, key(highest)?);
    (lowest <= highest).then(|| IdRange::between(lowest, highest))
}

/// A column as errors list it.
fn describe(field: &Field) -> String {
    format!("{:?} ({})", field.name(), type_name(field.data_type()))
}

/// A type as people know it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    #[allow(clippy::wildcard_enum_match_arm, reason = "two types of many")]
    match data_type {
        DataType::Utf8View => "string".to_owned(),
        DataType::BinaryView => "binary".to_owned(),
        DataType::List(item) => format!("list of {}", type_name(item.data_type())),
        other => lowercase(&other.to_string()),
    }
}

fn lowercase(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Checks what later arithmetic relies on. `size` is the file's.
fn check(metadata: &ParquetMetaData, size: u64) -> Result<(), String> {
    let mut rows = 0i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let wrong = |what: &str| format!("row group {index} has {what}");
        rows = Some(group.num_rows())
            .filter(|&count| count >= 0)
            .and_then(|count| rows.checked_add(count))
            .ok_or_else(|| wrong("an impossible number of rows"))?;
        for chunk in group.columns() {
            let column = chunk.column_path().string();
            let wrong = |what: &str| wrong(&format!("{what} in column {column:?}"));
            if chunk.num_values() < 0 || chunk.uncompressed_size() < 0 {
                return Err(wrong("a negative size"));
            }
            let flat = chunk.column_descr().max_rep_level() == 0;
            if flat && chunk.num_values() != group.num_rows() {
                return Err(wrong("another number of values than rows"));
            }
            let start = chunk
                .dictionary_page_offset()
                .unwrap_or(chunk.data_page_offset());
            let end = u64::try_from(start)
                .ok()
                .zip(u64::try_from(chunk.compressed_size()).ok())
                .and_then(|(start, length)| start.checked_add(length));
            if end.is_none_or(|end| end > size) {
                return Err(wrong("pages behind the end of the file"));
            }
        }
    }
    let total = metadata.file_metadata().num_rows();
    if total == rows {
        Ok(())
    } else {
        Err(format!("its row groups hold {rows} rows, not {total}"))
    }
}
