//! The columns of a piece, decoded side by side, without the rows that are bad in any of them.

use arrow::array::ArrayRef;
use rankmill_common::input::{SparseLayout, Transform};
use rankmill_common::operator::encode_entries::EncodeEntries;
use rankmill_common::table::IdRange;
use rankmill_common::{Error, Result};

use crate::ids::column::{IdColumn, drop_items};
use crate::ids::distances::Distances;
use crate::ids::id_type;
use crate::storage::input::{Defect, PieceReader, append_f32, nulls};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1 << 16;

/// The columns of a piece.
pub(super) struct Columns {
    pub(super) rows: ReadIds,
    pub(super) cols: ReadIds,
    pub(super) values: Option<Vec<f32>>,
    /// Names of the columns, in this order.
    pub(super) names: Vec<String>,
    /// Row within the piece, column, defect.
    bad: Bad,
    /// Rows that were left out, ascending.
    pub(super) dropped: Vec<u32>,
}

/// A column of ids as it was read.
pub(super) enum ReadIds {
    /// The ids themselves.
    Whole(IdColumn),
    /// Where their range is known and narrow.
    Distances(Distances),
}

pub(super) fn read_columns(reader: &PieceReader, operator: &EncodeEntries) -> Result<Columns> {
    let layout = &operator.layout;
    let ((rows, cols), values) = rayon::join(
        || {
            rayon::join(
                || read_ids(reader, &layout.row, operator.row_range, 0),
                || read_ids(reader, &layout.col, operator.column_range, 1),
            )
        },
        || {
            layout
                .value
                .as_ref()
                .map(|name| read_values(reader, name))
                .transpose()
        },
    );
    let ((rows, mut bad), (cols, bad_cols)) = (rows?, cols?);
    bad.extend(bad_cols);
    let values = values?.map(|(values, bad_values)| {
        bad.extend(bad_values);
        values
    });
    bad.sort_by_key(|&(row, column, _)| (row, column));
    let mut names = vec![layout.row.clone(), layout.col.clone()];
    names.extend(layout.value.clone());
    Ok(Columns {
        rows,
        cols,
        values,
        names,
        bad,
        dropped: Vec::new(),
    })
}

type Bad = Vec<(u32, usize, Defect)>;

fn read_ids(
    reader: &PieceReader,
    name: &str,
    range: Option<IdRange>,
    place: usize,
) -> Result<(ReadIds, Bad)> {
    let column = reader.footer().column(name)?;
    let kind = id_type(&column.data_type)
        .ok_or_else(|| Error::internal(format!("column {name:?} holds no ids")))?;
    let mut ids = match range {
        None => ReadIds::Whole(IdColumn::new(kind)),
        Some(range) => ReadIds::Distances(Distances::new(range, reader.rows() as usize)?),
    };
    let mut bad = Bad::new();
    reader.read(&[column], BATCH_ROWS, |first, arrays| {
        for array in arrays {
            nulls(array, &mut |row, defect| {
                bad.push((first as u32 + row as u32, place, defect));
            });
            ids.push(array)?;
        }
        Ok(())
    })?;
    Ok((ids, bad))
}

impl ReadIds {
    fn push(&mut self, array: &ArrayRef) -> Result<()> {
        match self {
            Self::Whole(ids) => ids.push(array),
            Self::Distances(ids) => ids.push(array),
        }
    }

    fn drop_rows(&mut self, dropped: &[u32]) -> Result<()> {
        match self {
            Self::Whole(ids) => ids.drop_rows(dropped),
            Self::Distances(ids) => {
                ids.drop_rows(dropped);
                Ok(())
            }
        }
    }

    /// The ids, where their range was not known.
    pub(super) fn whole(self) -> Result<IdColumn> {
        match self {
            Self::Whole(ids) => Ok(ids),
            Self::Distances(_) => Err(Error::internal("indices with a range of ids")),
        }
    }
}

