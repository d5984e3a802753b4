//! AᵀA over some blocks, in f64.
//!
//! Dense blocks subtract the mean from every entry. Sparse ones are multiplied as they are and
//! centred by what the mean adds: (A − 1μᵀ)ᵀ(A − 1μᵀ) = AᵀA − sμᵀ − μsᵀ + m·μμᵀ, s the column
//! sums of the task's m rows.

use rankmill_common::operator::{Gram, GramPart};
use rankmill_common::{Error, Result};
use rankmill_kernels::small::mirror_upper;
use rankmill_kernels::{Centering, Small};
use rayon::prelude::*;

use super::{small_matrix, tall_matrix};
use crate::context::TaskContext;
use crate::storage::block;

pub(super) fn run(context: &TaskContext, parameters: &Gram) -> Result<GramPart> {
    let n = usize::try_from(parameters.ncols)
        .map_err(|_| Error::internal(format!("a Gram matrix of {} columns", parameters.ncols)))?;
    let mean = match &parameters.mean {
        Some(mean) => Some(tall_matrix::read_column(context, mean)?),
        None => None,
    };
    let mut gram = Small::zeros(n, n);
    let mut left = LeftToSubtract {
        sums: vec![0.0; n],
        rows: 0,
    };
    for reference in &parameters.blocks {
        context.check_cancelled()?;
        let open = block::open(context, parameters.format, parameters.ncols, reference)?;
        let view = open.block()?;
        let matrix = view.as_matrix();
        match matrix.gram(mean.as_deref(), gram.as_mut_slice()) {
            Centering::Complete => {}
            Centering::LeftToCaller => {
                matrix.column_sums(&mut left.sums);
                left.rows += matrix.nrows();
            }
        }
    }
    if let Some(mean) = mean {
        left.subtract(&mean, gram.as_mut_slice());
    }
    mirror_upper(gram.as_mut_slice(), n);
    Ok(GramPart {
        gram: small_matrix::write(context, "gram", &gram)?,
    })
}

/// Column sums and number of the rows that were not centred.
struct LeftToSubtract {
    sums: Vec<f64>,
    rows: usize,
}

impl LeftToSubtract {
    fn subtract(&self, mean: &[f64], gram: &mut [f64]) {
        let n = mean.len();
        if self.rows == 0 {
            return;
        }
        gram.par_chunks_exact_mut(n)
            .enumerate()
            .for_each(|(i, row)| {
                // s − m·μ is small where the mean is this task's own: take it first.
                let excess = self.sums[i] - self.rows as f64 * mean[i];
                for (j, entry) in row.iter_mut().enumerate() {
                    *entry -= self.sums[j] * mean[i] + excess * mean[j];
                }
            });
    }
}
