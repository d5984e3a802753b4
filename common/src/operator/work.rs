//! What the arithmetic of a task comes to: floating point operations, and bytes that kernels
//! gather from and scatter to tall matrices by index.
//!
//! Pure counts from a task's parameters and its report, so that a profile costs a run nothing and
//! is the same on every machine. Only what grows with the matrix is counted; small factorizations
//! and the ingest of ids are not.

use super::combine::{Coefficients, Products};
use super::normal_multiply::Product;
use super::{
    ColumnResiduals, Combine, Gram, NormalMultiply, Operator, PageRankStep, PowerScores,
    PushScores, Report, Walk,
};
use crate::matrix::{BlockFormat, BlockRef, Precision};

/// Arithmetic and memory traffic of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Additions and multiplications.
    pub flops: u64,
    /// Bytes read or written at places that an index says, cache hits included.
    pub bytes_gathered: u64,
}

/// Bytes of a pushed edge: a residual in f64 is read and written.
const PUSHED_EDGE: u64 = 16;
/// Bytes of a step of a walk: the row's span and a column.
const WALKED_STEP: u64 = 12;

impl Operator {
    /// What the task with this report has computed.
    pub fn work(&self, report: &Report) -> Work {
        match self {
            Self::NormalMultiply(operator) => operator.work(),
            Self::Gram(operator) => operator.work(),
            Self::Combine(operator) => operator.work(),
            Self::ColumnResiduals(operator) => operator.work(),
            Self::PageRankStep(operator) => operator.work(report),
            Self::PowerScores(operator) => operator.work(report),
            Self::PushScores(operator) => operator.work(report),
            Self::PushPart(_) => pushed_part(report),
            Self::Walk(operator) => operator.work(),
            Self::Inspect(_)
            | Self::EncodeEntries(_)
            | Self::CountIds(_)
            | Self::ListIds(_)
            | Self::IndexIds(_)
            | Self::MergeIds(_)
            | Self::OrderVertices(_)
            | Self::PartitionEntries(_)
            | Self::BuildBlock(_)
            | Self::BuildDenseBlock(_)
            | Self::TransformBlock(_)
            | Self::FindMatrix(_)
            | Self::PublishMatrix(_)
            | Self::ColumnSums(_)
            | Self::SmallFactorization(_)
            | Self::WriteFactors(_)
            | Self::WriteSpectrum(_)
            | Self::WriteScores(_)
            | Self::FindSources(_)
            | Self::MergeScores(_)
            | Self::FindIndex(_)
            | Self::ReadIndex(_)
            // How many of the walks come to a part, no plan knows.
            | Self::WalkPart(_)
            | Self::GatherWalks(_) => Work::default(),
        }
    }
}

fn entries(blocks: &[BlockRef]) -> u64 {
    blocks.iter().map(|block| block.nnz).sum()
}

impl NormalMultiply {
    fn work(&self) -> Work {
        let numbers = entries(&self.blocks) * u64::from(self.x.ncols);
        let (products, number) = match self.product {
            Product::Discard => (2, Precision::Single.bytes()),
            Product::Certify => (2, Precision::Double.bytes()),
            Product::CertifyLeft => (1, Precision::Double.bytes()),
        };
        Work {
            flops: 2 * products * numbers,
            bytes_gathered: match self.format {
                BlockFormat::Sparse => products * numbers * number,
                BlockFormat::Dense => 0,
            },
        }
    }
}

impl Gram {
    fn work(&self) -> Work {
        let rows: u64 = self.blocks.iter().map(|block| block.nrows).sum();
        Work {
            flops: match self.format {
                // The upper triangle.
                BlockFormat::Dense => rows * self.ncols * (self.ncols + 1),
                // Depends on how entries fall into rows, which the task does not know.
                BlockFormat::Sparse => 0,
            },
            bytes_gathered: 0,
        }
    }
}

impl Combine {
    fn work(&self) -> Work {
        let out = self.rows.count * u64::from(self.ncols);
        let terms = self.terms.iter().map(|term| match term.coefficients {
            Coefficients::Identity => 2 * out,
            Coefficients::Rows { .. } => 2 * out * u64::from(term.width(self.ncols)),
        });
        let products = match &self.products {
            Products::None | Products::Extremes => 0,
            Products::With { basis, .. } => {
                2 * out * basis.iter().map(|x| u64::from(x.ncols)).sum::<u64>()
            }
            Products::Gram => out * u64::from(self.ncols + 1),
        };
        Work {
            flops: terms.sum::<u64>() + products,
            bytes_gathered: 0,
        }
    }
}

impl ColumnResiduals {
    fn work(&self) -> Work {
        let out = self.rows.count * u64::from(self.factor.ncols);
        Work {
            flops: 2 * out * u64::from(self.product.ncols) + 4 * out,
            bytes_gathered: 0,
        }
    }
}

