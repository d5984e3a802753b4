//! Out = Σ Xᵢ Sᵢ on one range of rows, with the inner products that follow it.
//!
//! One summand is in memory at a time. Out is accumulated in f64 over the summands in order and
//! rounded once; inner products are taken with the rounded Out, which is what the next stage reads.

use rankmill_common::matrix::{Precision, RowRange, Shard, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Combine, Combined, Products, Source, Term};
use rankmill_common::{Error, Result};
use rankmill_kernels::small::mirror_upper;
use rankmill_kernels::tall::{
    Entries, add_product, add_scaled, column_extremes, cross_entries, gram, round_weighted,
};
use rankmill_kernels::{Panel, Small, gaussian_panel};

use super::small_matrix;
use super::tall_matrix::Rows;
use crate::context::TaskContext;
use crate::storage::tall;

pub(super) fn run(context: &TaskContext, parameters: &Combine) -> Result<Combined> {
    let nrows = usize::try_from(parameters.rows.count)
        .map_err(|_| Error::internal("a shard of more rows than memory has bytes"))?;
    let mut exact = vec![0.0; nrows * parameters.ncols as usize];
    for term in &parameters.terms {
        context.check_cancelled()?;
        add_term(context, parameters, term, &mut exact)?;
    }
    let out = Out::round(context, parameters, exact)?;
    let (product, extremes) = products(context, parameters, &out)?;
    Ok(Combined {
        shard: out.write(context, parameters)?,
        product,
        extremes,
        rounding: small_matrix::write_row(context, "rounding", &out.rounding)?,
    })
}

/// exact += scale · X · S on the task's rows.
fn add_term(
    context: &TaskContext,
    parameters: &Combine,
    term: &Term,
    exact: &mut [f64],
) -> Result<()> {
    let x = source_rows(context, &term.matrix, parameters.rows)?;
    let width = source_width(&term.matrix);
    match &term.coefficients {
        Coefficients::Identity => {
            if width != parameters.ncols {
                return Err(Error::internal(format!(
                    "{width} columns are added to {}",
                    parameters.ncols
                )));
            }
            add_scaled(exact, x.entries(), term.scale);
        }
        Coefficients::Rows { matrix, first_row } => {
            let rows = *first_row as usize..*first_row as usize + width as usize;
            let s = leading(context, matrix, rows, parameters.ncols as usize)?;
            add_product(exact, x.entries(), &s.scale(term.scale));
        }
    }
    Ok(())
}

fn source_width(source: &Source) -> u32 {
    match source {
        Source::Stored { matrix } => matrix.ncols,
        Source::Gaussian { ncols, .. } => *ncols,
    }
}

fn source_rows(context: &TaskContext, source: &Source, rows: RowRange) -> Result<Rows> {
    match source {
        Source::Stored { matrix } => Rows::read(context, matrix, rows),
        Source::Gaussian {
            seed,
            stream,
            ncols,
        } => {
            let mut panel = Panel::new(rows.count as usize, *ncols as usize);
            gaussian_panel(*seed, *stream, rows.start, &mut panel);
            Ok(Rows::Single(panel))
        }
    }
}

/// Rows `rows` of a stored matrix and its first `ncols` columns.
fn leading(
    context: &TaskContext,
    matrix: &SmallMatrix,
    rows: std::ops::Range<usize>,
    ncols: usize,
) -> Result<Small> {
    let stored = small_matrix::read(context, matrix)?;
    if rows.end > stored.nrows() || ncols > stored.ncols() {
        return Err(Error::internal(format!(
            "rows {rows:?} and {ncols} columns are wanted of object {}, which is {} x {}",
            matrix.object.key,
            stored.nrows(),
            stored.ncols()
        )));
    }
    Ok(stored.submatrix(rows, 0..ncols))
}

/// Out as it is stored, and what rounding it lost.
struct Out {
    rows: Rows,
    rounding: Vec<f64>,
}

impl Out {
    fn round(context: &TaskContext, parameters: &Combine, exact: Vec<f64>) -> Result<Self> {
        let ncols = parameters.ncols as usize;
        match parameters.precision {
            Precision::Double => Ok(Self {
                rows: Rows::Double(exact),
                rounding: vec![0.0; ncols],
            }),
            Precision::Single => {
                let weights = match &parameters.weights {
                    Some(weights) => Some(tall::read_f64(context, weights, parameters.rows)?),
                    None => None,
                };
                let mut panel = Panel::new(parameters.rows.count as usize, ncols);
                let rounding =
                    round_weighted(&exact, ncols, weights.as_deref(), panel.as_mut_slice());
                Ok(Self {
                    rows: Rows::Single(panel),
                    rounding,
                })
            }
        }
    }

    fn write(&self, context: &TaskContext, parameters: &Combine) -> Result<Shard> {
        let (rows, ncols) = (parameters.rows, parameters.ncols);
        match &self.rows {
            Rows::Single(panel) => tall::write_f32(context, "out", rows, ncols, panel.as_slice()),
            Rows::Double(entries) => tall::write_f64(context, "out", rows, ncols, entries),
        }
    }
}

/// The product and the extremes that were asked for.
fn products(
    context: &TaskContext,
    parameters: &Combine,
    out: &Out,
) -> Result<(Option<SmallMatrix>, Option<SmallMatrix>)> {
    let product = match &parameters.products {
        Products::None => return Ok((None, None)),
        Products::With { basis } => stacked(context, parameters, basis, out.rows.entries())?,
        Products::Gram => own_gram(&out.rows, parameters.ncols as usize),
        Products::Extremes => {
            let extremes = extremes(&out.rows, parameters);
            return Ok((
                None,
                Some(small_matrix::write(context, "extremes", &extremes)?),
            ));
        }
    };
    Ok((
        Some(small_matrix::write(context, "product", &product)?),
        None,
    ))
}

/// [X₀ X₁ …]ᵀ Out, one Xᵢ in memory at a time.
fn stacked(
    context: &TaskContext,
    parameters: &Combine,
    basis: &[TallMatrix],
    out: Entries<'_>,
) -> Result<Small> {
    let ncols = parameters.ncols as usize;
    let mut product = Small::zeros(0, ncols);
    for matrix in basis {
        context.check_cancelled()?;
        let x = Rows::read(context, matrix, parameters.rows)?;
        let part = cross_entries(x.entries(), matrix.ncols as usize, out, ncols);
        product = product.vstack(&part);
    }
    Ok(product)
}

fn own_gram(rows: &Rows, ncols: usize) -> Small {
    match rows {
        Rows::Single(panel) => gram(panel),
        Rows::Double(_) => {
            let mut product = cross_entries(rows.entries(), ncols, rows.entries(), ncols);
            mirror_upper(product.as_mut_slice(), ncols);
            product
        }
    }
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
