//! Out = Σ Xᵢ Sᵢ on one range of rows, with the inner products that follow it.
//!
//! Summands and bases are read where they lie, tile by tile (`rankmill_kernels::tall::fused`). Out
//! is rounded once; inner products are taken with the rounded Out, which is what the next stage
//! reads.

use rankmill_common::matrix::{Precision, RowRange, Shard, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Combine, Combined, Products, Source, Term};
use rankmill_common::{Error, Result};
use rankmill_kernels::tall::{
    Arithmetic, Entries, Fused, FusedTerm, Inner, RowsView, column_extremes, fused,
};
use rankmill_kernels::{Panel, Small, gaussian_panel, zeroed};

use super::small_matrix;
use super::tall_matrix::Rows;
use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::tall::{self, TallRows};

pub(super) fn run(context: &TaskContext, parameters: &Combine) -> Result<Combined> {
    let nrows = usize::try_from(parameters.rows.count)
        .map_err(|_| Error::internal("a shard of more rows than memory has bytes"))?;
    let ncols = parameters.ncols as usize;
    let inputs = Inputs::open(context, parameters)?;
    let plan = inputs.plan(context, parameters)?;
    context.check_cancelled()?;
    let (rows, sums) = match parameters.precision {
        Precision::Single => {
            let mut panel = Panel::new(nrows, ncols);
            let sums = fused(&plan, panel.as_mut_slice());
            (Rows::Single(panel), sums)
        }
        Precision::Double => {
            let mut entries = zeroed(nrows * ncols);
            let sums = fused(&plan, &mut entries);
            (Rows::Double(entries), sums)
        }
    };
    drop(plan);
    let write = |name: &str, matrix: &Small| small_matrix::write(context, name, matrix);
    let product = sums.product.map(|product| write("product", &product));
    let extremes = match parameters.products {
        Products::Extremes => Some(write("extremes", &extremes(&rows, parameters))),
        Products::None | Products::Gram | Products::With { .. } => None,
    };
    Ok(Combined {
        product: product.transpose()?,
        extremes: extremes.transpose()?,
        rounding: small_matrix::write_row(context, "rounding", &sums.rounding)?,
        shard: write_rows(context, parameters, rows)?,
    })
}

/// What a task reads, open.
struct Inputs {
    terms: Vec<SourceRows>,
    basis: Vec<TallRows>,
    weights: Option<Vec<f64>>,
}

/// Rows of a summand.
enum SourceRows {
    Stored(TallRows),
    Gaussian(Panel),
}

impl SourceRows {
    fn open(context: &TaskContext, source: &Source, rows: RowRange) -> Result<Self> {
        match source {
            Source::Stored { matrix } => Ok(Self::Stored(TallRows::open(context, matrix, rows)?)),
            Source::Gaussian {
                seed,
                stream,
                ncols,
            } => {
                let mut panel = Panel::new(rows.count as usize, *ncols as usize);
                gaussian_panel(*seed, *stream, rows.start, &mut panel);
                Ok(Self::Gaussian(panel))
            }
        }
    }

    fn view(&self) -> RowsView<'_> {
        match self {
            Self::Stored(rows) => rows.view(),
            Self::Gaussian(panel) => {
                let mut view = RowsView::new(panel.ncols());
                view.push(Entries::Single(panel.as_slice()));
                view
            }
        }
    }
}

impl Inputs {
    fn open(context: &TaskContext, parameters: &Combine) -> Result<Self> {
        let rows = parameters.rows;
        let terms = parameters.terms.iter();
        let terms = terms.map(|term| SourceRows::open(context, &term.matrix, rows));
        let basis: &[TallMatrix] = match &parameters.products {
            Products::With { basis, .. } => basis,
            Products::None | Products::Gram | Products::Extremes => &[],
        };
        let weights = parameters.weights.as_ref();
        Ok(Self {
            terms: terms.collect::<Result<_>>()?,
            basis: basis
                .iter()
                .map(|matrix| TallRows::open(context, matrix, rows))
                .collect::<Result<_>>()?,
            weights: weights
                .map(|weights| tall::read_f64(context, weights, rows))
                .transpose()?,
        })
    }