impl PageRankStep {
    fn work(&self, report: &Report) -> Work {
        let Report::PageRankStepped(stepped) = report else {
            return Work::default();
        };
        let edges = entries(&self.blocks) * u64::from(stepped.steps);
        Work {
            flops: 2 * edges,
            bytes_gathered: edges * Precision::Double.bytes(),
        }
    }
}

impl PowerScores {
    fn work(&self, report: &Report) -> Work {
        let Report::PersonalScores(scores) = report else {
            return Work::default();
        };
        iterated_edges(scores.edges, self.width)
    }
}

impl PushScores {
    fn work(&self, report: &Report) -> Work {
        let Report::PersonalScores(scores) = report else {
            return Work::default();
        };
        match &self.hand_over {
            // All but some probes went over to power iteration.
            Some(power) if scores.pushed == 0 => iterated_edges(scores.edges, power.width),
            Some(_) | None => pushed_edges(scores.edges),
        }
    }
}

/// Every edge moves a number of two bytes of each source of the block.
fn iterated_edges(edges: u64, width: u32) -> Work {
    let numbers = edges * u64::from(width);
    Work {
        flops: 2 * numbers,
        bytes_gathered: 2 * numbers,
    }
}

fn pushed_part(report: &Report) -> Work {
    let Report::PushedPart(part) = report else {
        return Work::default();
    };
    pushed_edges(part.sums.iter().map(|sums| sums.edges).sum())
}

fn pushed_edges(edges: u64) -> Work {
    Work {
        flops: 2 * edges,
        bytes_gathered: PUSHED_EDGE * edges,
    }
}

impl Walk {
    fn work(&self) -> Work {
        Work {
            flops: 0,
            bytes_gathered: WALKED_STEP * self.rows.count * self.visits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{RowRange, TallMatrix};
    use crate::operator::PageRankStepped;
    use crate::operator::combine::{Source, Term};
    use crate::{Digest, ObjectRef};

    fn object() -> ObjectRef {
        ObjectRef {
            key: "x".to_owned(),
            size: 1,
            digest: Digest::of_value(&0),
        }
    }

    fn block(nrows: u64, nnz: u64) -> BlockRef {
        BlockRef {
            start: 0,
            nrows,
            nnz,
            object: object(),
        }
    }

    fn tall(nrows: u64, ncols: u32) -> TallMatrix {
        TallMatrix {
            nrows,
            ncols,
            precision: Precision::Single,
            shards: Vec::new(),
        }
    }

    #[test]
    fn two_products_of_a_sparse_matrix_gather_and_scatter_a_row_per_entry() {
        let operator = NormalMultiply {
            format: BlockFormat::Sparse,
            blocks: vec![block(10, 30), block(5, 20)],
            x: tall(7, 4),
            mean: None,
            product: Product::Discard,
        };
        let work = operator.work();
        assert_eq!(work.flops, 2 * 2 * 50 * 4);
        assert_eq!(work.bytes_gathered, 2 * 50 * 4 * 4);
    }

    #[test]
    fn a_combination_counts_its_terms_and_its_products() {
        let stored = |ncols| Source::Stored {
            matrix: tall(100, ncols),
        };
        let operator = Combine {
            rows: RowRange {
                start: 0,
                count: 100,
            },
            ncols: 3,
            terms: vec![
                Term {
                    matrix: stored(3),
                    coefficients: Coefficients::Identity,
                    scale: 1.0,
                },
                Term {
                    matrix: stored(5),
                    coefficients: Coefficients::Rows {
                        parts: vec![crate::matrix::SmallMatrix {
                            nrows: 5,
                            ncols: 3,
                            object: object(),
                        }],
                        first_row: 0,
                    },
                    scale: -1.0,
                },
            ],
            precision: Precision::Single,
            arithmetic: Precision::Double,
            products: Products::Gram,
            weights: None,
        };
        assert_eq!(operator.work().flops, 2 * 300 + 2 * 300 * 5 + 300 * 4);
    }

    #[test]
    fn steps_count_as_often_as_they_were_taken() {
        let operator = PageRankStep {
            format: BlockFormat::Sparse,
            blocks: vec![block(10, 30)],
            vertices: 10,
            strengths: tall(10, 1),
            scores: None,
            dangling_mass: None,
            damping: 0.85,
            dangling: crate::job::graph::Dangling::Restart,
            steps: 16,
            tol: 1e-6,
        };
        let report = Report::PageRankStepped(PageRankStepped {
            scores: crate::matrix::Shard {
                rows: RowRange {
                    start: 0,
                    count: 10,
                },
                object: object(),
            },
            sums: Vec::new(),
            spread: 0.0,
            steps: 7,
        });
        let work = Operator::PageRankStep(operator).work(&report);
        assert_eq!(work.bytes_gathered, 7 * 30 * 8);
    }
}