fn read_values(reader: &PieceReader, name: &str) -> Result<(Vec<f32>, Bad)> {
    let column = reader.footer().column(name)?;
    let mut values = Vec::with_capacity(reader.rows() as usize);
    let mut bad = Bad::new();
    reader.read(&[column], BATCH_ROWS, |first, arrays| {
        for array in arrays {
            append_f32(array, &mut values, &mut |row, defect| {
                bad.push((first as u32 + row as u32, 2, defect));
            })?;
        }
        Ok(())
    })?;
    Ok((values, bad))
}

impl Columns {
    /// Drops bad rows, or errs at the first that may not be dropped. Returns how many there were.
    pub(super) fn drop_bad_rows(
        &mut self,
        reader: &PieceReader,
        operator: &EncodeEntries,
    ) -> Result<u64> {
        let refused =
            |(_, _, defect): &&(u32, usize, Defect)| !defect.is_skipped(operator.on_bad_row);
        if let Some(&(row, column, defect)) = self.bad.iter().find(refused) {
            let what = defect.advise();
            return Err(reader.error_at(u64::from(row), &self.names[column], &what));
        }
        self.dropped = self.bad.iter().map(|&(row, _, _)| row).collect();
        self.dropped.dedup();
        if !self.dropped.is_empty() {
            self.rows.drop_rows(&self.dropped)?;
            self.cols.drop_rows(&self.dropped)?;
            if let Some(values) = &mut self.values {
                drop_items(values, &self.dropped);
            }
        }
        Ok(self.dropped.len() as u64)
    }

    /// Errs at the first negative value if a transform has no meaning for it.
    pub(super) fn check_signs(&self, reader: &PieceReader, layout: &SparseLayout) -> Result<()> {
        let Some(transform) = refuses_negatives(&layout.transforms) else {
            return Ok(());
        };
        self.refuse_value(reader, |value| value < 0.0, || {
            format!(
                "{} has no meaning for negative values; correct it, or choose another transform",
                transform.name()
            )
        })
    }

    /// Errs at the first weight that is not positive as f32.
    pub(super) fn check_weights(&self, reader: &PieceReader) -> Result<()> {
        self.refuse_value(
            reader,
            |value| value <= 0.0,
            || "weights of edges are positive; correct it, or leave the edge out".to_owned(),
        )
    }

    fn refuse_value(
        &self,
        reader: &PieceReader,
        wrong: impl Fn(f32) -> bool,
        why: impl Fn() -> String,
    ) -> Result<()> {
        let values = self.values.as_deref().unwrap_or_default();
        let Some(place) = values.iter().position(|&value| wrong(value)) else {
            return Ok(());
        };
        let row = original_row(place, &self.dropped);
        let what = format!("is {}: {}", values[place], why());
        Err(reader.error_at(row, &self.names[2], &what))
    }
}

/// The first transform that meets the values' own signs and cannot take negative ones.
fn refuses_negatives(transforms: &[Transform]) -> Option<Transform> {
    transforms
        .iter()
        .take_while(|&&transform| transform != Transform::Binary)
        .find(|transform| transform.needs_non_negative())
        .copied()
}

/// The row within the piece of the entry at `place`, where some rows before it were left out.
pub(super) fn original_row(place: usize, dropped: &[u32]) -> u64 {
    let mut row = place as u64;
    for &gone in dropped {
        if u64::from(gone) > row {
            break;
        }
        row += 1;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_dropped_rows_back_in() {
        assert_eq!(original_row(0, &[]), 0);
        assert_eq!(original_row(0, &[0, 1, 5]), 2);
        assert_eq!(original_row(2, &[0, 1, 5]), 4);
        assert_eq!(original_row(3, &[0, 1, 5]), 6);
    }

    #[test]
    fn binary_in_front_makes_any_sign_fine() {
        use Transform::{Binary, L2Rows, Tfidf};
        assert_eq!(refuses_negatives(&[L2Rows, Tfidf]), Some(Tfidf));
        assert_eq!(refuses_negatives(&[Binary, Tfidf]), None);
    }
}
