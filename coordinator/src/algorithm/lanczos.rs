//! Randomized block Lanczos on AᵀA (Musco & Musco 2015), with full reorthogonalization.
//!
//! Each step reads A once for Z = Aᵀ(A X), which is orthogonalized twice, normalizing in between
//! (block Gram–Schmidt with inner Cholesky QR), so Rayleigh–Ritz on the basis is exact to rounding.
//! The first time goes over the blocks that Lanczos' recurrence names, the newest and the one before
//! it, and the second over the whole basis: what Z has of older blocks is rounding. Where a direction
//! of what is left is so short that rounding may be all of it, the first time is done again with the
//! whole basis. The first products with the basis are taken in f64:
//! where the basis spans all that there is, what f32 leaves of a remainder would be taken for a new
//! direction. The second ones, of a block that is orthonormal and chosen already, are as good in f32 as
//! its own entries. When the basis has as many columns as [`MOST_BLOCKS`] wide blocks it is replaced by its
//! leading Ritz vectors (thick restart, Wu & Simon 2000).
//!
//! Of the block that the next step would add, all but its own part of T is known when the iteration
//! stops. Where little hangs on that part the vectors are those of the next step, without its read
//! of A ([`SmallFactorization::RitzOutlook`], docs/decisions/0023-the-step-ahead.md).
//!
//! A block may be narrower than the rank. Then more random columns are added where the space is
//! exhausted before it holds enough vectors, and where a value is found so often that it may have
//! more vectors than the space can hold.

use rankmill_common::job::svd::{SvdSpec, defaults};
use rankmill_common::matrix::{Precision, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Products};
use rankmill_common::operator::normal_multiply::Product;
use rankmill_common::operator::{NormalProduct, SmallFactorization, SmallFactors, TakenStep};
use rankmill_common::{Error, Result};

use super::convergence::{Verdict, Watch};
use super::factors::FILL_STREAM;
use super::operand::{self, Operand};
use super::outlook::Outlook;
use super::svd::RightVectors;
use super::tall::{self, Combination, Made};
use crate::stages::Stages;

/// Wide blocks of which the basis may have the columns before it is compressed.
const MOST_BLOCKS: u32 = 9;
/// Blocks that AᵀA times the newest one reaches but for rounding: itself and the one before it.
const NEAR_BLOCKS: usize = 2;
/// Length below which a direction of a remainder is f32 noise of AᵀA X, relative to ‖AᵀA‖.
const NOISE: f64 = 1e-7;
/// The same while older blocks may have a part in the remainder: a direction so long is a tenth noise
/// at most, which one more projection takes away.
const DOUBT: f64 = 1e-6;
/// Length below which what is left of a direction outside the basis is rounding: it was there before.
const INSIDE: f64 = 1e-2;
/// Length above which one projection leaves it orthogonal to the basis (Kahan's and Parlett's
/// criterion): shorter ones are projected again.
const OUTSIDE: f64 = 0.5;

