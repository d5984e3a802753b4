//! A graph's blocks the other way round, in memory: from outgoing edges to incoming ones.
//!
//! Invariant: rows are the vertices in order, entries ascend within a row, and both depend on the
//! graph alone. Each block of the result is filled by one task that reads the whole graph.

use super::edges;
use crate::sparse::{Columns, Segment, SparseBlock};
use rayon::prelude::*;
use std::ops::Range;

/// Entries after which a block of the result ends.
const BLOCK_ENTRIES: usize = 1 << 24;
/// Blocks into which a small graph is cut, so that several threads have work.
const FEWEST_BLOCKS: usize = 8;

/// Some rows of incoming edges.
#[derive(Debug)]
struct Part {
    offsets: Vec<i32>,
    columns: Vec<u32>,
    values: Option<Vec<f32>>,
}

/// A graph by incoming edges.
#[derive(Debug)]
pub struct Transposed {
    vertices: usize,
    parts: Vec<Part>,
}

impl Transposed {
    /// Transposes the graph whose rows `blocks` hold in order.
    ///
    /// # Panics
    /// If a block has several segments.
    pub fn new(blocks: &[SparseBlock<'_>]) -> Self {
        let vertices = blocks.iter().map(|block| block.nrows).sum();
        let mut counts = vec![0u32; vertices];
        for block in blocks {
            count_columns(block, &mut counts);
        }
        let parts = cut(&counts)
            .into_par_iter()
            .map(|rows| Part::new(blocks, rows.clone(), &counts[rows]))
            .collect();
        Self { vertices, parts }
    }

    /// Its blocks, in the order of their rows.
    pub fn blocks(&self) -> Vec<SparseBlock<'_>> {
        let parts = self.parts.iter();
        parts.map(|part| part.block(self.vertices)).collect()
    }
}

/// Adds to `counts` how often each column of a block is named.
///
/// # Panics
/// If the block has several segments, or columns outside of `counts`.
pub fn count_columns(block: &SparseBlock<'_>, counts: &mut [u32]) {
    let segment = edges(block);
    for k in segment.positions() {
        counts[segment.columns.get(k)] += 1;
    }
}

/// Rows in blocks of about equal numbers of entries.
fn cut(counts: &[u32]) -> Vec<Range<usize>> {
    let entries: usize = counts.iter().map(|&count| count as usize).sum();
    let limit = (entries / FEWEST_BLOCKS).clamp(1, BLOCK_ENTRIES);
    let (mut ranges, mut first, mut held) = (Vec::new(), 0, 0);
    for (row, &count) in counts.iter().enumerate() {
        held += count as usize;
        if held >= limit {
            ranges.push(first..row + 1);
            (first, held) = (row + 1, 0);
        }
    }
    if first < counts.len() {
        ranges.push(first..counts.len());
    }
    ranges
}

impl Part {
    fn block(&self, vertices: usize) -> SparseBlock<'_> {
        SparseBlock {
            nrows: self.offsets.len() - 1,
            ncols: vertices,
            segments: vec![Segment {
                first_column: 0,
                width: vertices,
                offsets: &self.offsets,
                columns: Columns::U32(&self.columns),
                values: self.values.as_deref(),
            }],
        }
    }

    fn new(blocks: &[SparseBlock<'_>], rows: Range<usize>, counts: &[u32]) -> Self {
        let mut offsets = Vec::with_capacity(counts.len() + 1);
        let mut next = Vec::with_capacity(counts.len());
        let mut end = 0;
        offsets.push(0);
        for &count in counts {
            next.push(end);
            end += count as usize;
            offsets.push(end as i32);
        }
        let weighted = blocks.iter().any(|block| edges(block).values.is_some());
        let mut part = Self {
            offsets,
            columns: vec![0; end],
            values: weighted.then(|| vec![0.0; end]),
        };
        let mut vertex = 0;
        for block in blocks {
            part.fill(edges(block), vertex, &rows, &mut next);
            vertex += block.nrows;
        }
        part
    }

    /// Adds the edges of a block that lead into `rows`; its first row is the vertex `first`.
    fn fill(
        &mut self,
        segment: &Segment<'_>,
        first: usize,
        rows: &Range<usize>,
        next: &mut [usize],
    ) {
        for row in 0..segment.offsets.len().saturating_sub(1) {
            let span = segment.row(row);
            let (start, end) = within(segment.columns, span, rows);
            for k in start..end {
                let target = segment.columns.get(k) - rows.start;
                let place = next[target];
                next[target] += 1;
                self.columns[place] = (first + row) as u32;
                if let Some(values) = &mut self.values {
                    values[place] = segment.value(k);
                }
            }
        }
    }
}

/// The entries of a row, whose columns ascend, that lie in `rows`.
fn within(columns: Columns<'_>, span: Range<usize>, rows: &Range<usize>) -> (usize, usize) {
    fn find<C: Copy + Into<u32>>(columns: &[C], rows: &Range<usize>) -> (usize, usize) {
        let below = |end: usize| columns.partition_point(|&c| (c.into() as usize) < end);
        (below(rows.start), below(rows.end))
    }
    let first = span.start;
    let (start, end) = match columns {
        Columns::U16(columns) => find(&columns[span], rows),
        Columns::U32(columns) => find(&columns[span], rows),
    };
    (first + start, first + end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_edge_is_found_from_its_other_end(
            lists in prop::collection::vec(prop::collection::btree_set(0u32..30, 0..12), 30),
            weighted in any::<bool>(),
            cut in 0usize..30,
        ) {
            let mut offsets = vec![0];
            let columns: Vec<u32> = lists.iter().flatten().copied().collect();
            for list in &lists {
                offsets.push(offsets[offsets.len() - 1] + list.len() as i32);
            }
            let values: Vec<f32> = (0..columns.len()).map(|k| k as f32 + 0.5).collect();
            let block = |rows: Range<usize>| SparseBlock {
                nrows: rows.len(),
                ncols: 30,
                segments: vec![Segment {
                    first_column: 0,
                    width: 30,
                    offsets: &offsets[rows.start..=rows.end],
                    columns: Columns::U32(&columns),
                    values: weighted.then_some(&values[..]),
                }],
            };
            let list = |blocks: &[SparseBlock<'_>]| -> Vec<(usize, usize, f32)> {
                let (mut found, mut first) = (Vec::new(), 0);
                for block in blocks {
                    let segment = edges(block);
                    for row in 0..block.nrows {
                        let entries = segment.row(row);
                        found.extend(entries.map(|k| (first + row, segment.columns.get(k), segment.value(k))));
                    }
                    first += block.nrows;
                }
                found
            };
            let graph = [block(0..cut), block(cut..30)];
            let mut expected: Vec<_> = list(&graph).into_iter().map(|(u, v, w)| (v, u, w)).collect();
            expected.sort_by_key(|edge| (edge.0, edge.1));
            let transposed = Transposed::new(&graph);
            let blocks = transposed.blocks();
            prop_assert!(blocks.iter().all(|block| block.validate().is_ok()));
            prop_assert_eq!(blocks.iter().map(|block| block.nrows).sum::<usize>(), 30);
            prop_assert_eq!(list(&blocks), expected);
        }
    }
}
