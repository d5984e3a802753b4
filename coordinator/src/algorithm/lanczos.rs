//! Randomized block Lanczos on AᵀA (Musco & Musco 2015), with full reorthogonalization.
//!
//! Each step reads A once for Z = Aᵀ(A X). Blocks are orthogonalized against the whole basis
//! twice, normalizing in between (block Gram–Schmidt with inner Cholesky QR), so Rayleigh–Ritz on
//! the basis is exact to rounding. The first products with the basis are taken in f64: where the basis
//! spans all that there is, what f32 leaves of a remainder would be taken for a new direction. The
//! second ones, of a block that is orthonormal and chosen already, are as good in f32 as its own
//! entries. When the basis has [`MOST_BLOCKS`] blocks it is replaced by its leading Ritz vectors (thick restart,
//! Wu & Simon 2000).

use rankmill_common::job::svd::{Rank, SvdSpec};
use rankmill_common::matrix::{Precision, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Products};
use rankmill_common::operator::normal_multiply::Product;
use rankmill_common::operator::{SmallFactorization, SmallFactors};
use rankmill_common::{Error, Result};

use super::convergence::{Verdict, Watch};
use super::operand::{self, Operand};
use super::svd::RightVectors;
use super::tall::{self, Combination, Made};
use crate::stages::Stages;

/// Blocks after which the basis is compressed.
const MOST_BLOCKS: usize = 9;
/// Widest block where the rank follows from the energy: the basis grows block by block.
const ENERGY_BLOCK: u32 = 64;
/// Stream of the random numbers of the start block.
const START_STREAM: u32 = 0;

/// The Krylov basis and AᵀA projected on it.
struct Basis {
    blocks: Vec<TallMatrix>,
    projected: Option<SmallMatrix>,
}

/// A Rayleigh–Ritz step and what is left of Z outside the basis.
struct Step {
    ritz: SmallFactors,
    remainder: Made,
}

/// Leading right singular vectors.
pub(super) async fn leading(
    stages: &Stages,
    a: &mut Operand<'_>,
    spec: &SvdSpec,
) -> Result<RightVectors> {
    let width = block_width(spec, a);
    let mut basis = Basis {
        blocks: vec![random_block(stages, spec.seed, a.ncols(), width).await?],
        projected: None,
    };
    let mut watch = Watch::new(spec.rank, spec.tol, a.frobenius2);
    let (ritz, verdict) = loop {
        let step = basis.expand(stages, a, spec).await?;
        let verdict = watch.step(&step.ritz.values, &step.ritz.residuals);
        stages.note(format!("change {:.1e}", verdict.change));
        let exhausted = step.ritz.rank == 0;
        if verdict.converged || exhausted || a.reads + 1 >= spec.max_reads {
            let converged = verdict.converged || exhausted;
            break (
                step.ritz,
                Verdict {
                    converged,
                    ..verdict
                },
            );
        }
        basis.restart_if_full(stages, &step.ritz, width).await?;
        basis.push(stages, step).await?;
    };
    let rank = verdict.rank as u32;
    let terms = tall::basis_terms(&basis.blocks, &ritz.matrix(1)?, 1.0);
    let plan = Combination::new(a.ncols(), rank, terms);
    let v = tall::combine(stages, "right vectors", plan).await?.matrix;
    basis.release(stages);
    let next = ritz
        .values
        .get(verdict.rank)
        .map(|value| value.max(0.0).sqrt());
    Ok(RightVectors {
        v,
        next,
        converged: verdict.converged,
    })
}

fn block_width(spec: &SvdSpec, a: &Operand<'_>) -> u32 {
    let wanted = match spec.rank {
        Rank::Fixed { .. } => spec.block_width(),
        Rank::Energy { at_most, .. } => at_most.min(ENERGY_BLOCK).saturating_add(spec.oversampling),
    };
    u64::from(wanted).min(a.ncols()).min(a.nrows()) as u32
}

/// An orthonormal basis of the span of a Gaussian matrix.
pub(super) async fn random_block(
    stages: &Stages,
    seed: u64,
    nrows: u64,
    width: u32,
) -> Result<TallMatrix> {
    let terms = vec![operand::gaussian(
        seed,
        START_STREAM,
        width,
        Coefficients::Identity,
    )];
    let plan = Combination::new(nrows, width, terms).with(Products::Gram);
    let gaussian = tall::combine(stages, "random start", plan).await?;
    tall::orthonormalize(stages, "random start", gaussian, 0.0).await
}