/// The Krylov basis and AᵀA projected on it.
struct Basis {
    blocks: Vec<TallMatrix>,
    projected: Option<SmallMatrix>,
    /// Width of a block.
    width: u32,
    /// Random columns that were added so far, and how often some were.
    random: usize,
    starts: u32,
    /// Whether the recurrence holds, so that a product needs the near blocks alone at first.
    recurs: bool,
    /// Whether AᵀA takes it nowhere but into itself and the last remainder: none was dropped.
    is_whole: bool,
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
    let mut basis = Basis::start(stages, a, spec).await?;
    let mut watch = Watch::new(spec.rank, spec.tol, a.frobenius2)
        .after_cancelling(a.cancelled2())
        .for_blocks_of(basis.width);
    let mut outlook = Outlook::default();
    let (step, ahead, verdict) = loop {
        let step = basis.expand(stages, a, spec).await?;
        let last = a.reads + 1 >= spec.max_reads;
        let verdict = watch.step(&step.ritz.values, &step.ritz.residuals);
        stages.note(format!("change {:.1e}", verdict.change));
        let settled = verdict.converged || step.ritz.rank == 0;
        let lacking = basis.room(a) > 0
            && (!verdict.enough
                || watch.may_miss_copies(&step.ritz.values, verdict.rank, basis.random));
        outlook.turn(basis.foreseeable(&step, spec)?);
        let mut ahead = None;
        let mut ends = settled;
        if !settled && !lacking && (last || verdict.near) {
            ahead = outlook.ahead(stages).await?;
            if let Some(ahead) = &ahead {
                ends = outlook.ends(stages, &watch, &verdict, ahead).await?;
            }
        }
        if ends && !lacking || last {
            let converged = ends && !lacking && verdict.clear;
            let verdict = Verdict {
                converged,
                ..verdict
            };
            break (step, ahead, verdict);
        }
        basis.restart_if_full(stages, &step.ritz, spec).await?;
        let grown = if settled {
            stages.release(step.remainder.matrix.objects());
            basis.is_whole &= step.ritz.rank == 0;
            false
        } else {
            basis.push(stages, step).await?
        };
        if !grown {
            basis.push_random(stages, a, spec.seed).await?;
            watch.forget();
        }
    };
    let next = step.ritz.values.get(verdict.rank);
    let next = next.map(|value| value.max(0.0).sqrt());
    let rank = verdict.rank as u32;
    let v = match ahead {
        Some(ahead) => basis.vectors_ahead(stages, step, &ahead, rank).await?,
        None => {
            stages.release(step.remainder.matrix.objects());
            basis.vectors(stages, &step.ritz, rank).await?
        }
    };
    Ok(RightVectors {
        product: None,
        v,
        next,
        converged: verdict.converged,
    })
}

/// An orthonormal basis of the span of a Gaussian matrix.
pub(super) async fn random_block(
    stages: &Stages,
    seed: u64,
    nrows: u64,
    width: u32,
) -> Result<TallMatrix> {
    let terms = vec![operand::gaussian(seed, 0, width, Coefficients::Identity)];
    let plan = Combination::new(nrows, width, terms).with(Products::Gram);
    let gaussian = tall::combine(stages, "random start", plan).await?;
    tall::orthonormalize(stages, "random start", gaussian, 0.0).await
}

impl Basis {
    async fn start(stages: &Stages, a: &Operand<'_>, spec: &SvdSpec) -> Result<Self> {
        let width = u64::from(spec.krylov_block(a.entries()).width);
        let width = width.min(a.ncols()).min(a.nrows()) as u32;
        Ok(Self {
            blocks: vec![random_block(stages, spec.seed, a.ncols(), width).await?],
            projected: None,
            width,
            random: width as usize,
            starts: 1,
            recurs: true,
            is_whole: true,
        })
    }

    /// How many columns could be added.
    fn room(&self, a: &Operand<'_>) -> u64 {
        a.ncols().saturating_sub(self.columns().into())
    }

    fn columns(&self) -> u32 {
        self.blocks.iter().map(|block| block.ncols).sum()
    }

    /// One read of A, and Rayleigh–Ritz on the basis.
    async fn expand(
        &mut self,
        stages: &Stages,
        a: &mut Operand<'_>,
        spec: &SvdSpec,
    ) -> Result<Step> {
        let newest = self.blocks.last().ok_or_else(empty)?.clone();
        let parts = a.normal_multiply(&newest, Product::Discard).await?;
        let mut step = self.project(stages, &parts, spec).await?;
        if self.recurs && step.ritz.rank < newest.ncols {
            self.recurs = false;
            stages.release(step.remainder.matrix.objects());
            step = self.project(stages, &parts, spec).await?;
        }
        operand::release(stages, &parts);
        self.projected = Some(step.ritz.matrix(0)?);
        Ok(step)
    }

