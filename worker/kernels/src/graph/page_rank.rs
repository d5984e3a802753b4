//! One step of PageRank: x ← share + d·Pᵀx, pulled along incoming edges, in f64.
//!
//! P_uv = w_uv / Σw_u. The division is done once per vertex and step, on x: what is gathered are the
//! entries of x scaled by the inverse out-strengths, so an unweighted edge costs one index and one
//! addition.

use super::{ROUNDOFF, edges, row_chunks, take};
use crate::compensated::Compensated;
use crate::simd::{LocalColumn, SegmentRows, Weights, vectorized};
use crate::sparse::{SegmentVisitor, SparseBlock, visit};
use rayon::prelude::*;

/// Vertices whose numbers one task scales.
const SCALE_CHUNK: usize = 1 << 14;

/// What a step needs besides the rows.
#[derive(Clone, Copy, Debug)]
pub struct PageRankStep<'a> {
    /// d, the chance to follow an edge.
    pub damping: f64,
    /// What every vertex receives from restarts and from dangling vertices.
    pub share: f64,
    /// Whether dangling vertices keep their mass.
    pub self_loops: bool,
    /// Inverse out-strengths of the block's own vertices; zero where there are no out-edges.
    pub inverse: &'a [f64],
    /// x of all vertices, times their inverse out-strengths.
    pub scaled: &'a [f64],
}

/// Sums over some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepSums {
    /// Σ|x − previous x|.
    pub change: f64,
    /// A bound of what rounding did to Σ|x|.
    pub rounding: f64,
    /// Σx.
    pub mass: f64,
    /// Σx over dangling vertices.
    pub dangling: f64,
}

impl StepSums {
    /// Sums over rows that follow one another. Compensated: the rows of each are few, but there may be
    /// any number of them.
    pub fn total(parts: &[Self]) -> Self {
        let over = |part: fn(&Self) -> f64| parts.iter().map(part).collect::<Compensated>().value();
        Self {
            change: over(|sums| sums.change),
            rounding: over(|sums| sums.rounding),
            mass: over(|sums| sums.mass),
            dangling: over(|sums| sums.dangling),
        }
    }
}

/// 1/s of each out-strength; zero for a vertex without out-edges.
pub fn inverse_strengths(strengths: &[f64]) -> Vec<f64> {
    let inverse = |&strength: &f64| if strength > 0.0 { 1.0 / strength } else { 0.0 };
    strengths
        .par_iter()
        .with_min_len(SCALE_CHUNK)
        .map(inverse)
        .collect()
}

/// Fills `scaled` with x times the inverse out-strengths; returns Σx over dangling vertices.
pub fn scale(x: &[f64], inverse: &[f64], scaled: &mut [f64]) -> f64 {
    let sums: Vec<f64> = scaled
        .par_chunks_mut(SCALE_CHUNK)
        .zip(
            x.par_chunks(SCALE_CHUNK)
                .zip(inverse.par_chunks(SCALE_CHUNK)),
        )
        .map(|(scaled, (x, inverse))| {
            let mut dangling = 0.0;
            for ((scaled, &x), &inverse) in scaled.iter_mut().zip(x).zip(inverse) {
                *scaled = x * inverse;
                dangling += if inverse == 0.0 { x } else { 0.0 };
            }
            dangling
        })
        .collect();
    sums.into_iter().collect::<Compensated>().value()
}

/// One step on the rows of a block: `x` (the block's own vertices) becomes the next x, and
/// `next_scaled` the next x times the inverse out-strengths.
///
/// # Panics
/// If the shapes do not fit together.
pub fn page_rank_step(
    block: &SparseBlock<'_>,
    step: &PageRankStep<'_>,
    x: &mut [f64],
    next_scaled: &mut [f64],
) -> StepSums {
    let fits = [step.inverse.len(), x.len(), next_scaled.len()];
    assert!(
        fits.iter().all(|&len| len == block.nrows),
        "one number per row"
    );
    assert_eq!(step.scaled.len(), block.ncols, "one number per column");
    let segment = edges(block);
    let (mut x, mut next_scaled) = (x, next_scaled);
    let chunks: Vec<_> = row_chunks(segment.offsets)
        .into_iter()
        .map(|rows| {
            let len = rows.len();
            (rows, take(&mut x, len), take(&mut next_scaled, len))
        })
        .collect();
    let sums: Vec<StepSums> = chunks
        .into_par_iter()
        .map(|(rows, x, next_scaled)| {
            let mut sums = StepSums::default();
            let chunk = Chunk {
                step,
                inverse: &step.inverse[rows.clone()],
                x,
                next_scaled,
                sums: &mut sums,
            };
            visit(segment, rows, chunk);
            sums
        })
        .collect();
    StepSums::total(&sums)
}

struct Chunk<'a> {
    step: &'a PageRankStep<'a>,
    inverse: &'a [f64],
    x: &'a mut [f64],
    next_scaled: &'a mut [f64],
    sums: &'a mut StepSums,
}

impl SegmentVisitor for Chunk<'_> {
    fn visit<C: LocalColumn, W: Weights>(self, rows: SegmentRows<C, W>) {
        let Self {
            step,
            inverse,
            x,
            next_scaled,
            sums,
        } = self;
        vectorized(
            #[inline(always)]
            || {
                for row in 0..x.len() {
                    let (columns, weights) = rows.row(row);
                    let mut pulled = gather(columns, weights, step.scaled);
                    let previous = x[row];
                    let dangles = inverse[row] == 0.0;
                    if dangles && step.self_loops {
                        pulled += previous;
                    }
                    let next = step.share + step.damping * pulled;
                    sums.change += (next - previous).abs();
                    // Four running sums, and a few operations per entry and row.
                    sums.rounding += (columns.len() as f64 * 0.25 + 8.0) * ROUNDOFF * next;
                    sums.mass += next;
                    if dangles {
                        sums.dangling += next;
                    }
                    x[row] = next;
                    next_scaled[row] = next * inverse[row];
                }
            },
        );
    }
}

/// Σ w·x over the entries of a row: four running sums, so that additions do not wait for each
/// other.
#[inline(always)]
fn gather<C: LocalColumn, W: Weights>(columns: &[C], weights: W, x: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let mut first = 0;
    let quads = columns.chunks_exact(4);
    let rest = quads.remainder();
    for quad in quads {
        for (lane, (sum, column)) in sums.iter_mut().zip(quad).enumerate() {
            *sum += f64::from(weights.at(first + lane)) * x[column.index()];
        }
        first += 4;
    }
    for (lane, (sum, column)) in sums.iter_mut().zip(rest).enumerate() {
        *sum += f64::from(weights.at(first + lane)) * x[column.index()];
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}
