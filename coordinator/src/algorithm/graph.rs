//! From edges to a graph: one dictionary for both ends, vertices numbered by descending degree,
//! rows of incoming or outgoing edges.

use rankmill_common::estimate::parts::{BlockSize, block_entries};
use rankmill_common::input::{EdgeDirection, GraphLayout, Ids, InputSpec, Layout, Orientation};
use rankmill_common::manifest::{InputFile, MatrixSummary};
use rankmill_common::matrix::{
    BlockFormat, BlockRef, BlockedMatrix, Precision, RowRange, TallMatrix,
};
use rankmill_common::operator::build_block::{Names, Statistics, Values};
use rankmill_common::operator::combine::Coefficients;
use rankmill_common::operator::count_ids::Ends;
use rankmill_common::operator::encode_entries::Sign;
use rankmill_common::operator::merge_ids::Counts;
use rankmill_common::operator::order_vertices::Degrees;
use rankmill_common::operator::partition_entries::Mirror;
use rankmill_common::operator::{
    BuildBlock, ColumnSums, EncodeEntries, EncodedEntries, FindMatrix, Inspect, Inspection,
    OrderVertices, PartitionEntries, PublishMatrix,
};
use rankmill_common::table::{IdRange, IdTable};
use rankmill_common::{Digest, Error, Result};

use super::entries;
use super::ids::{self, Side};
use super::ingest;
use super::tall::{self, Combination};
use crate::stages::Stages;

/// Bytes of one file of scores, about.
const FILE_BYTES: u64 = 256 << 20;

/// A graph and the files it came from.
pub(super) struct Graph {
    pub(super) matrix: BlockedMatrix,
    /// Whether every edge goes both ways with the same weight.
    pub(super) symmetric: bool,
    pub(super) inputs: Vec<InputFile>,
}

/// What the input's footers say, and a handle to make the graph of it.
pub(super) struct Edges<'a> {
    input: &'a InputSpec,
    layout: &'a GraphLayout,
    inspection: Inspection,
}

impl<'a> Edges<'a> {
    /// Pins the input.
    pub(super) async fn inspect(stages: &Stages, input: &'a InputSpec) -> Result<Self> {
        let layout = match &input.layout {
            Layout::Graph(layout) => layout,
            Layout::Sparse(_) | Layout::Dense(_) => {
                return Err(Error::internal("a graph job whose input are no edges"));
            }
        };
        let inspect = Inspect {
            input: input.clone(),
        };
        let inspection = stages.run_one("inspect", inspect).await?;
        Ok(Self {
            input,
            layout,
            inspection,
        })
    }

    /// Makes blocks of the edges, or finds those of an earlier job.
    pub(super) async fn ingest(&self, stages: &Stages, orientation: Orientation) -> Result<Graph> {
        // Both orientations of an undirected graph are the same.
        let orientation = match self.layout.edges {
            EdgeDirection::Directed => orientation,
            EdgeDirection::Undirected => Orientation::Outgoing,
        };
        let inputs = self
            .inspection
            .files
            .iter()
            .map(ingest::input_file)
            .collect();
        let digest = self.inspection.graph_digest(self.input, orientation);
        let found = stages.run_one("find blocks", FindMatrix { digest }).await?;
        let symmetric = self.layout.edges == EdgeDirection::Undirected;
        if let Some(matrix) = found.matrix {
            return Ok(Graph {
                matrix,
                symmetric,
                inputs,
            });
        }
        let matrix = self.build(stages, orientation, digest).await?;
        let publish = PublishMatrix {
            matrix: matrix.clone(),
        };
        stages.run_one("publish blocks", publish).await?;
        Ok(Graph {
            matrix,
            symmetric,
            inputs,
        })
    }