    /// Projects AᵀA X, the sum of `parts`, on the blocks that it reaches.
    async fn project(
        &self,
        stages: &Stages,
        parts: &[NormalProduct],
        spec: &SvdSpec,
    ) -> Result<Step> {
        let (reached, noise) = if self.recurs {
            let older = self.blocks.len().saturating_sub(NEAR_BLOCKS);
            (&self.blocks[older..], DOUBT)
        } else {
            (&self.blocks[..], NOISE)
        };
        let newest = reached.last().ok_or_else(empty)?;
        let plan = Combination::new(newest.nrows, newest.ncols, operand::sum_of(parts))
            .with(products(reached, Precision::Double));
        let z = tall::combine(stages, "project on the basis", plan).await?;
        let remainder = subtract(stages, z.matrix, reached, &z.products, Precision::Double).await?;
        let step = SmallFactorization::RitzStep {
            projected: self.projected.clone(),
            coefficients: z.products,
            remainder_gram: remainder.products.clone(),
            noise,
            room: newest.nrows.saturating_sub(self.columns().into()),
            report: spec.rank.limit() + 1,
        };
        let ritz = tall::factorize(stages, "Ritz values", step).await?;
        Ok(Step { ritz, remainder })
    }

    /// What the step after this one hangs on; none where nothing is left to add, or where something
    /// was dropped.
    fn foreseeable(&self, step: &Step, spec: &SvdSpec) -> Result<Option<TakenStep>> {
        let mut counted = step.ritz.values.iter().take(spec.rank.limit() as usize);
        let (Some(smallest), 1.., true) = (counted.next_back(), step.ritz.rank, self.is_whole)
        else {
            return Ok(None);
        };
        Ok(Some(TakenStep {
            projected: step.ritz.matrix(0)?,
            remainder_gram: step.remainder.products.clone(),
            transform: step.ritz.matrix(2)?,
            smallest: *smallest,
            report: spec.rank.limit() + 1,
        }))
    }

    /// The leading Ritz vectors. The basis is let go.
    async fn vectors(self, stages: &Stages, ritz: &SmallFactors, rank: u32) -> Result<TallMatrix> {
        let nrows = self.blocks.first().map_or(0, |block| block.nrows);
        let terms = tall::basis_terms(&self.blocks, &[ritz.matrix(1)?], 1.0);
        let plan = Combination::new(nrows, rank, terms);
        let made = tall::combine(stages, "right vectors", plan).await?;
        self.release(stages);
        Ok(made.matrix)
    }

    /// The same of the basis and the remainder of its last step, which was projected once only.
    async fn vectors_ahead(
        mut self,
        stages: &Stages,
        step: Step,
        ahead: &SmallFactors,
        rank: u32,
    ) -> Result<TallMatrix> {
        let remainder = step.remainder.matrix;
        let nrows = remainder.nrows;
        self.blocks.push(remainder);
        let terms = tall::basis_terms(&self.blocks, &[ahead.matrix(0)?], 1.0);
        let plan = Combination::new(nrows, rank, terms).with(Products::Gram);
        let made = tall::combine(stages, "right vectors", plan).await?;
        self.release(stages);
        tall::orthonormalize(stages, "right vectors", made, 0.0).await
    }

    /// Appends the orthonormalized remainder of a step. Returns whether there was any.
    async fn push(&mut self, stages: &Stages, step: Step) -> Result<bool> {
        let remainder = step.remainder.matrix;
        let (rows, width) = (remainder.nrows, step.ritz.rank);
        let transform = tall::all(step.ritz.matrix(2)?);
        let terms = vec![tall::stored(remainder.clone(), transform)];
        let products = products(&self.blocks, Precision::Single);
        let plan = Combination::new(rows, width, terms).with(products);
        let scaled = tall::combine(stages, "normalize the block", plan).await?;
        stages.release(remainder.objects());
        self.append(stages, scaled).await
    }

