//! What happens to one row: duplicates are merged, transforms applied, zeros dropped.

use rankmill_common::input::{Duplicates, Transform};

use super::Stripe;

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RowError {
    /// Row of the matrix.
    pub(crate) row: u32,
    /// Column of the matrix.
    pub(crate) col: u32,
    pub(crate) flaw: Flaw,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Flaw {
    /// Two entries at one place, where that is refused.
    #[error("comes several times; choose how to merge: --duplicates sum, max or last")]
    Duplicate,
    /// A value that a transform has no meaning for.
    #[error(
        "its value is {value}, and {transform} has no meaning for negative values; correct it, or \
         choose another transform"
    )]
    Negative { value: f64, transform: &'static str },
    /// A result that is no finite f32.
    #[error("its value becomes {value:e}, which 32-bit floats cannot hold; scale the values down")]
    TooLarge { value: f64 },
}

/// A transform with all that it needs to know of the other rows.
#[derive(Clone, Copy)]
pub(crate) enum RowTransform<'a> {
    Local(Transform),
    /// x · factor of the column.
    ScaleColumns {
        factors: &'a [f64],
        name: &'static str,
    },
    /// x · factor of the column / √(row sum).
    Degree {
        factors: &'a [f64],
    },
    Bm25 {
        k1: f64,
        b: f64,
        mean_length: f64,
        weights: &'a [f64],
    },
}

impl RowTransform<'_> {
    fn refuses_negatives(&self) -> Option<&'static str> {
        match self {
            Self::Local(transform) => transform.needs_non_negative().then(|| transform.name()),
            Self::ScaleColumns { name, .. } => (*name == Transform::Tfidf.name()).then_some(*name),
            Self::Degree { .. } => Some(Transform::Degree.name()),
            Self::Bm25 { .. } => Some(Transform::BM25.name()),
        }
    }

    /// Changes the values of a row whose columns are `cols`.
    fn apply(&self, cols: &[u32], values: &mut [f64]) {
        match *self {
            Self::Local(transform) => local(transform, values),
            Self::ScaleColumns { factors, .. } => {
                for (value, &col) in values.iter_mut().zip(cols) {
                    *value *= factors[col as usize];
                }
            }
            Self::Degree { factors } => {
                let degree = sum(values).sqrt();
                for (value, &col) in values.iter_mut().zip(cols) {
                    *value *= factors[col as usize] / degree;
                }
            }
            Self::Bm25 {
                k1,
                b,
                mean_length,
                weights,
            } => {
                let norm = k1 * (1.0 - b + b * sum(values) / mean_length);
                for (value, &col) in values.iter_mut().zip(cols) {
                    *value = *value * (k1 + 1.0) / (norm + *value) * weights[col as usize];
                }
            }
        }
    }
}

fn local(transform: Transform, values: &mut [f64]) {
    match transform {
        Transform::Binary => values.fill(1.0),
        Transform::Log1p => values
            .iter_mut()
            .for_each(|value| *value = libm::log1p(*value)),
        Transform::L1Rows => divide(values, values.iter().map(|value| value.abs()).sum()),
        Transform::L2Rows => {
            divide(
                values,
                values.iter().map(|value| value * value).sum::<f64>().sqrt(),
            );
        }
        // They know all columns and come as other variants of `RowTransform`.
        Transform::Tfidf
        | Transform::Bm25 { .. }
        | Transform::L1Cols
        | Transform::L2Cols
        | Transform::Degree => {}
    }
}

fn divide(values: &mut [f64], norm: f64) {
    if norm > 0.0 {
        values.iter_mut().for_each(|value| *value /= norm);
    }
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

/// Appends rows to a stripe.
pub(crate) struct RowSink<'a> {
    transforms: &'a [RowTransform<'a>],
    /// Row of the matrix that comes next.
    row: u64,
    starts: Vec<u32>,
    cols: Vec<u32>,
    values: Vec<f32>,
    /// The row at hand.
    row_cols: Vec<u32>,
    row_values: Vec<f64>,
}