    async fn build(
        &self,
        stages: &Stages,
        orientation: Orientation,
        digest: Digest,
    ) -> Result<BlockedMatrix> {
        let layout = self.layout.triplets(orientation);
        let range = self.range();
        let operators = self
            .inspection
            .pieces(ingest::piece_rows(self.inspection.rows()))
            .into_iter()
            .map(|piece| EncodeEntries {
                piece,
                layout: layout.clone(),
                on_bad_row: self.input.on_bad_row,
                sign: Sign::Positive,
                row_range: range,
                column_range: range,
                bucket_bits: None,
            });
        let pieces = stages.run("read edges", operators.collect()).await?;
        let skipped = pieces.iter().map(|piece| piece.skipped).sum();
        if pieces.iter().all(|piece| piece.count == 0) {
            return Err(Error::invalid_input(
                "the graph has no edges: every row of the input was left out",
            ));
        }
        let (ids, degrees) = self.vertices(stages, &pieces, range, digest).await?;
        let count = ids.count();
        if count >= u64::from(u32::MAX) {
            return Err(Error::invalid_input(format!(
                "the graph has {count} vertices; at most 4,294,967,294 are possible"
            )));
        }
        let order = OrderVertices {
            ids: ids.clone(),
            degrees,
            block_ends: 2 * block_entries(self.inspection.rows()),
        };
        let ordered = stages
            .run_for_matrix(digest, "order vertices", vec![order])
            .await?;
        let ordered = ingest::only(ordered, "order vertices")?;
        let mirror = match self.layout.edges {
            EdgeDirection::Directed => Mirror::Off,
            EdgeDirection::Undirected => Mirror::On,
        };
        let edges: u64 = pieces.iter().map(|piece| piece.count).sum();
        let blocks = ingest::cut_rows(&ordered.cuts, count);
        let blocks = entries::row_buckets(blocks, mirror.copies() * edges);
        let [indices] = ids::index(stages, [(range, &ids)], Some(&ordered.order)).await?;
        let operators = pieces.iter().map(|piece| PartitionEntries {
            piece: piece.clone(),
            row_ids: ids.clone(),
            column_ids: ids.clone(),
            row_indices: indices.clone(),
            column_indices: indices.clone(),
            blocks: blocks.clone(),
            // Indices of codes are in the new order already.
            order: indices.is_none().then(|| ordered.order.clone()),
            mirror,
        });
        let partitioned = stages.run("sort edges", operators.collect()).await?;
        stages.release(pieces.iter().flat_map(EncodedEntries::objects));
        stages.release(&indices);
        let entries = entries::of_blocks(&partitioned, &blocks);
        let operators = blocks
            .iter()
            .zip(entries)
            .map(|(block, entries)| BuildBlock {
                rows: block.rows,
                ncols: count,
                // One segment: the hubs that most edges lead to stay in cache by themselves.
                segment_width: count as u32,
                entries,
                duplicates: layout.duplicates,
                transforms: Vec::new(),
                statistics: Statistics::Skip,
                values: match layout.value {
                    Some(_) => Values::Stored,
                    None => Values::Ones,
                },
                names: Names::Graph {
                    vertices: ids.clone(),
                    order: Some(ordered.order.clone()),
                },
            });
        let built = stages
            .run_for_matrix(digest, "build blocks", operators.collect())
            .await?;
        stages.release(partitioned.iter().map(|piece| &piece.entries));
        let tables = (ids.clone(), ids);
        let mut matrix =
            ingest::assemble(digest, BlockFormat::Sparse, count, built, tables, skipped);
        matrix.order = Some(ordered.order);
        Ok(matrix)
    }

    /// Where the ids of all vertices lie, if they are to be coded as distances.
    fn range(&self) -> Option<IdRange> {
        let ends = self
            .inspection
            .row_id_range
            .zip(self.inspection.column_id_range);
        let range = ends.map(|(rows, columns)| rows.join(columns));
        match self.layout.ids {
            Ids::Dictionary => range.filter(|range| range.is_narrow(2 * self.inspection.rows())),
            Ids::Dense { .. } => None,
        }
    }