    /// Appends a block of random columns, orthogonal to the basis.
    async fn push_random(&mut self, stages: &Stages, a: &Operand<'_>, seed: u64) -> Result<()> {
        let width = u64::from(self.width).min(self.room(a)) as u32;
        let terms = vec![operand::gaussian(
            seed,
            FILL_STREAM + self.starts,
            width,
            Coefficients::Identity,
        )];
        let all = products(&self.blocks, Precision::Double);
        let plan = Combination::new(a.ncols(), width, terms).with(all);
        let drawn = tall::combine(stages, "random columns", plan).await?;
        let outside = subtract(
            stages,
            drawn.matrix,
            &self.blocks,
            &drawn.products,
            Precision::Double,
        )
        .await?;
        let block = tall::orthonormalize(stages, "random columns", outside, 0.0).await?;
        let terms = vec![tall::stored(block.clone(), Coefficients::Identity)];
        let all = products(&self.blocks, Precision::Single);
        let plan = Combination::new(a.ncols(), block.ncols, terms).with(all);
        let again = tall::combine(stages, "random columns", plan).await?;
        stages.release(block.objects());
        self.starts += 1;
        self.recurs = false;
        let before = self.columns();
        if !self.append(stages, again).await? {
            return Err(Error::internal("random columns lie in the span of a basis"));
        }
        self.random += (self.columns() - before) as usize;
        Ok(())
    }

    /// Appends what an orthonormal block has outside the basis, its products with which it comes
    /// with. Returns whether it has anything there: directions that are rounding, scaled up, lie inside.
    async fn append(&mut self, stages: &Stages, mut block: Made) -> Result<bool> {
        loop {
            let subtracted = subtract(
                stages,
                block.matrix,
                &self.blocks,
                &block.products,
                Precision::Single,
            );
            let clean = subtracted.await?;
            let orthonormalize = SmallFactorization::Orthonormalize {
                gram: clean.products,
                floor: INSIDE,
            };
            let name = "reorthogonalize";
            let factors = tall::factorize(stages, name, orthonormalize).await?;
            let Some(shortest) = factors.rank.checked_sub(1) else {
                stages.release(clean.matrix.objects());
                return Ok(false);
            };
            let shortest = factors.values.get(shortest as usize).copied();
            let made = tall::transform(stages, name, clean.matrix, &factors).await?;
            if shortest.is_some_and(|length| length >= OUTSIDE) {
                self.blocks.push(made);
                return Ok(true);
            }
            let terms = vec![tall::stored(made.clone(), Coefficients::Identity)];
            let all = products(&self.blocks, Precision::Double);
            let plan = Combination::new(made.nrows, made.ncols, terms).with(all);
            block = tall::combine(stages, name, plan).await?;
            stages.release(made.objects());
        }
    }

    /// Replaces a full basis by its leading Ritz vectors, on which AᵀA projects to a diagonal.
    async fn restart_if_full(
        &mut self,
        stages: &Stages,
        ritz: &SmallFactors,
        spec: &SvdSpec,
    ) -> Result<()> {
        let kept = ritz.values.len() as u32;
        let wide = self.width.max(defaults::wide_block(spec.rank.limit()));
        if self.columns() < MOST_BLOCKS * wide {
            return Ok(());
        }
        let values = ritz.values.iter().take(kept as usize).copied().collect();
        let nrows = self.blocks.first().map_or(0, |block| block.nrows);
        let terms = tall::basis_terms(&self.blocks, &[ritz.matrix(1)?], 1.0);
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
}

/// W − [X₀ X₁ …] C, with its Gram matrix; C comes in parts. W is let go.
async fn subtract(
    stages: &Stages,
    w: TallMatrix,
    blocks: &[TallMatrix],
    c: &[SmallMatrix],
    arithmetic: Precision,
) -> Result<Made> {
    let (nrows, ncols) = (w.nrows, w.ncols);
    let mut terms = vec![tall::stored(w.clone(), Coefficients::Identity)];
    terms.extend(tall::basis_terms(blocks, c, -1.0));
    let plan = Combination {
        arithmetic,
        ..Combination::new(nrows, ncols, terms).with(Products::Gram)
    };
    let made = tall::combine(stages, "orthogonalize", plan).await?;
    stages.release(w.objects());
    Ok(made)
}

/// Inner products with `blocks`.
fn products(blocks: &[TallMatrix], precision: Precision) -> Products {
    Products::With {
        basis: blocks.to_vec(),
        precision,
    }
}

fn empty() -> Error {
    Error::internal("a Krylov basis without a block")
}
