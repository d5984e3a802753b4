//! Every instruction set gives the same bits, those of plain loops.

use super::*;
use crate::random::{Philox, gaussian_row};
use pulp::{Scalar, Scalar256b};

/// Rows of a segment of `COLUMNS` columns, and what they are multiplied with.
struct Case {
    stride: usize,
    offsets: Vec<i32>,
    columns: Vec<u16>,
    weights: Vec<f32>,
    /// `COLUMNS` × stride.
    x: Vec<f32>,
    /// Rows × stride.
    y: Vec<f32>,
}

const COLUMNS: usize = 37;
const ROWS: usize = 19;

impl Case {
    fn new(stride: usize) -> Self {
        let random = Philox::new(7);
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for row in 0..ROWS as u32 {
            let length = random.block([row, 0, 0, 0])[0] % 9;
            let column = |k: u32| random.block([row, 1 + k, 0, 0])[0] % COLUMNS as u32;
            let mut row: Vec<u16> = (0..length).map(|k| column(k) as u16).collect();
            row.sort_unstable();
            columns.extend(row);
            offsets.push(columns.len() as i32);
        }
        let floats = |stream: u32, count: usize| {
            let mut floats = vec![0.0; count];
            gaussian_row(7, stream, 0, &mut floats);
            floats
        };
        Self {
            stride,
            weights: floats(0, columns.len()),
            x: floats(1, COLUMNS * stride),
            y: floats(2, ROWS * stride),
            offsets,
            columns,
        }
    }

    fn rows(&self) -> SegmentRows<'_, u16, &[f32]> {
        SegmentRows {
            offsets: &self.offsets,
            columns: &self.columns,
            weights: &self.weights,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (usize, usize, f32)> {
        (0..ROWS).flat_map(move |row| {
            let span = self.offsets[row] as usize..self.offsets[row + 1] as usize;
            span.map(move |k| (row, usize::from(self.columns[k]), self.weights[k]))
        })
    }

    /// Columns `16..32` of Aᵀ Y, in memory of their own, where all values are one.
    fn cut_of_ones<T: Float, S: Simd>(&self, simd: S) -> Vec<T> {
        let mut z = vec![T::zeroed(); COLUMNS * 16];
        let scatter = Scatter {
            rows: SegmentRows {
                offsets: &self.offsets,
                columns: &self.columns,
                weights: Ones,
            },
            y: &self.y,
            y_stride: self.stride,
            y_from: 16,
            z: &mut z,
            z_stride: 16,
        };
        simd.vectorize(scatter);
        z
    }

    /// The same by plain loops.
    fn plain_cut_of_ones<T: Float>(&self, add: impl Fn(f32, T) -> T) -> Vec<T> {
        let mut z = vec![T::zeroed(); COLUMNS * 16];
        for (row, column, _) in self.entries() {
            for j in 0..16 {
                let sum = &mut z[column * 16 + j];
                *sum = add(self.y[row * self.stride + 16 + j], *sum);
            }
        }
        z
    }

    /// A X, and Aᵀ Y, by plain loops.
    fn plain<T: Float>(&self, mul_add: impl Fn(f32, f32, T) -> T) -> (Vec<T>, Vec<T>) {
        let mut gathered = vec![T::zeroed(); ROWS * self.stride];
        let mut scattered = vec![T::zeroed(); COLUMNS * self.stride];
        for (row, column, weight) in self.entries() {
            for j in 0..self.stride {
                let (at, from) = (row * self.stride + j, column * self.stride + j);
                gathered[at] = mul_add(weight, self.x[from], gathered[at]);
                scattered[from] = mul_add(weight, self.y[at], scattered[from]);
            }
        }
        (gathered, scattered)
    }

    fn on<T: Float, S: Simd>(&self, simd: S) -> (Vec<T>, Vec<T>) {
        let mut gathered = vec![T::zeroed(); ROWS * self.stride];
        let gather = Gather {
            rows: self.rows(),
            x: &self.x,
            y: &mut gathered,
            stride: self.stride,
        };
        simd.vectorize(gather);
        let mut scattered = vec![T::zeroed(); COLUMNS * self.stride];
        let scatter = Scatter {
            rows: self.rows(),
            y: &self.y,
            y_stride: self.stride,
            y_from: 0,
            z: &mut scattered,
            z_stride: self.stride,
        };
        simd.vectorize(scatter);
        (gathered, scattered)
    }
}

#[test]
fn all_vectors_give_the_bits_of_plain_loops() {
    for stride in [16, 32, 48, 64, 80, 144, 272] {
        let case = Case::new(stride);
        let single = case.plain(|a: f32, b, c: f32| a.mul_add(b, c));
        let double = case.plain(|a: f32, b, c: f64| f64::from(a).mul_add(f64::from(b), c));
        assert!(case.on(Scalar) == single, "one at a time, {stride}");
        assert!(case.on(Scalar) == double, "one at a time, f64, {stride}");
        assert!(case.on(Scalar256b) == double, "eight, f64, {stride}");
        #[cfg(target_arch = "x86_64")]
        {
            use pulp::x86::{V3, V4};
            if let Some(simd) = V3::try_new() {
                assert!(case.on(simd) == single, "AVX2, {stride}");
                assert!(case.on(simd) == double, "AVX2, f64, {stride}");
            }
            if let Some(simd) = V4::try_new() {
                assert!(case.on(simd) == single, "AVX-512, {stride}");
                assert!(case.on(simd) == double, "AVX-512, f64, {stride}");
            }
        }
    }
}

#[test]
fn all_vectors_give_the_bits_of_plain_loops_on_a_cut_of_z() {
    for stride in [32, 48, 160] {
        let case = Case::new(stride);
        let single: Vec<f32> = case.plain_cut_of_ones(|y, z| z + y);
        let double: Vec<f64> = case.plain_cut_of_ones(|y, z| z + f64::from(y));
        assert!(single == case.cut_of_ones(Scalar), "one at a time");
        assert!(double == case.cut_of_ones(Scalar), "one at a time, f64");
        #[cfg(target_arch = "x86_64")]
        {
            use pulp::x86::{V3, V4};
            if let Some(simd) = V3::try_new() {
                assert!(single == case.cut_of_ones(simd), "AVX2");
                assert!(double == case.cut_of_ones(simd), "AVX2, f64");
            }
            if let Some(simd) = V4::try_new() {
                assert!(single == case.cut_of_ones(simd), "AVX-512");
                assert!(double == case.cut_of_ones(simd), "AVX-512, f64");
            }
        }
    }
}