    fn plan<'a>(&'a self, context: &'a TaskContext, parameters: &'a Combine) -> Result<Fused<'a>> {
        let mut coefficients = StoredCoefficients {
            context,
            last: None,
        };
        let terms = self.terms.iter().zip(&parameters.terms);
        let terms = terms.map(|(rows, term)| {
            Ok(FusedTerm {
                x: rows.view(),
                s: coefficients.of(parameters, term)?,
                scale: term.scale,
            })
        });
        Ok(Fused {
            terms: terms.collect::<Result<_>>()?,
            ncols: parameters.ncols as usize,
            arithmetic: arithmetic(parameters.arithmetic),
            inner: match &parameters.products {
                Products::None | Products::Extremes => Inner::None,
                Products::Gram => Inner::Gram,
                Products::With { precision, .. } => {
                    let basis = self.basis.iter().map(TallRows::view).collect();
                    Inner::With(basis, arithmetic(*precision))
                }
            },
            weights: self.weights.as_deref(),
        })
    }
}

fn arithmetic(precision: Precision) -> Arithmetic {
    match precision {
        Precision::Single => Arithmetic::Single,
        Precision::Double => Arithmetic::Double,
    }
}

/// Small matrices as they are read; the terms of a basis share one.
struct StoredCoefficients<'a> {
    context: &'a TaskContext,
    last: Option<(&'a [SmallMatrix], Small)>,
}

impl<'a> StoredCoefficients<'a> {
    /// S of a summand; `None` for the identity.
    fn of(&mut self, parameters: &Combine, term: &'a Term) -> Result<Option<Small>> {
        let width = match &term.matrix {
            Source::Stored { matrix } => matrix.ncols,
            Source::Gaussian { ncols, .. } => *ncols,
        };
        match &term.coefficients {
            Coefficients::Identity if width != parameters.ncols => Err(Error::internal(format!(
                "{width} columns are added to {}",
                parameters.ncols
            ))),
            Coefficients::Identity => Ok(None),
            Coefficients::Rows { parts, first_row } => {
                let rows = *first_row as usize..*first_row as usize + width as usize;
                self.leading(parts, rows, parameters.ncols as usize)
                    .map(Some)
            }
        }
    }

    /// Rows `rows` of the sum of `parts` and its first `ncols` columns.
    fn leading(
        &mut self,
        parts: &'a [SmallMatrix],
        rows: std::ops::Range<usize>,
        ncols: usize,
    ) -> Result<Small> {
        let stored = match self.last.take() {
            Some((last, stored)) if last == parts => stored,
            Some(_) | None => small_matrix::read_sum(self.context, parts)?,
        };
        if rows.end > stored.nrows() || ncols > stored.ncols() {
            return Err(Error::internal(format!(
                "rows {rows:?} and {ncols} columns are wanted of coefficients that are {} x {}",
                stored.nrows(),
                stored.ncols()
            )));
        }
        let leading = stored.submatrix(rows, 0..ncols);
        self.last = Some((parts, stored));
        Ok(leading)
    }
}

fn write_rows(context: &TaskContext, parameters: &Combine, out: Rows) -> Result<Shard> {
    let numbers = match out {
        Rows::Single(panel) => Numbered::Single(panel),
        Rows::Double(entries) => Numbered::Double(entries),
    };
    tall::write(context, "out", parameters.rows, parameters.ncols, numbers)
}

/// Per column the entry of largest magnitude, as f32 holds it, and its row in the whole matrix.
fn extremes(rows: &Rows, parameters: &Combine) -> Small {
    let ncols = parameters.ncols as usize;
    let found = match rows {
        Rows::Single(panel) => column_extremes(panel),
        Rows::Double(entries) => {
            let narrow = entries.iter().map(|&entry| entry as f32).collect();
            column_extremes(&Panel::from_vec(
                entries.len() / ncols.max(1),
                ncols,
                narrow,
            ))
        }
    };
    Small::from_fn(2, ncols, |which, column| {
        let extreme = found[column];
        let magnitude = f64::from(extreme.magnitude);
        match (which, extreme.negative) {
            (0, true) => -magnitude,
            (0, false) => magnitude,
            _ => (parameters.rows.start + extreme.row as u64) as f64,
        }
    })
}