impl Basis {
    /// One read of A, and Rayleigh–Ritz on the basis.
    async fn expand(
        &mut self,
        stages: &Stages,
        a: &mut Operand<'_>,
        spec: &SvdSpec,
    ) -> Result<Step> {
        let newest = self
            .blocks
            .last()
            .ok_or_else(|| Error::internal("a Krylov basis without a block"))?
            .clone();
        let parts = a.normal_multiply(&newest, Product::Discard).await?;
        let plan = Combination::new(a.ncols(), newest.ncols, operand::sum_of(&parts))
            .with(self.products(Precision::Double));
        let z = tall::combine(stages, "project on the basis", plan).await?;
        operand::release(stages, &parts);
        let coefficients = tall::sum(stages, "project on the basis", z.products.clone()).await?;
        let remainder = self
            .subtract(stages, z.matrix, &coefficients, Precision::Double)
            .await?;
        let step = SmallFactorization::RitzStep {
            projected: self.projected.take(),
            coefficients,
            remainder_gram: remainder.products.clone(),
            report: spec.rank.limit() + 1,
        };
        let ritz = tall::factorize(stages, "Ritz values", step).await?;
        self.projected = Some(ritz.matrix(0)?);
        Ok(Step { ritz, remainder })
    }

    /// Appends the orthonormalized remainder of a step.
    async fn push(&mut self, stages: &Stages, step: Step) -> Result<()> {
        let remainder = step.remainder.matrix;
        let (rows, width) = (remainder.nrows, step.ritz.rank);
        let transform = tall::all(step.ritz.matrix(2)?);
        let terms = vec![tall::stored(remainder.clone(), transform)];
        let products = self.products(Precision::Single);
        let plan = Combination::new(rows, width, terms).with(products);
        let scaled = tall::combine(stages, "normalize the block", plan).await?;
        stages.release(remainder.objects());
        let overlap = tall::sum(stages, "reorthogonalize", scaled.products.clone()).await?;
        let clean = self
            .subtract(stages, scaled.matrix, &overlap, Precision::Single)
            .await?;
        let block = tall::orthonormalize(stages, "reorthogonalize", clean, 0.0).await?;
        self.blocks.push(block);
        Ok(())
    }

    /// W − [X₀ X₁ …] C, with its Gram matrix. W is let go.
    async fn subtract(
        &self,
        stages: &Stages,
        w: TallMatrix,
        c: &SmallMatrix,
        arithmetic: Precision,
    ) -> Result<Made> {
        let (nrows, ncols) = (w.nrows, w.ncols);
        let mut terms = vec![tall::stored(w.clone(), Coefficients::Identity)];
        terms.extend(tall::basis_terms(&self.blocks, c, -1.0));
        let plan = Combination {
            arithmetic,
            ..Combination::new(nrows, ncols, terms).with(Products::Gram)
        };
        let made = tall::combine(stages, "orthogonalize", plan).await?;
        stages.release(w.objects());
        Ok(made)
    }

    /// Replaces a full basis by its leading Ritz vectors, on which AᵀA projects to a diagonal.
    async fn restart_if_full(
        &mut self,
        stages: &Stages,
        ritz: &SmallFactors,
        width: u32,
    ) -> Result<()> {
        if self.blocks.len() < MOST_BLOCKS {
            return Ok(());
        }
        let kept = width.min(ritz.values.len() as u32);
        let values = ritz.values.iter().take(kept as usize).copied().collect();
        let nrows = self.blocks.first().map_or(0, |block| block.nrows);
        let terms = tall::basis_terms(&self.blocks, &ritz.matrix(1)?, 1.0);
        let plan = Combination::new(nrows, kept, terms);
        let vectors = tall::combine(stages, "restart", plan).await?.matrix;
        self.release(stages);
        let diagonal = SmallFactorization::Diagonal { values };
        let projected = tall::factorize(stages, "restart", diagonal).await?;
        self.blocks = vec![vectors];
        self.projected = Some(projected.matrix(0)?);
        Ok(())
    }

    /// Lets the blocks go.
    fn release(&self, stages: &Stages) {
        stages.release(self.blocks.iter().flat_map(TallMatrix::objects));
    }

    fn products(&self, precision: Precision) -> Products {
        Products::With {
            basis: self.blocks.clone(),
            precision,
        }
    }
}
