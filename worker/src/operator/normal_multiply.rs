//! Z = Aᵀ(A X) over some blocks, from one read of each.
//!
//! Blocks are taken in order and add to one Z, so the answer depends on which blocks make a task
//! and on nothing else. With a mean μ the product is that of A − 1μᵀ: kernels multiply by
//! A − 1μᵀ on the right side, and what a block leaves to subtract on the left, μ(1ᵀY), is
//! subtracted once for all blocks.

use rankmill_common::Result;
use rankmill_common::matrix::{BlockRef, RowRange, Shard, TallMatrix};
use rankmill_common::operator::normal_multiply::{Certificate, Product};
use rankmill_common::operator::{NormalMultiply, NormalProduct};
use rankmill_kernels::{MatrixBlock, Mean, Panel, Scratch, Small, zeroed};
use rayon::prelude::*;

use super::{small_matrix, tall_matrix};
use crate::context::TaskContext;
use crate::storage::matrix_file::Numbered;
use crate::storage::{block, tall};

pub(super) fn run(context: &TaskContext, parameters: &NormalMultiply) -> Result<NormalProduct> {
    let x = tall::share_panel(context, &parameters.x, tall_matrix::all_rows(&parameters.x))?;
    let mean = match &parameters.mean {
        Some(mean) => Some(OwnedMean::read(context, mean, &x)?),
        None => None,
    };
    match parameters.product {
        Product::Discard => discard(context, parameters, &x, mean.as_ref()),
        Product::Certify | Product::CertifyLeft => certify(context, parameters, &x, mean.as_ref()),
    }
}

/// μ and μᵀX.
struct OwnedMean {
    columns: Vec<f64>,
    product: Vec<f64>,
}

impl OwnedMean {
    fn read(context: &TaskContext, mean: &TallMatrix, x: &Panel) -> Result<Self> {
        let columns = tall_matrix::read_column(context, mean)?;
        let product = Mean::product_with(&columns, x);
        Ok(Self { columns, product })
    }

    fn view(&self) -> Mean<'_> {
        Mean {
            columns: &self.columns,
            product: &self.product,
        }
    }
}

/// Calls `visit` with each block of the task, in order.
fn for_each_block(
    context: &TaskContext,
    parameters: &NormalMultiply,
    mut visit: impl FnMut(&BlockRef, &dyn MatrixBlock) -> Result<()>,
) -> Result<()> {
    for reference in &parameters.blocks {
        context.check_cancelled()?;
        let open = block::open(context, parameters.format, parameters.x.nrows, reference)?;
        visit(reference, open.block()?.as_matrix())?;
    }
    Ok(())
}

fn discard(
    context: &TaskContext,
    parameters: &NormalMultiply,
    x: &Panel,
    mean: Option<&OwnedMean>,
) -> Result<NormalProduct> {
    let view = mean.map(OwnedMean::view);
    let mut z = Panel::new(x.nrows(), x.ncols());
    let mut left = LeftToSubtract::new(x.ncols());
    let mut scratch = Scratch::new();
    for_each_block(context, parameters, |_, block| {
        left.add(block.normal_multiply(x, view.as_ref(), &mut z, &mut scratch));
        Ok(())
    })?;
    drop(scratch);
    if let Some(mean) = mean {
        left.subtract(&mean.columns, z.as_mut_slice(), |entry, correction| {
            *entry = (f64::from(*entry) - correction) as f32;
        });
    }
    Ok(NormalProduct {
        z: Some(tall_matrix::write_panel(context, "z", z)?),
        certificate: None,
    })
}

/// 1ᵀY over the blocks that leave μ(1ᵀY) to the caller.
struct LeftToSubtract {
    sums: Vec<f64>,
    any: bool,
}

impl LeftToSubtract {
    fn new(width: usize) -> Self {
        Self {
            sums: vec![0.0; width],
            any: false,
        }
    }

    fn add(&mut self, sums: Option<Vec<f64>>) {
        if let Some(sums) = sums {
            self.any = true;
            add_to(&mut self.sums, &sums);
        }
    }

