//! Dense vectors: a Gaussian matrix with scaled columns, rotated.
//!
//! A = G·diag(σ)/√rows·H, with H a product of reflections. For many more rows than columns the
//! singular values of A are σ up to a relative √(cols/rows).

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use rankmill_common::{Error, Result};
use rankmill_kernels::gaussian_row;

use super::table::{MOST_ROWS, Table};

const ROWS_STREAM: u32 = 0x1000;
const REFLECTIONS_STREAM: u32 = 0x1001;
const REFLECTIONS: u64 = 3;
const MOST_COLS: u32 = 1 << 20;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct DenseArgs {
    /// Number of vectors
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows: u64,
    /// Length of each
    #[arg(long, value_name = "N", default_value_t = 512)]
    cols: u32,
    /// Singular values: power:P (i^P), geometric:R (R^(i-1)) or rank:R (R ones, then zeros)
    #[arg(
        long,
        value_name = "LAW",
        default_value = "power:-0.5",
        allow_hyphen_values = true
    )]
    spectrum: Law,
}

/// How singular values fall.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Power(f64),
    Geometric(f64),
    Rank(u32),
}

impl FromStr for Law {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let law = match text.split_once(':') {
            Some(("power", p)) => p.parse().ok().map(Self::Power),
            Some(("geometric", r)) => r.parse().ok().map(Self::Geometric),
            Some(("rank", r)) => r.parse().ok().map(Self::Rank),
            Some(_) | None => None,
        };
        law.filter(|law| match law {
            Self::Power(p) => (-10.0..=0.0).contains(p),
            Self::Geometric(r) => *r > 0.0 && *r <= 1.0,
            Self::Rank(r) => *r > 0,
        })
        .ok_or_else(|| {
            format!(
                "{text:?} is no spectrum: write power:P with P from -10 to 0, geometric:R with R \
                 above 0 and at most 1, or rank:R"
            )
        })
    }
}

impl Law {
    fn sigma(self, index: u32) -> f64 {
        match self {
            Self::Power(power) => libm::pow(f64::from(index) + 1.0, power),
            Self::Geometric(ratio) => libm::pow(ratio, f64::from(index)),
            Self::Rank(rank) if index < rank => 1.0,
            Self::Rank(_) => 0.0,
        }
    }
}

impl DenseArgs {
    pub(super) fn table(self, seed: u64) -> Result<Dense> {
        let (rows, cols) = (1..=MOST_ROWS, 1..=MOST_COLS);
        if !rows.contains(&self.rows) || !cols.contains(&self.cols) {
            return Err(Error::invalid_input(format!(
                "--rows must lie between 1 and {MOST_ROWS}, --cols between 1 and {MOST_COLS}"
            )));
        }
        let scale = 1.0 / libm::sqrt(self.rows as f64);
        let sigma = (0..self.cols)
            .map(|index| (self.spectrum.sigma(index) * scale) as f32)
            .collect();
        let reflections = (0..REFLECTIONS)
            .map(|index| unit_vector(seed, index, self.cols as usize))
            .collect();
        Ok(Dense {
            rows: self.rows,
            seed,
            sigma,
            reflections,
        })
    }
}

fn unit_vector(seed: u64, index: u64, len: usize) -> Vec<f32> {
    let mut vector = vec![0.0; len];
    gaussian_row(seed, REFLECTIONS_STREAM, index, &mut vector);
    let norm = libm::sqrt(dot(&vector, &vector)) as f32;
    for x in &mut vector {
        *x /= norm;
    }
    vector
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&x, &y)| f64::from(x) * f64::from(y))
        .sum()
}

/// The table `id, vector`.
#[derive(Debug)]
pub(super) struct Dense {
    rows: u64,
    seed: u64,
    sigma: Vec<f32>,
    reflections: Vec<Vec<f32>>,
}

impl Dense {
    fn fill(&self, row: u64, out: &mut [f32]) {
        gaussian_row(self.seed, ROWS_STREAM, row, out);
        for (x, sigma) in out.iter_mut().zip(&self.sigma) {
            *x *= sigma;
        }
        for axis in &self.reflections {
            let twice = (2.0 * dot(out, axis)) as f32;
            for (x, axis) in out.iter_mut().zip(axis) {
                *x -= twice * axis;
            }
        }
    }

    fn item(&self) -> FieldRef {
        Arc::new(Field::new("item", DataType::Float32, false))
    }

    fn width(&self) -> i32 {
        self.sigma.len() as i32
    }
}

impl Table for Dense {
    fn schema(&self) -> SchemaRef {
        let vector = DataType::FixedSizeList(self.item(), self.width());
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vector", vector, false),
        ]))
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn row_bytes(&self) -> u64 {
        8 + 4 * self.sigma.len() as u64
    }

    fn repetitive(&self) -> bool {
        false
    }

    fn batch(&self, rows: Range<u64>) -> Result<RecordBatch> {
        let width = self.sigma.len();
        let mut values = vec![0.0; width * (rows.end - rows.start) as usize];
        for (row, out) in rows.clone().zip(values.chunks_exact_mut(width)) {
            self.fill(row, out);
        }
        let ids: Vec<i64> = rows.map(|row| row as i64).collect();
        let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        let values = Arc::new(Float32Array::from(values));
        let vectors = FixedSizeListArray::try_new(self.item(), self.width(), values, None)
            .map_err(internal)?;
        RecordBatch::try_new(
            self.schema(),
            vec![Arc::new(Int64Array::from(ids)), Arc::new(vectors)],
        )
        .map_err(internal)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::assert_same_for_any_threads;
    use super::*;

    fn table(rows: u64, cols: u32, spectrum: &str) -> Dense {
        let args = DenseArgs {
            rows,
            cols,
            spectrum: spectrum.parse().expect("a law"),
        };
        args.table(9).expect("vectors")
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        assert_same_for_any_threads(&table(40_000, 257, "power:-0.5"));
    }

    #[test]
    fn reflections_keep_the_norm() {
        let table = table(100, 50, "geometric:0.9");
        let mut plain = vec![0.0; 50];
        gaussian_row(9, ROWS_STREAM, 7, &mut plain);
        for (x, sigma) in plain.iter_mut().zip(&table.sigma) {
            *x *= sigma;
        }
        let mut rotated = vec![0.0; 50];
        table.fill(7, &mut rotated);
        let (plain, rotated) = (dot(&plain, &plain), dot(&rotated, &rotated));
        assert!((plain / rotated - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_energy_is_that_of_the_spectrum() {
        let table = table(5_000, 20, "rank:4");
        let mut energy = 0.0;
        let mut row = vec![0.0; 20];
        for index in 0..5_000 {
            table.fill(index, &mut row);
            energy += dot(&row, &row);
        }
        assert!((energy / 4.0 - 1.0).abs() < 0.05, "{energy}");
    }

    #[test]
    fn sizes_have_bounds() {
        for (rows, cols) in [(0, 1), (u64::MAX, 1), (1, 0), (1, MOST_COLS + 1)] {
            let spectrum = Law::Rank(1);
            let args = DenseArgs {
                rows,
                cols,
                spectrum,
            };
            assert!(args.table(0).is_err(), "{rows} x {cols}");
        }
    }

    #[test]
    fn a_law_is_written_out() {
        assert_eq!("power:-0.25".parse(), Ok(Law::Power(-0.25)));
        for wrong in ["power:1", "geometric:0", "rank:0", "flat", "power:x"] {
            assert!(wrong.parse::<Law>().is_err(), "{wrong}");
        }
    }
}
