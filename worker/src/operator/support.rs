//! What tests of operators share: a context over a directory, stored matrices, plain f64 loops.

#![allow(dead_code, reason = "each test uses a part")]

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use rankmill_common::ObjectRef;
use rankmill_common::matrix::{
    BlockFormat, BlockRef, Precision, RowRange, Shard, SmallMatrix, TallMatrix,
};
use rankmill_kernels::{DenseBlock, Panel};
use rankmill_store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::context::TaskContext;
use crate::storage::block::{DenseBlockWriter, SparseBlockWriter, StoredColumn, StoredValues};
use crate::storage::matrix_file::Numbered;
use crate::storage::{Objects, small, tall};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Rows of a matrix.
pub(super) type Rows = Vec<Vec<f64>>;

/// A store in a directory of its own.
pub(super) struct Bench {
    pub(super) directory: TempDir,
    pub(super) context: TaskContext,
    names: Cell<u32>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let store = Store::open(state.to_str().unwrap()).unwrap();
        let context = TaskContext::new(
            Objects::open(store, None).unwrap(),
            RUNTIME.handle().clone(),
            "attempt",
            1 << 30,
            Arc::default(),
        );
        Self {
            directory,
            context,
            names: Cell::new(0),
        }
    }

    /// The same store, for an attempt that writes elsewhere.
    pub(super) fn attempt(&self, prefix: &str) -> TaskContext {
        TaskContext::new(
            self.context.objects().clone(),
            RUNTIME.handle().clone(),
            prefix,
            1 << 30,
            Arc::default(),
        )
    }

    pub(super) fn output(&self) -> String {
        let output = self.directory.path().join("output");
        output.to_str().unwrap().to_owned()
    }

    fn name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("input-{}", self.names.get())
    }

    pub(super) fn small(&self, rows: &Rows) -> SmallMatrix {
        let (nrows, ncols) = (rows.len() as u32, rows[0].len() as u32);
        small::write(&self.context, &self.name(), nrows, ncols, &rows.concat()).unwrap()
    }

    pub(super) fn read_small(&self, matrix: &SmallMatrix) -> Rows {
        let entries = small::read(&self.context, matrix).unwrap();
        split(&entries, matrix.ncols as usize)
    }

    /// A tall matrix in shards of `shard_rows` rows. Rows of f32 must hold f32 numbers.
    pub(super) fn tall(&self, rows: &Rows, precision: Precision, shard_rows: usize) -> TallMatrix {
        let ncols = rows[0].len() as u32;
        let ranges = RowRange::cut(rows.len() as u64, shard_rows as u64);
        let shard = |range: RowRange| -> Shard {
            let part = rows[range.start as usize..range.end() as usize].concat();
            let name = self.name();
            let numbers = match precision {
                Precision::Single => {
                    let mut panel = Panel::new(range.count as usize, ncols as usize);
                    let entries = panel.as_mut_slice().iter_mut();
                    entries.zip(&part).for_each(|(entry, &x)| *entry = x as f32);
                    Numbered::Single(panel)
                }
                Precision::Double => Numbered::Double(part),
            };
            tall::write(&self.context, &name, range, ncols, numbers).unwrap()
        };
        TallMatrix {
            nrows: rows.len() as u64,
            ncols,
            precision,
            shards: ranges.into_iter().map(shard).collect(),
        }
    }

    pub(super) fn read_tall(&self, matrix: &TallMatrix) -> Rows {
        let rows = RowRange {
            start: 0,
            count: matrix.nrows,
        };
        let entries = tall::read_f64(&self.context, matrix, rows).unwrap();
        split(&entries, matrix.ncols as usize)
    }

    pub(super) fn read_shard(&self, shard: &Shard, ncols: u32, precision: Precision) -> Rows {
        let matrix = TallMatrix {
            nrows: shard.rows.end(),
            ncols,
            precision,
            shards: vec![shard.clone()],
        };
        let entries = tall::read_f64(&self.context, &matrix, shard.rows).unwrap();
        split(&entries, ncols as usize)
    }

    fn dense_block(&self, nrows: usize, ncols: usize, numbers: Vec<f32>) -> ObjectRef {
        let mut writer = DenseBlockWriter::create(&self.context, &self.name(), ncols).unwrap();
        assert!(nrows <= DenseBlock::BATCH_ROWS, "one batch");
        writer.batch(nrows, numbers).unwrap();
        writer.finish().unwrap()
    }

    /// `rows` as blocks of at most `block_rows` rows.
    pub(super) fn blocks(
        &self,
        rows: &Rows,
        format: BlockFormat,
        block_rows: usize,
    ) -> Vec<BlockRef> {
        let ranges = RowRange::cut(rows.len() as u64, block_rows as u64);
        ranges
            .into_iter()
            .map(|range| {
                let part = &rows[range.start as usize..range.end() as usize];
                let object = match format {
                    BlockFormat::Sparse => self.sparse_block::<u16>(part, 3),
                    BlockFormat::Dense => {
                        let numbers = part.concat().iter().map(|&x| x as f32).collect();
                        let (m, n) = (part.len(), part[0].len());
                        self.dense_block(m, n, numbers)
                    }
                };
                BlockRef {
                    start: range.start,
                    nrows: range.count,
                    nnz: part.iter().flatten().filter(|&&x| x != 0.0).count() as u64,
                    object,
                }
            })
            .collect()
    }

    /// `rows` as blocks of one segment each, as graphs have them, with 32-bit columns.
    pub(super) fn wide_blocks(&self, rows: &Rows, block_rows: usize) -> Vec<BlockRef> {
        let part = |(index, part): (usize, &[Vec<f64>])| BlockRef {
            start: (index * block_rows) as u64,
            nrows: part.len() as u64,
            nnz: part.iter().flatten().filter(|&&x| x != 0.0).count() as u64,
            object: self.sparse_block::<u32>(part, 1 << 17),
        };
        rows.chunks(block_rows).enumerate().map(part).collect()
    }

    fn sparse_block<C: StoredColumn>(
        &self,
        rows: &[Vec<f64>],
        width: usize,
    ) -> rankmill_common::ObjectRef {
        let ncols = rows[0].len();
        let mut writer = SparseBlockWriter::create(
            &self.context,
            &self.name(),
            rows.len(),
            ncols as u64,
            width,
            StoredValues::Floats,
        )
        .unwrap();
        for first in (0..ncols).step_by(width) {
            let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
            for row in rows {
                let segment = row[first..ncols.min(first + width)].iter().enumerate();
                for (column, &value) in segment.filter(|(_, value)| **value != 0.0) {
                    columns.push(C::narrow(column as u32));
                    values.push(value as f32);
                }
                offsets.push(columns.len() as i32);
            }
            writer.segment(offsets, columns, Some(values)).unwrap();
        }
        writer.finish().unwrap()
    }
}

