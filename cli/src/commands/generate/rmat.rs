//! R-MAT graphs as Graph500 makes them (Chakrabarti et al., SDM 2004).

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use rankmill_common::{Error, Result};
use rankmill_kernels::Philox;

use super::permutation::{Permutation, key};
use super::table::{MOST_ROWS, Table};

/// Upper ends of the quadrants A = .57, B = .19, C = .19 (D = .05) in units of 2⁻³².
const A: u32 = 2_448_131_359;
const B: u32 = A + 816_043_786;
const C: u32 = B + 816_043_786;
const MOST_SCALE: u32 = 40;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct RmatArgs {
    /// log2 of the number of vertices
    #[arg(long, value_name = "S")]
    scale: u32,
    /// Edges per vertex
    #[arg(long, value_name = "N", default_value_t = 16)]
    edge_factor: u64,
}

impl RmatArgs {
    pub(super) fn table(self, seed: u64) -> Result<Rmat> {
        if self.scale == 0 || self.scale > MOST_SCALE {
            let message = format!("--scale must lie between 1 and {MOST_SCALE}");
            return Err(Error::invalid_input(message));
        }
        let vertices = 1u64 << self.scale;
        let edges = vertices
            .checked_mul(self.edge_factor)
            .filter(|&edges| (1..=MOST_ROWS).contains(&edges))
            .ok_or_else(|| Error::invalid_input("--edge-factor gives no edges or too many"))?;
        Ok(Rmat {
            scale: self.scale,
            edges,
            vertices: Permutation::new(vertices, key(seed, 16)),
            draws: Philox::new(key(seed, 17)),
        })
    }
}

/// The table `src, dst`. Loops and repeated edges occur, as Graph500 has them.
#[derive(Debug)]
pub(super) struct Rmat {
    scale: u32,
    edges: u64,
    vertices: Permutation,
    draws: Philox,
}

impl Rmat {
    fn edge(&self, index: u64) -> (u64, u64) {
        let (mut src, mut dst) = (0, 0);
        let mut words = [0; 4];
        for level in 0..self.scale {
            if level % 4 == 0 {
                let counter = [index as u32, (index >> 32) as u32, level / 4, 0];
                words = self.draws.block(counter);
            }
            let word = words[(level % 4) as usize];
            let (lower, right) = (word >= B, (A..B).contains(&word) || word >= C);
            src = src << 1 | u64::from(lower);
            dst = dst << 1 | u64::from(right);
        }
        (self.vertices.apply(src), self.vertices.apply(dst))
    }
}

impl Table for Rmat {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("src", DataType::Int64, false),
            Field::new("dst", DataType::Int64, false),
        ]))
    }

    fn rows(&self) -> u64 {
        self.edges
    }

    fn row_bytes(&self) -> u64 {
        16
    }

    fn repetitive(&self) -> bool {
        true
    }

    fn batch(&self, rows: Range<u64>) -> Result<RecordBatch> {
        let (src, dst): (Vec<i64>, Vec<i64>) = rows
            .map(|index| self.edge(index))
            .map(|(src, dst)| (src as i64, dst as i64))
            .unzip();
        RecordBatch::try_new(
            self.schema(),
            vec![
                Arc::new(Int64Array::from(src)),
                Arc::new(Int64Array::from(dst)),
            ],
        )
        .map_err(|e| Error::internal(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::assert_same_for_any_threads;
    use super::*;

    fn table(scale: u32) -> Rmat {
        let args = RmatArgs {
            scale,
            edge_factor: 16,
        };
        args.table(5).expect("a graph")
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        assert_same_for_any_threads(&table(17));
    }

    #[test]
    fn quadrants_have_their_shares() {
        // At scale 1 the quadrant is the edge, up to the order of the two vertices.
        let rmat = Rmat {
            edges: 100_000,
            ..table(1)
        };
        let mut counts = [0.0; 4];
        for index in 0..rmat.edges {
            let (src, dst) = rmat.edge(index);
            counts[(2 * src + dst) as usize] += 1e-5;
        }
        let loops = f64::max(counts[0], counts[3]);
        assert!((loops - 0.57f64).abs() < 0.01, "{counts:?}");
        assert!((counts[1] - 0.19).abs() < 0.01, "{counts:?}");
        assert!((counts[2] - 0.19).abs() < 0.01, "{counts:?}");
    }

    #[test]
    fn a_scale_has_bounds() {
        for scale in [0, 41] {
            let args = RmatArgs {
                scale,
                edge_factor: 16,
            };
            assert!(args.table(0).is_err());
        }
    }
}
