//! Ingest as a whole: Parquet in, blocks out, through the operators as a job runs them.

mod bad_input;
mod blocks;
mod dense;
mod partition;
mod real_data;
mod speed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rankmill_common::input::{
    Duplicates, Ids, InputSpec, Layout, OnBadRow, SparseLayout, Transform,
};
use rankmill_common::matrix::{BlockFormat, RowRange};
use rankmill_common::operator::build_block::{
    BlockEntries, Names, PieceEntries, Statistics, Values,
};
use rankmill_common::operator::count_ids::Ends;
use rankmill_common::operator::encode_entries::Sign;
use rankmill_common::operator::merge_ids::Counts;
use rankmill_common::operator::partition_entries::{Mirror, RowBuckets};
use rankmill_common::operator::{
    BuildBlock, BuildDenseBlock, BuiltBlock, CountIds, EncodeEntries, EncodedEntries, IndexIds,
    Inspect, Inspection, ListIds, MergeIds, MergedIds, PartitionEntries, TransformBlock,
};
use rankmill_common::table::{IdRange, IdShard, IdTable, IdType};
use rankmill_common::{ObjectRef, Result};
use rankmill_kernels::Columns;
use rankmill_store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    build_block, build_dense_block, count_ids, encode_entries, index_ids, inspect, list_ids,
    merge_ids, partition_entries, published_matrix, transform_block,
};
use crate::context::TaskContext;
use crate::storage::Objects;
use crate::storage::block::{self, BlockView};
use crate::storage::id_rows;

/// A state store, a folder for inputs, and a network runtime.
struct Workshop {
    folder: TempDir,
    objects: Objects,
    runtime: Runtime,
    attempts: AtomicU32,
    memory: u64,
}

/// What ingest is cut into.
#[derive(Clone, Copy, Debug)]
struct Cut {
    piece_rows: u64,
    block_entries: u64,
    shards: u32,
    segment_width: u32,
    /// Whether entries of narrow ids are sorted as they are read, and how.
    bucket_bits: Option<u32>,
}

const COARSE: Cut = Cut {
    piece_rows: 1 << 21,
    block_entries: 1 << 22,
    shards: 1,
    segment_width: 1 << 16,
    bucket_bits: Some(4),
};

/// An ingested sparse matrix.
struct Ingested {
    blocks: Vec<BuiltBlock>,
    row_ids: IdTable,
    column_ids: IdTable,
    skipped: u64,
}

type Entries = BTreeMap<(String, String), f32>;

/// Where ids lie, if they are to be coded as distances.
fn ranges(inspection: &Inspection, layout: &SparseLayout) -> [Option<IdRange>; 2] {
    match layout.ids {
        Ids::Dense { .. } => [None, None],
        Ids::Dictionary => [inspection.row_id_range, inspection.column_id_range]
            .map(|range| range.filter(|range| range.is_narrow(inspection.rows()))),
    }
}

impl Workshop {
    fn new() -> Self {
        Self::with_state(None)
    }