/// Row-major entries as rows.
pub(super) fn split(entries: &[f64], ncols: usize) -> Rows {
    entries.chunks(ncols).map(<[f64]>::to_vec).collect()
}

/// Numbers between −1 and 1 that f32 holds exactly; a third of them zero.
pub(super) fn numbers(nrows: usize, ncols: usize, salt: u64) -> Rows {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let number = (state >> 40) as f64 / f64::from(1 << 24) * 2.0 - 1.0;
        if state.is_multiple_of(3) { 0.0 } else { number }
    };
    (0..nrows)
        .map(|_| (0..ncols).map(|_| next()).collect())
        .collect()
}

pub(super) fn times(a: &Rows, b: &Rows) -> Rows {
    a.iter()
        .map(|row| {
            (0..b[0].len())
                .map(|j| row.iter().zip(b).map(|(x, b)| x * b[j]).sum())
                .collect()
        })
        .collect()
}

pub(super) fn transposed(a: &Rows) -> Rows {
    (0..a[0].len())
        .map(|j| a.iter().map(|row| row[j]).collect())
        .collect()
}

pub(super) fn identity(order: usize) -> Rows {
    diagonal(&vec![1.0; order])
}

pub(super) fn diagonal(values: &[f64]) -> Rows {
    let entry = |i: usize, j: usize| if i == j { values[i] } else { 0.0 };
    (0..values.len())
        .map(|i| (0..values.len()).map(|j| entry(i, j)).collect())
        .collect()
}

/// The mean of each column, and the rows less it.
pub(super) fn centred(a: &Rows) -> (Vec<f64>, Rows) {
    let count = a.len() as f64;
    let mean: Vec<f64> = transposed(a)
        .iter()
        .map(|column| column.iter().sum::<f64>() / count)
        .collect();
    let rows = a
        .iter()
        .map(|row| row.iter().zip(&mean).map(|(x, mean)| x - mean).collect())
        .collect();
    (mean, rows)
}

pub(super) fn column(values: &[f64]) -> Rows {
    values.iter().map(|&value| vec![value]).collect()
}

/// Every entry within `tolerance`, relative to the largest entry.
#[track_caller]
pub(super) fn assert_close(found: &Rows, expected: &Rows, tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "rows");
    let size = expected
        .iter()
        .flatten()
        .fold(0.0_f64, |size, x| size.max(x.abs()))
        .max(1e-300);
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "columns of row {i}");
        for (j, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance * size,
                "({i}, {j}): {found} instead of {expected}"
            );
        }
    }
}
