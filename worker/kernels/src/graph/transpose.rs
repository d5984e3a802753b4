//! A graph's blocks the other way round, in memory: from outgoing edges to incoming ones.
//!
//! Invariant: rows are the vertices in order, entries ascend within a row, and both depend on the
//! graph alone. Each block of the result is filled by one thread, which passes all rows of the graph
//! and takes their edges into the block; how many threads there are decides only who fills what.

use super::{edges, take};
use crate::sparse::{Columns, Segment, SparseBlock};
use rayon::prelude::*;
use std::ops::Range;

/// Entries after which a block of the result ends.
const BLOCK_ENTRIES: usize = 1 << 24;
/// Blocks into which a small graph is cut, so that several threads have work.
const FEWEST_BLOCKS: usize = 8;

/// Parts are made at once by so many threads at most. Each has a number of four bytes a vertex, while
/// no panels of power iteration are there yet.
const MOST_THREADS: usize = 16;

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
        let threads = rayon::current_num_threads().min(MOST_THREADS);
        let counts = in_degrees(blocks, vertices, threads);
        let ranges = cut(&counts);
        // A thread's parts follow each other, so that each goes on where the one before ended.
        let each = ranges.len().div_ceil(threads).max(1);
        let parts = ranges
            .par_chunks(each)
            .flat_map_iter(|ranges| {
                let mut cursors = Cursors::new(blocks, vertices, ranges[0].start);
                let part = |rows: &Range<usize>| Part::new(&mut cursors, rows, &counts);
                ranges.iter().map(part).collect::<Vec<_>>()
            })
            .collect();
        Self { vertices, parts }
    }

    /// Its blocks, in the order of their rows.
    pub fn blocks(&self) -> Vec<SparseBlock<'_>> {
        let parts = self.parts.iter();
        parts.map(|part| part.block(self.vertices)).collect()
    }
}

/// How often each column is named.
fn in_degrees(blocks: &[SparseBlock<'_>], vertices: usize, threads: usize) -> Vec<u32> {
    let parts: Vec<Vec<u32>> = blocks
        .par_chunks(blocks.len().div_ceil(threads).max(1))
        .map(|blocks| {
            let mut counts = vec![0u32; vertices];
            for block in blocks {
                count_columns(block, &mut counts);
            }
            counts
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut counts = parts.next().unwrap_or_default();
    for part in parts {
        for (count, more) in counts.iter_mut().zip(part) {
            *count += more;
        }
    }
    counts
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

    /// The edges into `rows`, of which `counts` has the number for every vertex. `cursors` stand at
    /// the first of these rows, and behind the last one afterwards.
    fn new(cursors: &mut Cursors<'_>, rows: &Range<usize>, counts: &[u32]) -> Self {
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        let mut next = Vec::with_capacity(rows.len());
        let mut end = 0;
        offsets.push(0);
        for &count in &counts[rows.clone()] {
            next.push(end);
            end += count as usize;
            offsets.push(end as i32);
        }
        let mut part = Self {
            offsets,
            columns: vec![0; end],
            values: cursors.weighted.then(|| vec![0.0; end]),
        };
        cursors.pass(rows.end, |source, target, value| {
            let place = next[target - rows.start];
            next[target - rows.start] += 1;
            part.columns[place] = source;
            if let Some(values) = &mut part.values {
                values[place] = value;
            }
        });
        part
    }
}

/// How far the edges of every row have been passed.
struct Cursors<'a> {
    blocks: &'a [SparseBlock<'a>],
    weighted: bool,
    /// Edges of each row that lie before.
    passed: Vec<u32>,
}

impl<'a> Cursors<'a> {
    /// At the first edges to `target` or beyond, of every row.
    fn new(blocks: &'a [SparseBlock<'a>], vertices: usize, target: usize) -> Self {
        let mut passed = vec![0; vertices];
        if target > 0 {
            for (segment, _, passed) in by_block(blocks, &mut passed) {
                for (row, passed) in passed.iter_mut().enumerate() {
                    *passed = before(segment.columns, segment.row(row), target) as u32;
                }
            }
        }
        Self {
            blocks,
            weighted: blocks.iter().any(|block| edges(block).values.is_some()),
            passed,
        }
    }

    /// Passes the edges to targets before `end`, in the order of the rows.
    fn pass(&mut self, end: usize, mut edge: impl FnMut(u32, usize, f32)) {
        for (segment, first, passed) in by_block(self.blocks, &mut self.passed) {
            for (row, passed) in passed.iter_mut().enumerate() {
                let span = segment.row(row);
                let mut place = span.start + *passed as usize;
                while place < span.end {
                    let target = segment.columns.get(place);
                    if target >= end {
                        break;
                    }
                    edge((first + row) as u32, target, segment.value(place));
                    place += 1;
                }
                *passed = (place - span.start) as u32;
            }
        }
    }
}

/// The edges of each block, the vertex of its first row, and the numbers of its rows.
fn by_block<'a, 'b>(
    blocks: &'a [SparseBlock<'a>],
    mut numbers: &'b mut [u32],
) -> impl Iterator<Item = (&'a Segment<'a>, usize, &'b mut [u32])> {
    let mut next = 0;
    blocks.iter().map(move |block| {
        let first = next;
        next += block.nrows;
        (edges(block), first, take(&mut numbers, block.nrows))
    })
}

/// Entries of a row, whose columns ascend, before `target`.
fn before(columns: Columns<'_>, span: Range<usize>, target: usize) -> usize {
    match columns {
        Columns::U16(columns) => columns[span].partition_point(|&c| usize::from(c) < target),
        Columns::U32(columns) => columns[span].partition_point(|&c| (c as usize) < target),
    }
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
            threads in 1usize..5,
            short in any::<bool>(),
        ) {
            let mut offsets = vec![0];
            let columns: Vec<u32> = lists.iter().flatten().copied().collect();
            for list in &lists {
                offsets.push(offsets[offsets.len() - 1] + list.len() as i32);
            }
            let halves: Vec<u16> = columns.iter().map(|&column| column as u16).collect();
            let values: Vec<f32> = (0..columns.len()).map(|k| k as f32 + 0.5).collect();
            let block = |rows: Range<usize>| SparseBlock {
                nrows: rows.len(),
                ncols: 30,
                segments: vec![Segment {
                    first_column: 0,
                    width: 30,
                    offsets: &offsets[rows.start..=rows.end],
                    columns: match short {
                        true => Columns::U16(&halves),
                        false => Columns::U32(&columns),
                    },
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
            let threads = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let threads = threads.build().expect("threads");
            let mut expected: Vec<_> = list(&graph).into_iter().map(|(u, v, w)| (v, u, w)).collect();
            expected.sort_by_key(|edge| (edge.0, edge.1));
            let transposed = threads.install(|| Transposed::new(&graph));
            let blocks = transposed.blocks();
            prop_assert!(blocks.iter().all(|block| block.validate().is_ok()));
            prop_assert_eq!(blocks.iter().map(|block| block.nrows).sum::<usize>(), 30);
            prop_assert_eq!(list(&blocks), expected);
        }
    }
}
