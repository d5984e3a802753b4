//! The matrix A as the iterations see it: blocks, an optional mean, and a count of its reads.

use rankmill_common::job::svd::{Centering, SvdSpec};
use rankmill_common::matrix::{BlockFormat, BlockRef, BlockedMatrix, Precision, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Products, Source, Term};
use rankmill_common::operator::normal_multiply::Product;
use rankmill_common::operator::{ColumnSums, Gram, GramPart, NormalMultiply, NormalProduct};
use rankmill_common::{Error, Result};

use super::tall::{self, Combination};
use crate::stages::Stages;

/// Most tasks of one read of A. Each returns an n×l partial result.
const MOST_TASKS: u64 = 64;
/// Entries per column of A that a task should read for each partial result that it writes: fewer,
/// and the partial results outweigh the matrix.
const ENTRIES_PER_COLUMN: u64 = 100;

/// Share of ‖A‖² below which what centring leaves of it is not known from the difference.
const CANCELLED: f64 = 1e-8;
/// The same, when it is known, below which it is rounding of the means: one entry that is off by its
/// last bit makes more, in 10⁹ rows.
const EQUAL_ROWS: f64 = 1e-24;

/// A, or A − 1μᵀ.
pub(super) struct Operand<'a> {
    stages: &'a Stages,
    matrix: &'a BlockedMatrix,
    mean: Option<TallMatrix>,
    /// Rows times ‖μ‖².
    mean_norm2: f64,
    /// ‖A‖²_F, of the centred matrix where it is centred.
    pub(super) frobenius2: f64,
    /// How often A was read so far.
    pub(super) reads: u32,
}

impl<'a> Operand<'a> {
    /// A as it is, or centred as `spec` says; the latter reads A once for the means, and once more
    /// where these are far larger than what they leave.
    pub(super) async fn open(
        stages: &'a Stages,
        matrix: &'a BlockedMatrix,
        spec: &SvdSpec,
    ) -> Result<Self> {
        let mut operand = Self {
            stages,
            matrix,
            mean: None,
            mean_norm2: 0.0,
            frobenius2: matrix.frobenius2,
            reads: 0,
        };
        match spec.centering {
            Centering::None => {}
            Centering::Columns => operand.center(spec.seed).await?,
        }
        Ok(operand)
    }

    pub(super) fn nrows(&self) -> u64 {
        self.matrix.nrows
    }

    pub(super) fn ncols(&self) -> u64 {
        self.matrix.ncols
    }

    /// Stored entries.
    pub(super) fn entries(&self) -> u64 {
        self.matrix.nnz
    }

    pub(super) fn format(&self) -> BlockFormat {
        self.matrix.format
    }

    /// What the means take from ‖A‖² after products, which round relative to it. Dense blocks are
    /// centred before.
    pub(super) fn cancelled2(&self) -> f64 {
        match self.matrix.format {
            BlockFormat::Dense => 0.0,
            BlockFormat::Sparse => self.mean_norm2,
        }
    }

    async fn center(&mut self, seed: u64) -> Result<()> {
        self.reads += 1;
        let operators = self.groups().into_iter().map(|blocks| ColumnSums {
            format: self.matrix.format,
            blocks,
            ncols: self.matrix.ncols,
        });
        let sums = self.stages.run("column means", operators.collect()).await?;
        let rows = self.matrix.nrows as f64;
        let terms = sums.into_iter().map(|part| Term {
            scale: 1.0 / rows,
            ..tall::stored(part.sums, Coefficients::Identity)
        });
        let mean = Combination {
            nrows: self.matrix.ncols,
            ncols: 1,
            terms: terms.collect(),
            arithmetic: Precision::Double,
            precision: Precision::Double,
            products: Products::Gram,
            weights: None,
        };
        let mean = tall::combine(self.stages, "column means", mean).await?;
        let norm = tall::singular_values(self.stages, "norm of the mean", mean.products).await?;
        self.mean_norm2 = rows * norm.first().copied().unwrap_or(0.0).powi(2);
        self.mean = Some(mean.matrix);
        let all = self.matrix.frobenius2;
        self.frobenius2 = all - self.mean_norm2;
        if self.frobenius2 < CANCELLED * all {
            self.frobenius2 = self.centred_norm2(seed).await?;
        }
        if self.frobenius2 <= EQUAL_ROWS * all {
            return Err(Error::invalid_input(
                "all rows are equal: nothing is left of the matrix once it is centred",
            ));
        }
        Ok(())
    }

    /// ‖A‖²_F entry by entry, by a read of its own: a difference of large norms says nothing of it.
    async fn centred_norm2(&mut self, seed: u64) -> Result<f64> {
        let terms = vec![gaussian(seed, 0, 1, Coefficients::Identity)];
        let any = Combination::new(self.matrix.ncols, 1, terms);
        let any = tall::combine(self.stages, "norm", any).await?.matrix;
        let parts = self.normal_multiply(&any, Product::CertifyLeft).await?;
        let certificates = parts.into_iter().filter_map(|part| part.certificate);
        Ok(certificates.map(|part| part.frobenius2).sum())
    }

