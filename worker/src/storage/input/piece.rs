//! Reads the rows of one piece, column by column, in batches.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rankmill_common::operator::inspect::Piece;
use rankmill_common::{Error, Result};

use super::chunks::Chunks;
use super::footer::{Column, Footer};
use super::source::InputFile;
use crate::context::TaskContext;

/// The rows of one piece.
pub(crate) struct PieceReader {
    footer: Footer,
    extents: Vec<Extent>,
}

/// Rows of one row group that belong to the piece.
struct Extent {
    group: usize,
    /// Rows of the group before them.
    skip: u64,
    rows: u64,
    /// Rows of the piece before them.
    before: u64,
}

/// A row of the input, as people count: within its row group, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) row_group: usize,
    pub(crate) row: u64,
}

impl PieceReader {
    /// Opens the piece's file, which must be what was pinned.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the file is gone, changed or damaged.
    pub(crate) fn open(context: &TaskContext, piece: &Piece) -> Result<Self> {
        let file = InputFile::open_pinned(context, &piece.url, piece.size, &piece.version)?;
        let footer = Footer::read(&file)?;
        let mut extents = Vec::new();
        let (mut skip, mut left) = (piece.skip, piece.rows);
        for &group in &piece.row_groups {
            let group = group as usize;
            if group >= footer.row_groups() {
                return Err(Error::internal(format!(
                    "{} has no row group {group}",
                    piece.url
                )));
            }
            let rows = footer.rows(group).saturating_sub(skip).min(left);
            if rows > 0 {
                let before = piece.rows - left;
                extents.push(Extent {
                    group,
                    skip,
                    rows,
                    before,
                });
            }
            skip = 0;
            left -= rows;
        }
        if left > 0 {
            return Err(Error::internal(format!(
                "{} lacks {left} of {} planned rows",
                piece.url, piece.rows
            )));
        }
        Ok(Self { footer, extents })
    }

    /// The file's footer.
    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.extents.iter().map(|extent| extent.rows).sum()
    }

    /// Where row `row` of the piece stands in the file.
    pub(crate) fn place(&self, row: u64) -> Place {
        let extent = self
            .extents
            .iter()
            .rfind(|extent| extent.before <= row)
            .or(self.extents.first());
        extent.map_or(Place { row_group: 0, row }, |extent| Place {
            row_group: extent.group,
            row: extent.skip + row.saturating_sub(extent.before),
        })
    }

    /// An error about one value. `row` counts from the start of the piece.
    pub(crate) fn error_at(&self, row: u64, column: &str, what: &str) -> Error {
        let Place { row_group, row } = self.place(row);
        let name = self.footer.file().name();
        Error::invalid_input(format!(
            "{name}: row group {row_group}, row {row}, column {column:?}: {what}"
        ))
    }

    /// Calls `visit` with batches of `columns`, in order, each with the number of its first row
    /// within the piece. Arrays come in the order of `columns`.
    ///
    /// # Errors
    ///
    /// What `visit` errs with; `InvalidInput` for what cannot be decoded.
    pub(crate) fn read(
        &self,
        columns: &[Column],
        batch_rows: usize,
        mut visit: impl FnMut(u64, &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        for extent in &self.extents {
            let spans = self.footer.spans(extent.group, columns);
            let chunks = Chunks::new(self.footer.file().clone(), spans);
            let damaged = |reason: &str| self.damaged(extent, columns, &chunks, reason);
            let mut reader = guarded(|| self.reader(extent, columns, batch_rows, &chunks))
                .map_err(|reason| damaged(&reason))?;
            let mut done = 0;
            loop {
                let next = guarded(|| reader.next().transpose().map_err(|e| e.to_string()));
                let Some(batch) = next.map_err(|reason| damaged(&reason))? else {
                    break;
                };
                let arrays = self.in_order(&batch, columns)?;
                visit(extent.before + done, &arrays)?;
                done += batch.num_rows() as u64;
            }
            if done != extent.rows {
                let reason = format!("{done} of {} rows are there", extent.rows);
                return Err(damaged(&reason));
            }
        }
        Ok(())
    }

    /// Errs if the file has changed since it was opened. Call it once everything is read.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.footer.file().check_unchanged()
    }

    fn reader(
        &self,
        extent: &Extent,
        columns: &[Column],
        batch_rows: usize,
        chunks: &Chunks,
    ) -> Result<ParquetRecordBatchReader, String> {
        let metadata = self.footer.metadata().clone();
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), metadata)
                .with_row_groups(vec![extent.group])
                .with_projection(self.footer.projection(columns))
                .with_batch_size(batch_rows);
        if extent.skip > 0 {
            builder = builder.with_offset(extent.skip as usize);
        }
        if extent.skip + extent.rows < self.footer.rows(extent.group) {
            builder = builder.with_limit(extent.rows as usize);
        }
        builder.build().map_err(|e| e.to_string())
    }

    /// A batch's arrays in the order of `columns`; the library gives them in file order.
    fn in_order(&self, batch: &RecordBatch, columns: &[Column]) -> Result<Vec<ArrayRef>> {
        let mut indices: Vec<_> = columns.iter().map(|column| column.index).collect();
        indices.sort_unstable();
        indices.dedup();
        columns
            .iter()
            .map(|column| {
                let place = indices.binary_search(&column.index).ok();
                let array = place.and_then(|place| batch.columns().get(place));
                array.cloned().ok_or_else(|| {
                    Error::internal(format!("column {:?} was not read", column.name))
                })
            })
            .collect()
    }

    fn damaged(&self, extent: &Extent, columns: &[Column], chunks: &Chunks, reason: &str) -> Error {
        if let Some(failure) = chunks.failure() {
            return failure;
        }
        if let Err(changed) = self.check_unchanged() {
            return changed;
        }
        let names: Vec<_> = columns
            .iter()
            .map(|column| format!("{:?}", column.name))
            .collect();
        // The library's word for a codec that this program is built without.
        let what = if reason.contains("Disabled feature") {
            format!("of a compression that is not read here ({reason}); write it with zstd")
        } else {
            format!("corrupted ({reason}); write the file again")
        };
        Error::invalid_input(format!(
            "{}: row group {}, column {}: {what}",
            self.footer.file().name(),
            extent.group,
            names.join(", "),
        ))
    }
}

/// Runs the decoder; a panic is an error, for the file is not to be trusted.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err("the decoder panicked".to_owned()))
}