    /// Subtracts μ(1ᵀY) from `z` by `subtract(entry, correction)`.
    fn subtract<T: Send>(&self, mean: &[f64], z: &mut [T], subtract: impl Fn(&mut T, f64) + Sync) {
        let width = self.sums.len();
        if !self.any || width == 0 {
            return;
        }
        let rows = z.par_chunks_exact_mut(width).zip(mean);
        rows.with_min_len(1024).for_each(|(row, mean)| {
            for (entry, sum) in row.iter_mut().zip(&self.sums) {
                subtract(entry, mean * sum);
            }
        });
    }
}

fn certify(
    context: &TaskContext,
    parameters: &NormalMultiply,
    x: &Panel,
    mean: Option<&OwnedMean>,
) -> Result<NormalProduct> {
    let mut sums = Sums::new(x.nrows(), x.ncols(), parameters.product);
    let (mut y_shards, mut norm_shards) = (Vec::new(), Vec::new());
    for_each_block(context, parameters, |reference, block| {
        let (y, row_norms2) = sums.add_block(block, x, mean);
        let shards = write_rows(context, reference, y, row_norms2)?;
        y_shards.push(shards.0);
        norm_shards.push(shards.1);
        Ok(())
    })?;
    sums.scratch = Scratch::new();
    let z = match sums.z.take() {
        Some(mut z) => {
            if let Some(mean) = mean {
                let left = |entry: &mut f64, correction| *entry -= correction;
                sums.left.subtract(&mean.columns, &mut z, left);
            }
            Some(tall_matrix::write_f64(context, "z", x.ncols(), z)?)
        }
        None => None,
    };
    Ok(NormalProduct {
        z,
        certificate: Some(Certificate {
            y: y_shards,
            gram: small_matrix::write(context, "gram", &sums.gram)?,
            rounding: small_matrix::write_row(context, "rounding", &sums.rounding)?,
            row_norms2: norm_shards,
            frobenius2: sums.column_norms2.iter().sum(),
            column_norms2: tall_matrix::write_f64(context, "column-norms2", 1, sums.column_norms2)?,
        }),
    })
}

/// What a certifying product adds up over its blocks.
struct Sums {
    /// Where it is wanted.
    z: Option<Vec<f64>>,
    gram: Small,
    rounding: Vec<f64>,
    left: LeftToSubtract,
    column_norms2: Vec<f64>,
    scratch: Scratch,
}

impl Sums {
    fn new(ncols: usize, width: usize, product: Product) -> Self {
        let wanted = product != Product::CertifyLeft;
        Self {
            z: wanted.then(|| zeroed(ncols * width)),
            gram: Small::zeros(width, width),
            rounding: vec![0.0; width],
            left: LeftToSubtract::new(width),
            column_norms2: vec![0.0; ncols],
            scratch: Scratch::new(),
        }
    }

    /// Adds a block; returns its rounded Y, and the squared norms of its rows.
    fn add_block(
        &mut self,
        block: &dyn MatrixBlock,
        x: &Panel,
        mean: Option<&OwnedMean>,
    ) -> (Panel, Vec<f64>) {
        let mut y = Panel::new(block.nrows(), x.ncols());
        let view = mean.map(OwnedMean::view);
        let certified = block.certified_normal_multiply(
            x,
            view.as_ref(),
            self.z.as_deref_mut(),
            &mut y,
            &mut self.scratch,
        );
        add_to(self.gram.as_mut_slice(), certified.gram.as_slice());
        add_to(&mut self.rounding, &certified.rounding_error2);
        self.left.add(certified.column_sums);
        add_to(&mut self.column_norms2, &certified.column_norms2);
        (y, certified.row_norms2)
    }
}

fn write_rows(
    context: &TaskContext,
    reference: &BlockRef,
    y: Panel,
    norms: Vec<f64>,
) -> Result<(Shard, Shard)> {
    let rows = RowRange {
        start: reference.start,
        count: reference.nrows,
    };
    let y_name = format!("y-{}", rows.start);
    let norms_name = format!("row-norms2-{}", rows.start);
    Ok((
        tall::write(
            context,
            &y_name,
            rows,
            y.ncols() as u32,
            Numbered::Single(y),
        )?,
        tall::write(context, &norms_name, rows, 1, Numbered::Double(norms))?,
    ))
}

fn add_to(sum: &mut [f64], part: &[f64]) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum += part;
    }
}