    /// The parts of Z = Aᵀ(A X).
    pub(super) async fn normal_multiply(
        &mut self,
        x: &TallMatrix,
        product: Product,
    ) -> Result<Vec<NormalProduct>> {
        self.reads += 1;
        let operators = self.groups().into_iter().map(|blocks| NormalMultiply {
            format: self.matrix.format,
            blocks,
            x: x.clone(),
            mean: self.mean.clone(),
            product,
        });
        let name = match product {
            Product::Discard => format!("read {}: multiply by AᵀA", self.reads),
            Product::Certify => format!("read {}: left vectors and residuals", self.reads),
            Product::CertifyLeft => format!("read {}: left vectors", self.reads),
        };
        self.stages.run(&name, operators.collect()).await
    }

    /// Says that A will be read for `rank` vectors with what certifies them.
    pub(super) fn foresee_last_read(&self, rank: u32) {
        let x = TallMatrix {
            nrows: self.matrix.ncols,
            ncols: rank,
            precision: Precision::Single,
            shards: Vec::new(),
        };
        for blocks in self.groups() {
            self.stages.foresee(NormalMultiply {
                format: self.matrix.format,
                blocks,
                x: x.clone(),
                mean: None,
                product: Product::Certify,
            });
        }
    }

    /// The parts of AᵀA.
    pub(super) async fn gram(&mut self) -> Result<Vec<GramPart>> {
        self.reads += 1;
        let operators = self.groups().into_iter().map(|blocks| Gram {
            format: self.matrix.format,
            blocks,
            ncols: self.matrix.ncols,
            mean: self.mean.clone(),
        });
        let name = format!("read {}: AᵀA", self.reads);
        self.stages.run(&name, operators.collect()).await
    }

    /// Blocks by task: as many tasks as partial results are worth, from the matrix alone.
    fn groups(&self) -> Vec<Vec<BlockRef>> {
        let worth = self.matrix.nnz / (ENTRIES_PER_COLUMN * self.matrix.ncols.max(1));
        let blocks = &self.matrix.blocks;
        // A power of two, so that two, four or eight workers have equal shares.
        let even = worth.max(1).next_power_of_two();
        let tasks = even.min(MOST_TASKS).min(blocks.len().max(1) as u64);
        even_shares(blocks, tasks)
    }
}

/// Cuts blocks into `shares` consecutive runs of about as many entries. Larger ones come first, so
/// that workers that take turns have as much to do as each other.
fn even_shares(blocks: &[BlockRef], shares: u64) -> Vec<Vec<BlockRef>> {
    let mut runs: Vec<Vec<BlockRef>> = Vec::new();
    let mut left: u64 = blocks.iter().map(|block| block.nnz).sum();
    let (mut entries, mut fair) = (0, 0);
    for block in blocks {
        let open = shares - runs.len() as u64;
        if entries >= fair && open > 0 {
            left -= entries;
            fair = left.div_ceil(open);
            entries = 0;
            runs.push(Vec::new());
        }
        entries += block.nnz;
        if let Some(run) = runs.last_mut() {
            run.push(block.clone());
        }
    }
    runs
}

/// Σ of the parts of Z as the terms of a combination.
pub(super) fn sum_of(parts: &[NormalProduct]) -> Vec<Term> {
    parts
        .iter()
        .filter_map(|part| part.z.clone())
        .map(|z| tall::stored(z, Coefficients::Identity))
        .collect()
}

/// Lets the parts of Z go, once their sum is made.
pub(super) fn release(stages: &Stages, parts: &[NormalProduct]) {
    stages.release(
        parts
            .iter()
            .filter_map(|part| part.z.as_ref())
            .flat_map(TallMatrix::objects),
    );
}

/// The random test matrix of a job, regenerated wherever it is needed.
pub(super) fn gaussian(seed: u64, stream: u32, ncols: u32, coefficients: Coefficients) -> Term {
    Term {
        matrix: Source::Gaussian {
            seed,
            stream,
            ncols,
        },
        coefficients,
        scale: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rankmill_common::{Digest, ObjectRef};

    use super::*;

    fn blocks(entries: &[u64]) -> Vec<BlockRef> {
        let block = |(start, &nnz): (u64, &u64)| BlockRef {
            start,
            nrows: 1,
            nnz,
            object: ObjectRef {
                key: format!("block-{start}"),
                size: nnz,
                digest: Digest::from_bytes([0; 32]),
            },
        };
        (0..).zip(entries).map(block).collect()
    }

    #[test]
    fn larger_runs_come_first() {
        let lengths = |count: usize, shares| -> Vec<usize> {
            let runs = even_shares(&blocks(&vec![7; count]), shares);
            runs.iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(10, 4), [3, 3, 2, 2]);
        assert_eq!(lengths(22, 8), [3, 3, 3, 3, 3, 3, 2, 2]);
        assert_eq!(lengths(3, 4), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_block_is_in_one_run(
            entries in prop::collection::vec(0u64..50, 0..40), shares in 1u64..12,
        ) {
            let blocks = blocks(&entries);
            let runs = even_shares(&blocks, shares);
            prop_assert!(runs.len() as u64 <= shares);
            prop_assert!(runs.iter().all(|run| !run.is_empty()));
            prop_assert_eq!(runs.concat(), blocks);
            let fair = entries.iter().sum::<u64>().div_ceil(shares);
            let most = entries.iter().max().copied().unwrap_or(0);
            for run in &runs[..runs.len().saturating_sub(1)] {
                prop_assert!(run.iter().map(|block| block.nnz).sum::<u64>() <= fair + most);
            }
        }
    }
}