    fn with_state(url: Option<&str>) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let state = folder.path().join("state").display().to_string();
        let state = Store::open(url.unwrap_or(&state)).expect("a store");
        let cache = folder.path().join("cache");
        Self {
            objects: Objects::open(state, Some(cache)).expect("objects"),
            runtime: Runtime::new().expect("a runtime"),
            folder,
            attempts: AtomicU32::new(0),
            memory: 1 << 30,
        }
    }

    fn context(&self) -> TaskContext {
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        TaskContext::new(
            self.objects.clone(),
            self.runtime.handle().clone(),
            format!("jobs/t/{attempt}"),
            self.memory,
            Arc::new(AtomicBool::new(false)),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes columns as the Parquet file `name`.
    fn parquet(&self, name: &str, columns: &[(&str, ArrayRef)], group_rows: usize) -> String {
        let path = self.path(name);
        write_parquet(&path, columns, group_rows, Compression::SNAPPY);
        path.display().to_string()
    }

    fn inspect(&self, input: &InputSpec) -> Result<Inspection> {
        let input = input.clone();
        inspect::run(&self.context(), &Inspect { input })
    }

    /// Runs ingest as a job does.
    fn ingest(&self, input: &InputSpec, cut: Cut) -> Result<Ingested> {
        let Layout::Sparse(layout) = &input.layout else {
            panic!("a sparse input");
        };
        let inspection = self.inspect(input)?;
        let mut pieces = Vec::new();
        let ranges = ranges(&inspection, layout);
        let are_narrow = ranges.iter().all(Option::is_some);
        for piece in inspection.pieces(cut.piece_rows) {
            let operator = EncodeEntries {
                piece,
                layout: layout.clone(),
                on_bad_row: input.on_bad_row,
                sign: Sign::Any,
                row_range: ranges[0],
                column_range: ranges[1],
                bucket_bits: cut.bucket_bits.filter(|_| are_narrow),
            };
            pieces.push(encode_entries::run(&self.context(), &operator)?);
        }
        let (row_ids, column_ids, blocks) = self.tables(&inspection, &pieces, layout, cut)?;
        let skipped = pieces.iter().map(|piece| piece.skipped).sum();
        let indices = [
            self.indices(ranges[0], &row_ids)?,
            self.indices(ranges[1], &column_ids)?,
        ];
        let entries = match (cut.bucket_bits, indices) {
            (Some(bucket_bits), [Some(row_indices), Some(column_indices)]) => {
                let coded = BlockEntries::Coded {
                    count: pieces.iter().map(|piece| piece.count).sum(),
                    pieces: pieces.into_iter().map(|piece| piece.entries).collect(),
                    bucket_bits,
                    row_indices,
                    column_indices,
                };
                vec![coded; blocks.len()]
            }
            (_, indices) => {
                let tables = (&row_ids, &column_ids);
                self.partition(&pieces, tables, &indices, &blocks, cut.bucket_bits)?
            }
        };
        let ncols = column_ids.count();
        let names = Names::Matrix {
            rows: row_ids.clone(),
            columns: column_ids.clone(),
        };
        let first_global = layout.transforms.iter().position(|t| !t.is_local());
        let (local, global) = layout
            .transforms
            .split_at(first_global.unwrap_or(layout.transforms.len()));
        let mut built = Vec::new();
        for (&rows, entries) in blocks.iter().zip(entries) {
            let operator = BuildBlock {
                rows,
                ncols,
                segment_width: cut.segment_width,
                entries,
                duplicates: layout.duplicates,
                transforms: local.to_vec(),
                statistics: if global.is_empty() {
                    Statistics::Skip
                } else {
                    Statistics::Collect
                },
                values: if layout.value.is_some() {
                    Values::Stored
                } else {
                    Values::Ones
                },
                names: names.clone(),
            };
            built.push(build_block::run(&self.context(), &operator)?);
        }
        if let [transform, then @ ..] = global {
            built = self.transform(&built, (*transform, then), (row_ids.count(), ncols), &names)?;
        }
        Ok(Ingested {
            blocks: built,
            row_ids,
            column_ids,
            skipped,
        })
    }

    fn transform(
        &self,
        built: &[BuiltBlock],
        (transform, then): (Transform, &[Transform]),
        (nrows, ncols): (u64, u64),
        names: &Names,
    ) -> Result<Vec<BuiltBlock>> {
        let column_statistics: Vec<_> = built.iter().filter_map(|b| b.statistics.clone()).collect();
        let sum = built.iter().map(|block| block.sum).sum();
        let apply = |block: &BuiltBlock| {
            let operator = TransformBlock {
                block: block.block.clone(),
                ncols,
                nrows,
                sum,
                column_statistics: column_statistics.clone(),
                transform,
                then: then.to_vec(),
                statistics: Statistics::Skip,
                names: names.clone(),
            };
            transform_block::run(&self.context(), &operator)
        };
        built.iter().map(apply).collect()
    }

    fn tables(
        &self,
        inspection: &Inspection,
        pieces: &[EncodedEntries],
        layout: &SparseLayout,
        cut: Cut,
    ) -> Result<(IdTable, IdTable, Vec<RowRange>)> {
        if let Ids::Dense { shape } = layout.ids {
            let most = |codes: fn(&EncodedEntries) -> u64| pieces.iter().map(codes).max();
            let (nrows, ncols) = shape.unwrap_or((
                most(|piece| piece.row_codes).unwrap_or(0),
                most(|piece| piece.column_codes).unwrap_or(0),
            ));
            let range = |id_type, count| IdTable::Range { id_type, count };
            let rows = range(inspection.row_id_type, nrows);
            let columns = range(inspection.column_id_type, ncols);
            return Ok((rows, columns, RowRange::cut(nrows, cut.block_entries)));
        }
        let [of_rows, of_columns] = ranges(inspection, layout);
        let rows = (Ends::Rows, inspection.row_id_type, of_rows);
        let columns = (Ends::Columns, inspection.column_id_type, of_columns);
        let (rows, ends) = self.table(pieces, rows, cut)?;
        let (columns, _) = self.table(pieces, columns, cut)?;
        let mut blocks = Vec::new();
        let mut start = 0;
        for end in ends.into_iter().chain([rows.count()]) {
            if end > start {
                let count = end - start;
                blocks.push(RowRange { start, count });
                start = end;
            }
        }
        Ok((rows, columns, blocks))
    }

    /// An id table, and where blocks end.
    fn table(
        &self,
        pieces: &[EncodedEntries],
        (ends, id_type, range): (Ends, IdType, Option<IdRange>),
        cut: Cut,
    ) -> Result<(IdTable, Vec<u64>)> {
        let merged = match range {
            Some(range) => self.list(pieces, (ends, id_type, range), cut)?,
            None => self.merge(pieces, ends, cut)?,
        };
        let (mut shards, mut cuts, mut start) = (Vec::new(), Vec::new(), 0);
        for merged in merged {
            cuts.extend(merged.cuts.iter().map(|cut| start + cut));
            shards.push(IdShard {
                start,
                count: merged.count,
                object: merged.object,
            });
            start += merged.count;
        }
        Ok((IdTable::Dictionary { id_type, shards }, cuts))
    }

    fn list(
        &self,
        pieces: &[EncodedEntries],
        (ends, id_type, range): (Ends, IdType, IdRange),
        cut: Cut,
    ) -> Result<Vec<MergedIds>> {
        let counts = pieces.chunks(2).map(|pieces| {
            let operator = CountIds {
                entries: pieces.iter().map(|piece| piece.entries.clone()).collect(),
                ends,
                span: range.span,
            };
            Ok(count_ids::run(&self.context(), &operator)?.object)
        });
        let counts = counts.collect::<Result<Vec<_>>>()?;
        let size = range.span.div_ceil(u64::from(cut.shards));
        let shards = RowRange::cut(range.span, size).into_iter().map(|codes| {
            let operator = ListIds {
                counts: counts.clone(),
                range,
                id_type,
                codes,
                block_entries: (ends == Ends::Rows).then_some(cut.block_entries),
                keep: Counts::Drop,
            };
            list_ids::run(&self.context(), &operator)
        });
        shards.collect()
    }

    fn merge(&self, pieces: &[EncodedEntries], ends: Ends, cut: Cut) -> Result<Vec<MergedIds>> {
        let ids = |piece: &EncodedEntries| match ends {
            Ends::Rows => piece.row_ids.clone(),
            Ends::Columns | Ends::Both => piece.column_ids.clone(),
        };
        let shards = (0..cut.shards).map(|shard| {
            let operator = MergeIds {
                pieces: pieces.iter().filter_map(ids).collect(),
                shard,
                shards: cut.shards,
                block_entries: (ends == Ends::Rows).then_some(cut.block_entries),
                counts: Counts::Drop,
            };
            merge_ids::run(&self.context(), &operator)
        });
        shards.collect()
    }

    fn indices(&self, range: Option<IdRange>, ids: &IdTable) -> Result<Option<ObjectRef>> {
        let Some(range) = range else { return Ok(None) };
        let operator = IndexIds {
            ids: ids.clone(),
            range,
            order: None,
        };
        Ok(Some(index_ids::run(&self.context(), &operator)?.object))
    }

    /// All ids of a table as text.
    fn ids(&self, table: &IdTable) -> Vec<String> {
        let rows = RowRange {
            start: 0,
            count: table.count(),
        };
        let ids = id_rows::read(&self.context(), table, rows).expect("ids");
        let text = cast(&ids, &DataType::Utf8).expect("text");
        let text = text.as_string::<i32>();
        (0..text.len())
            .map(|row| text.value(row).to_owned())
            .collect()
    }

    /// The matrix under the users' ids.
    fn entries(&self, ingested: &Ingested) -> Entries {
        let rows = self.ids(&ingested.row_ids);
        let columns = self.ids(&ingested.column_ids);
        let mut entries = Entries::new();
        for built in &ingested.blocks {
            let open = block::open(
                &self.context(),
                BlockFormat::Sparse,
                columns.len() as u64,
                &built.block,
            )
            .expect("a block");
            let BlockView::Sparse(view) = open.block().expect("a view") else {
                panic!("a sparse block");
            };
            for segment in &view.segments {
                let Columns::U16(local) = segment.columns else {
                    panic!("16 bits");
                };
                for row in 0..view.nrows {
                    let span = segment.offsets[row] as usize..segment.offsets[row + 1] as usize;
                    for place in span {
                        let column = segment.first_column + usize::from(local[place]);
                        let key = (
                            rows[built.block.start as usize + row].clone(),
                            columns[column].clone(),
                        );
                        let value = segment.values.map_or(1.0, |values| values[place]);
                        assert!(entries.insert(key, value).is_none(), "a duplicate");
                    }
                }
            }
        }
        entries
    }
}

fn write_parquet(
    path: &Path,
    columns: &[(&str, ArrayRef)],
    group_rows: usize,
    compression: Compression,
) {
    let columns = columns
        .iter()
        .map(|(name, array)| (*name, Arc::clone(array), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_compression(compression)
        .build();
    let file = std::fs::File::create(path).expect("a file");
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("a batch is written");
    writer.close().expect("a file is closed");
}

/// Triplets in columns `r`, `c` and, where it is named, `v`.
fn triplets(path: &str, value: bool) -> InputSpec {
    InputSpec {
        paths: vec![path.to_owned()],
        layout: Layout::Sparse(SparseLayout {
            row: "r".to_owned(),
            col: "c".to_owned(),
            value: value.then(|| "v".to_owned()),
            ids: Ids::Dictionary,
            duplicates: Duplicates::Sum,
            transforms: Vec::new(),
        }),
        on_bad_row: OnBadRow::Error,
    }
}

fn sparse(input: &mut InputSpec) -> &mut SparseLayout {
    match &mut input.layout {
        Layout::Sparse(layout) => layout,
        Layout::Dense(_) | Layout::Graph(_) => panic!("a sparse input"),
    }
}

fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("a pool").install(work)
}
