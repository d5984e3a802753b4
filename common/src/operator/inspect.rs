//! `inspect`: lists and pins the input files, checks their columns, reads footers only.

use serde::{Deserialize, Serialize};

use super::TASK_OVERHEAD;
use crate::Digest;
use crate::input::{Ids, InputSpec, Orientation};
use crate::table::{IdRange, IdType};

/// Parameters of `inspect`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspect {
    /// What to look at.
    pub input: InputSpec,
}

/// What the footers say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// Files in the order of their URLs.
    pub files: Vec<PinnedFile>,
    /// Type of the row ids (64-bit integers where rows are numbered).
    pub row_id_type: IdType,
    /// Type of the column ids (64-bit integers or names for dense input).
    pub column_id_type: IdType,
    /// Where row ids lie, where they are integers and every footer says so.
    #[serde(default)]
    pub row_id_range: Option<IdRange>,
    /// Where column ids lie.
    #[serde(default)]
    pub column_id_range: Option<IdRange>,
    /// Length of the vectors of a dense input; absent for triplets.
    pub vector_length: Option<u64>,
}

/// A file as it was when the job was planned. A later difference is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedFile {
    /// Where it lies.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
    /// The store's version tag, where it has one; the time of the last change otherwise.
    pub version: String,
    /// Its row groups.
    pub row_groups: Vec<RowGroup>,
}

/// One row group of a Parquet file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    /// Number of rows.
    pub rows: u64,
    /// Uncompressed bytes of the columns that the job reads.
    pub bytes: u64,
}

/// A run of rows of one input file: what one ingest task reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// The file, without its list of row groups.
    pub url: String,
    /// Pinned size.
    pub size: u64,
    /// Pinned version.
    pub version: String,
    /// Consecutive row groups to read.
    pub row_groups: Vec<u32>,
    /// Rows to leave out at the front of the first row group.
    pub skip: u64,
    /// Rows to read.
    pub rows: u64,
    /// Number of the first row within the whole input.
    pub first_row: u64,
    /// Uncompressed bytes of the columns that the job reads.
    pub bytes: u64,
}

impl Inspect {
    pub(super) fn memory(&self) -> u64 {
        TASK_OVERHEAD
    }
}

impl Inspection {
    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.row_groups().map(|group| group.rows).sum()
    }

    /// Uncompressed bytes of the columns that the job reads.
    pub fn bytes(&self) -> u64 {
        self.row_groups().map(|group| group.bytes).sum()
    }

    /// Where row and column ids lie, if they are to be coded as distances from the lowest.
    pub fn narrow_id_ranges(&self, ids: &Ids) -> [Option<IdRange>; 2] {
        match ids {
            Ids::Dense { .. } => [None, None],
            Ids::Dictionary => {
                let rows = self.rows();
                [self.row_id_range, self.column_id_range]
                    .map(|range| range.filter(|range| range.is_narrow(rows)))
            }
        }
    }

    fn row_groups(&self) -> impl Iterator<Item = &RowGroup> {
        self.files.iter().flat_map(|file| &file.row_groups)
    }

    /// Identifies the matrix that `input` makes of these files.
    pub fn matrix_digest(&self, input: &InputSpec) -> Digest {
        /// Raised whenever ingest would make other bytes of the same input.
        const FORMAT: u32 = 4;
        let files: Vec<_> = self
            .files
            .iter()
            .map(|file| (&file.url, file.size, &file.version))
            .collect();
        Digest::of_value(&(FORMAT, files, &input.layout, input.on_bad_row))
    }

    /// Identifies the matrix that a graph's edges make in this orientation.
    pub fn graph_digest(&self, input: &InputSpec, orientation: Orientation) -> Digest {
        /// Raised whenever ingest would make other bytes of the same edges.
        const FORMAT: u32 = 1;
        Digest::of_value(&(FORMAT, self.matrix_digest(input), orientation))
    }

    /// Cuts the input into pieces of about `target` rows, whatever the cluster looks like.
    pub fn pieces(&self, target: u64) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut first_row = 0;
        for file in &self.files {
            let mut open: Option<Piece> = None;
            for (index, group) in file.row_groups.iter().enumerate() {
                let fits = open
                    .as_ref()
                    .is_some_and(|piece| piece.rows + group.rows <= target);
                if !fits {
                    pieces.extend(open.take());
                }
                if group.rows > target {
                    pieces.extend(split_group(file, index as u32, *group, first_row, target));
                } else if group.rows > 0 {
                    let piece = open.get_or_insert_with(|| empty_piece(file, first_row));
                    piece.row_groups.push(index as u32);
                    piece.rows += group.rows;
                    piece.bytes += group.bytes;
                }
                first_row += group.rows;
            }
            pieces.extend(open);
        }
        pieces
    }
}

fn empty_piece(file: &PinnedFile, first_row: u64) -> Piece {
    Piece {
        url: file.url.clone(),
        size: file.size,
        version: file.version.clone(),
        row_groups: Vec::new(),
        skip: 0,
        rows: 0,
        first_row,
        bytes: 0,
    }
}

fn split_group(
    file: &PinnedFile,
    index: u32,
    group: RowGroup,
    first_row: u64,
    target: u64,
) -> impl Iterator<Item = Piece> {
    crate::matrix::RowRange::cut(group.rows, target)
        .into_iter()
        .map(move |range| Piece {
            row_groups: vec![index],
            skip: range.start,
            rows: range.count,
            bytes: group.bytes * range.count / group.rows,
            ..empty_piece(file, first_row + range.start)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_hold_every_row_once_and_in_order(
            groups in prop::collection::vec(prop::collection::vec(0u64..50, 0..6), 0..5),
            target in 1u64..40,
        ) {
            let files = groups.iter().enumerate().map(|(i, groups)| PinnedFile {
                url: format!("file:///{i}"),
                size: 1,
                version: String::new(),
                row_groups: groups.iter().map(|&rows| RowGroup { rows, bytes: rows * 8 }).collect(),
            }).collect();
            let inspection = Inspection {
                files,
                row_id_type: IdType::Int64,
                column_id_type: IdType::Int64,
                row_id_range: None,
                column_id_range: None,
                vector_length: None,
            };
            let mut next = 0;
            for piece in inspection.pieces(target) {
                prop_assert_eq!(piece.first_row, next);
                prop_assert!(piece.rows > 0 && piece.rows <= target);
                next += piece.rows;
            }
            prop_assert_eq!(next, inspection.rows());
        }
    }
}