impl<'a> RowSink<'a> {
    /// A stripe whose first row is row `first_row` of the matrix.
    pub(crate) fn new(
        first_row: u64,
        nrows: usize,
        entries: usize,
        transforms: &'a [RowTransform<'a>],
    ) -> Self {
        let mut starts = Vec::with_capacity(nrows + 1);
        starts.push(0);
        Self {
            transforms,
            row: first_row,
            starts,
            cols: Vec::with_capacity(entries),
            values: Vec::with_capacity(entries),
            row_cols: Vec::new(),
            row_values: Vec::new(),
        }
    }

    /// Appends a row whose entries come in ascending order of columns, those of one column in
    /// file order.
    pub(crate) fn push(
        &mut self,
        entries: impl Iterator<Item = (u32, f32)>,
        duplicates: Duplicates,
    ) -> Result<(), RowError> {
        self.row_cols.clear();
        self.row_values.clear();
        for (col, value) in entries {
            let value = f64::from(value);
            match self
                .row_values
                .last_mut()
                .filter(|_| self.row_cols.last() == Some(&col))
            {
                None => {
                    self.row_cols.push(col);
                    self.row_values.push(value);
                }
                Some(merged) => match duplicates {
                    Duplicates::Sum => *merged += value,
                    Duplicates::Max => *merged = merged.max(value),
                    Duplicates::Last => *merged = value,
                    Duplicates::Error => return Err(self.error(col, Flaw::Duplicate)),
                },
            }
        }
        self.drop_zeros();
        self.transform()?;
        self.store()
    }

    /// As [`Self::push`], where no transform looks at the row as a whole.
    pub(crate) fn push_as_it_is(
        &mut self,
        mut entries: impl Iterator<Item = (u32, f32)>,
        duplicates: Duplicates,
    ) -> Result<(), RowError> {
        if let Some((mut col, value)) = entries.next() {
            let mut merged = f64::from(value);
            for (next, value) in entries {
                let value = f64::from(value);
                if next == col {
                    merged = match duplicates {
                        Duplicates::Sum => merged + value,
                        Duplicates::Max => merged.max(value),
                        Duplicates::Last => value,
                        Duplicates::Error => return Err(self.error(col, Flaw::Duplicate)),
                    };
                } else {
                    self.store_one(col, merged)?;
                    (col, merged) = (next, value);
                }
            }
            self.store_one(col, merged)?;
        }
        self.end_row();
        Ok(())
    }

    /// A stored zero is no entry: it has no part in counts and none in `binary`.
    fn drop_zeros(&mut self) {
        if self.row_values.contains(&0.0) {
            let values = &self.row_values;
            let mut place = 0;
            self.row_cols.retain(|_| {
                place += 1;
                values[place - 1] != 0.0
            });
            self.row_values.retain(|&value| value != 0.0);
        }
    }

    fn transform(&mut self) -> Result<(), RowError> {
        for transform in self.transforms {
            let negative = || self.row_values.iter().position(|&value| value < 0.0);
            if let Some(transform) = transform.refuses_negatives()
                && let Some(place) = negative()
            {
                let value = self.row_values[place];
                let flaw = Flaw::Negative { value, transform };
                return Err(self.error(self.row_cols[place], flaw));
            }
            transform.apply(&self.row_cols, &mut self.row_values);
        }
        Ok(())
    }

    fn store(&mut self) -> Result<(), RowError> {
        for place in 0..self.row_cols.len() {
            self.store_one(self.row_cols[place], self.row_values[place])?;
        }
        self.end_row();
        Ok(())
    }

    fn store_one(&mut self, col: u32, value: f64) -> Result<(), RowError> {
        let narrow = value as f32;
        if !narrow.is_finite() {
            return Err(self.error(col, Flaw::TooLarge { value }));
        }
        // What rounds to zero is zero.
        if narrow != 0.0 {
            self.cols.push(col);
            self.values.push(narrow);
        }
        Ok(())
    }

    fn error(&self, col: u32, flaw: Flaw) -> RowError {
        // Matrices have fewer rows than 2³².
        let row = self.row as u32;
        RowError { row, col, flaw }
    }

    fn end_row(&mut self) {
        self.starts.push(self.cols.len() as u32);
        self.row += 1;
    }

    /// The stripe.
    pub(crate) fn finish(self) -> Stripe {
        Stripe {
            starts: self.starts,
            cols: self.cols,
            values: Some(self.values),
        }
    }
}
