//! Inputs shaped like those of the races, from fixed seeds.

use rankmill_kernels::{Columns, Philox, Segment, SparseBlock};
use rayon::prelude::*;

/// The arrays behind one segment.
struct OwnedSegment {
    first_column: usize,
    width: usize,
    offsets: Vec<i32>,
    columns: OwnedColumns,
    values: Option<Vec<f32>>,
}

enum OwnedColumns {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// The arrays behind a sparse block.
pub(crate) struct OwnedBlock {
    nrows: usize,
    ncols: usize,
    segments: Vec<OwnedSegment>,
}

impl OwnedBlock {
    /// Ratings of `nrows` users, `per_row` draws each, items by a Zipf law; segments of `width`
    /// columns.
    pub(crate) fn ratings(nrows: usize, ncols: usize, per_row: usize, width: usize) -> Self {
        let rows = zipf_rows(nrows, ncols, per_row);
        let firsts: Vec<usize> = (0..ncols).step_by(width).collect();
        let segments = firsts
            .par_iter()
            .map(|&first| narrow_segment(&rows, first, width.min(ncols - first)))
            .collect();
        Self {
            nrows,
            ncols,
            segments,
        }
    }

    /// Edges of a Graph500 graph (RMAT, Chakrabarti et al. 2004: a 0.57, b 0.19, c 0.19) of
    /// 2^scale vertices, 16 each, by the vertex that they enter, in one segment; vertices in
    /// descending order of their in-degree.
    pub(crate) fn rmat(scale: u32) -> Self {
        let vertices = 1usize << scale;
        let edges = rmat_edges(scale, 16 * vertices);
        let mut degrees = vec![0u32; vertices];
        for &(_, to) in &edges {
            degrees[to as usize] += 1;
        }
        let mut order: Vec<u32> = (0..vertices as u32).collect();
        order.sort_by_key(|&vertex| (u32::MAX - degrees[vertex as usize], vertex));
        let mut index = vec![0u32; vertices];
        for (place, &vertex) in (0..).zip(&order) {
            index[vertex as usize] = place;
        }
        let mut renumbered: Vec<(u32, u32)> = edges
            .par_iter()
            .map(|&(from, to)| (index[to as usize], index[from as usize]))
            .collect();
        renumbered.par_sort_unstable();
        renumbered.dedup();
        let mut offsets = vec![0i32; vertices + 1];
        for &(to, _) in &renumbered {
            offsets[to as usize + 1] += 1;
        }
        for row in 0..vertices {
            offsets[row + 1] += offsets[row];
        }
        let segment = OwnedSegment {
            first_column: 0,
            width: vertices,
            offsets,
            columns: OwnedColumns::Wide(renumbered.iter().map(|&(_, from)| from).collect()),
            values: None,
        };
        Self {
            nrows: vertices,
            ncols: vertices,
            segments: vec![segment],
        }
    }

    pub(crate) fn block(&self) -> SparseBlock<'_> {
        let segments = self.segments.iter().map(|segment| Segment {
            first_column: segment.first_column,
            width: segment.width,
            offsets: &segment.offsets,
            columns: match &segment.columns {
                OwnedColumns::Narrow(columns) => Columns::U16(columns),
                OwnedColumns::Wide(columns) => Columns::U32(columns),
            },
            values: segment.values.as_deref(),
        });
        let block = SparseBlock {
            nrows: self.nrows,
            ncols: self.ncols,
            segments: segments.collect(),
        };
        block.validate().expect("a valid block");
        block
    }
}

fn narrow_segment(rows: &[Vec<u32>], first: usize, width: usize) -> OwnedSegment {
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        let start = row.partition_point(|&column| (column as usize) < first);
        let end = row.partition_point(|&column| (column as usize) < first + width);
        for &column in &row[start..end] {
            columns.push((column as usize - first) as u16);
            values.push(1.0 + (column % 5) as f32);
        }
        offsets.push(columns.len() as i32);
    }
    OwnedSegment {
        first_column: first,
        width,
        offsets,
        columns: OwnedColumns::Narrow(columns),
        values: Some(values),
    }
}

fn unit(word: u32) -> f64 {
    f64::from(word) / 4_294_967_296.0
}

/// Sorted distinct Zipf columns of every row, most popular first.
fn zipf_rows(nrows: usize, ncols: usize, per_row: usize) -> Vec<Vec<u32>> {
    let philox = Philox::new(1);
    let draw = |row: usize| {
        let mut columns: Vec<u32> = (0..per_row.div_ceil(4) as u32)
            .flat_map(|block| philox.block([row as u32, block, 0, 0]))
            // The inverse distribution of popularity falling as rank^(-3/4).
            .map(|word| (unit(word).powi(4) * ncols as f64) as u32)
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    };
    (0..nrows).into_par_iter().map(draw).collect()
}

fn rmat_edges(scale: u32, count: usize) -> Vec<(u32, u32)> {
    let philox = Philox::new(2);
    let edge = |number: usize| {
        let (mut from, mut to) = (0, 0);
        for level in 0..scale {
            let word = philox.block([number as u32, level / 4, 1, 0])[(level % 4) as usize];
            let draw = unit(word);
            from = 2 * from + u32::from(draw >= 0.76);
            to = 2 * to + u32::from((0.57..0.76).contains(&draw) || draw >= 0.95);
        }
        (from, to)
    };
    (0..count).into_par_iter().map(edge).collect()
}
