//! Random inputs, and plain slow f64 oracles on densified matrices.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use rankmill_kernels::{Certified, Columns, Panel, Philox, Segment, Small, SparseBlock};

/// A stream of uniform numbers.
pub struct Draw {
    philox: Philox,
    position: u32,
}

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self {
            philox: Philox::new(seed ^ 0xABCD_EF01_2345_6789),
            position: 0,
        }
    }

    pub fn unit(&mut self) -> f64 {
        self.position += 1;
        f64::from(self.philox.block([self.position, 7, 7, 7])[0]) / 4_294_967_296.0
    }

    pub fn signed(&mut self) -> f32 {
        (2.0 * self.unit() - 1.0) as f32
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    pub fn panel(&mut self, nrows: usize, ncols: usize) -> Panel {
        Panel::from_fn(nrows, ncols, |_, _| self.signed())
    }

    pub fn small(&mut self, nrows: usize, ncols: usize) -> Small {
        Small::from_fn(nrows, ncols, |_, _| f64::from(self.signed()))
    }
}

/// Local column indices that a segment owns.
#[derive(Debug)]
pub enum OwnedColumns {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

/// The arrays behind one segment.
#[derive(Debug)]
pub struct OwnedSegment {
    pub first_column: usize,
    pub width: usize,
    pub offsets: Vec<i32>,
    pub columns: OwnedColumns,
    pub values: Option<Vec<f32>>,
}

/// The arrays behind a sparse block.
#[derive(Debug)]
pub struct OwnedBlock {
    pub nrows: usize,
    pub ncols: usize,
    pub segments: Vec<OwnedSegment>,
}

impl OwnedBlock {
    /// A block of these segment widths, each nonzero with probability `density`. Every third row
    /// is empty; widths of 0 give empty segments. Offsets start above zero.
    pub fn random(nrows: usize, widths: &[usize], density: f64, binary: bool, seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mut first_column = 0;
        let mut segments = Vec::new();
        for (index, &width) in widths.iter().enumerate() {
            let lead = index as i32 * 3;
            let mut offsets = vec![lead];
            let mut columns: Vec<usize> = vec![0; lead as usize];
            for row in 0..nrows {
                if row % 3 != 1 {
                    columns.extend((0..width).filter(|_| draw.unit() < density));
                }
                offsets.push(columns.len() as i32);
            }
            let values = columns.iter().map(|_| draw.signed()).collect();
            let columns = if index % 2 == 0 {
                OwnedColumns::U16(columns.iter().map(|&c| c as u16).collect())
            } else {
                OwnedColumns::U32(columns.iter().map(|&c| c as u32).collect())
            };
            let values = if binary { None } else { Some(values) };
            segments.push(OwnedSegment {
                first_column,
                width,
                offsets,
                columns,
                values,
            });
            first_column += width;
        }
        Self {
            nrows,
            ncols: first_column,
            segments,
        }
    }

    pub fn block(&self) -> SparseBlock<'_> {
        let segments = self.segments.iter().map(|segment| Segment {
            first_column: segment.first_column,
            width: segment.width,
            offsets: &segment.offsets,
            columns: match &segment.columns {
                OwnedColumns::U16(columns) => Columns::U16(columns),
                OwnedColumns::U32(columns) => Columns::U32(columns),
            },
            values: segment.values.as_deref(),
        });
        SparseBlock {
            nrows: self.nrows,
            ncols: self.ncols,
            segments: segments.collect(),
        }
    }

    /// Row-major entries of the whole block.
    pub fn densified(&self) -> Vec<f32> {
        let mut dense = vec![0.0; self.nrows * self.ncols];
        for segment in &self.segments {
            for row in 0..self.nrows {
                for k in segment.offsets[row] as usize..segment.offsets[row + 1] as usize {
                    let local = match &segment.columns {
                        OwnedColumns::U16(columns) => usize::from(columns[k]),
                        OwnedColumns::U32(columns) => columns[k] as usize,
                    };
                    let value = segment.values.as_ref().map_or(1.0, |values| values[k]);
                    dense[row * self.ncols + segment.first_column + local] = value;
                }
            }
        }
        dense
    }
}

/// A matrix of f64 as rows.
pub type Rows = Vec<Vec<f64>>;

pub fn rows_of(values: &[f32], nrows: usize, ncols: usize) -> Rows {
    let row = |i: usize| {
        values[i * ncols..(i + 1) * ncols]
            .iter()
            .map(|&x| f64::from(x))
            .collect()
    };
    (0..nrows).map(row).collect()
}

pub fn rows_of_panel(panel: &Panel) -> Rows {
    rows_of(panel.as_slice(), panel.nrows(), panel.ncols())
}

pub fn rows_of_f64(values: &[f64], nrows: usize, ncols: usize) -> Rows {
    (0..nrows)
        .map(|i| values[i * ncols..(i + 1) * ncols].to_vec())
        .collect()
}

pub fn rows_of_small(small: &Small) -> Rows {
    rows_of_f64(small.as_slice(), small.nrows(), small.ncols())
}

/// a b by the triple loop, `ncols` being b's.
pub fn times(a: &Rows, b: &Rows, ncols: usize) -> Rows {
    let mut product = vec![vec![0.0; ncols]; a.len()];
    for (i, row) in a.iter().enumerate() {
        for (k, &entry) in row.iter().enumerate() {
            for j in 0..ncols {
                product[i][j] += entry * b[k][j];
            }
        }
    }
    product
}

/// The transpose, `ncols` being a's.
pub fn transposed(a: &Rows, ncols: usize) -> Rows {
    (0..ncols)
        .map(|j| a.iter().map(|row| row[j]).collect())
        .collect()
}

/// a − 1 mean.
pub fn centered(a: &Rows, mean: &[f64]) -> Rows {
    let center = |row: &Vec<f64>| row.iter().zip(mean).map(|(x, mean)| x - mean).collect();
    a.iter().map(center).collect()
}

pub fn column_means(a: &Rows, ncols: usize) -> Vec<f64> {
    let mean = |j: usize| a.iter().map(|row| row[j]).sum::<f64>() / a.len().max(1) as f64;
    (0..ncols).map(mean).collect()
}

/// Asserts that a product's squared norms of rows and columns are those of `a`, n columns wide.
pub fn assert_norms(certified: &Certified, a: &Rows, n: usize) {
    let squares = |rows: &Rows| -> Rows {
        let square = |row: &Vec<f64>| vec![row.iter().map(|x| x * x).sum()];
        rows.iter().map(square).collect()
    };
    let found = |norms: &[f64]| rows_of_f64(norms, norms.len(), 1);
    assert_close(&found(&certified.row_norms2), &squares(a), 1e-12);
    let columns = squares(&transposed(a, n));
    assert_close(&found(&certified.column_norms2), &columns, 1e-12);
}

/// Asserts entrywise agreement within `tolerance` times (1 + the largest entry).
pub fn assert_close(found: &Rows, expected: &Rows, tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "rows");
    let largest = expected
        .iter()
        .flatten()
        .fold(1.0, |m: f64, x| m.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "columns");
        for (j, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance * largest,
                "({i}, {j}): {found} instead of {expected}"
            );
        }
    }
}

/// Runs `compute` on pools of 1, 2 and 3 threads and asserts that the results are equal.
pub fn same_on_any_pool<T: PartialEq + std::fmt::Debug + Send>(
    compute: impl Fn() -> T + Sync,
) -> T {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(&compute)
    };
    let single = run(1);
    assert!(run(2) == single, "2 threads differ from 1");
    assert!(run(3) == single, "3 threads differ from 1");
    single
}