    /// All vertices, and where their degrees stand.
    async fn vertices(
        &self,
        stages: &Stages,
        pieces: &[EncodedEntries],
        range: Option<IdRange>,
        digest: Digest,
    ) -> Result<(IdTable, Degrees)> {
        let id_type = self.inspection.row_id_type;
        match &self.layout.ids {
            Ids::Dictionary => {
                let side = Side {
                    name: "vertex",
                    ends: Ends::Both,
                    id_type,
                    range,
                    block_entries: None,
                    keep: Counts::Keep,
                };
                let counts = ids::count(stages, &[&side], pieces).await?.concat();
                let merged = ids::list(stages, digest, &side, pieces, &counts).await?;
                stages.release(&counts);
                let parts = merged.into_iter().map(|ids| (ids.object, ids.count));
                Ok((ids::dictionary(id_type, parts), Degrees::Table))
            }
            Ids::Dense { shape } => {
                let largest = |piece: &EncodedEntries| piece.row_codes.max(piece.column_codes);
                let count = match shape {
                    Some((count, _)) => *count,
                    None => pieces.iter().map(largest).max().unwrap_or(0),
                };
                let degrees = Degrees::Pieces {
                    pieces: pieces.to_vec(),
                };
                Ok((ids::indices("vertex", id_type, count)?, degrees))
            }
        }
    }
}

impl Graph {
    /// The sizes of the blocks, for whoever decides how they are held.
    pub(super) fn block_sizes(&self) -> Vec<BlockSize> {
        self.matrix.blocks.iter().map(BlockSize::from).collect()
    }

    /// The blocks that hold any of `rows`.
    pub(super) fn blocks_of(&self, rows: RowRange) -> Vec<BlockRef> {
        let blocks = self.matrix.blocks.iter();
        let meets =
            |block: &&BlockRef| block.start < rows.end() && rows.start < block.start + block.nrows;
        blocks.filter(meets).cloned().collect()
    }

    /// Number of vertices.
    pub(super) fn vertices(&self) -> u64 {
        self.matrix.nrows
    }

    /// Out-strength of every vertex of a graph of incoming edges, n × 1 f64.
    pub(super) async fn out_strengths(&self, stages: &Stages) -> Result<TallMatrix> {
        // The same sums whatever a task may hold: it holds a block at a time.
        let groups = self.groups(u64::MAX).into_iter();
        let operators = groups.map(|blocks| ColumnSums {
            format: self.matrix.format,
            blocks,
            ncols: self.matrix.ncols,
        });
        let mut sums = stages.run("out-strengths", operators.collect()).await?;
        if let [_] = sums.as_slice() {
            return Ok(sums.remove(0).sums);
        }
        let terms = sums
            .iter()
            .map(|part| tall::stored(part.sums.clone(), Coefficients::Identity));
        let sum = Combination {
            precision: Precision::Double,
            ..Combination::new(self.vertices(), 1, terms.collect())
        };
        let strengths = tall::combine(stages, "out-strengths", sum).await?.matrix;
        stages.release(sums.iter().flat_map(|part| part.sums.objects()));
        Ok(strengths)
    }

    /// Blocks by task, of `bytes` bytes at most: one task as long as one machine reads them faster
    /// than several could exchange scores.
    pub(super) fn groups(&self, bytes: u64) -> Vec<Vec<BlockRef>> {
        let tasks = self.matrix.nnz.div_ceil(EDGES_PER_TASK).max(1);
        let share = self.matrix.nnz.div_ceil(tasks).max(1);
        let mut groups: Vec<Vec<BlockRef>> = Vec::new();
        let (mut entries, mut limit, mut held) = (0, 0, 0);
        for block in &self.matrix.blocks {
            let full = entries >= limit && block.nnz > 0;
            if groups.is_empty() || full {
                limit += share;
            }
            if groups.is_empty() || full || held + block.object.size > bytes {
                groups.push(Vec::new());
                held = 0;
            }
            entries += block.nnz;
            held += block.object.size;
            if let Some(group) = groups.last_mut() {
                group.push(block.clone());
            }
        }
        groups
    }

    /// Places of the vertices of each file of scores.
    pub(super) fn file_places(&self) -> Vec<RowRange> {
        const ROW_BYTES: u64 = 16;
        RowRange::cut(self.vertices(), FILE_BYTES / ROW_BYTES)
    }

    pub(super) fn summary(&self) -> MatrixSummary {
        MatrixSummary {
            nrows: self.matrix.nrows,
            ncols: self.matrix.ncols,
            nnz: self.matrix.nnz,
            frobenius2: self.matrix.frobenius2,
            skipped_rows: self.matrix.skipped_rows,
        }
    }
}

/// Edges of one task of a step.
const EDGES_PER_TASK: u64 = 1 << 28;
