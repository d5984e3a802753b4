//! From the ids of all pieces to id tables.
//!
//! Integers that lie in a narrow range, by their footers, are coded as distances: their entries are
//! counted, and the counts say which ids there are. All other ids are listed by piece and merged.

use rankmill_common::matrix::{RowRange, VertexOrder};
use rankmill_common::operator::count_ids::Ends;
use rankmill_common::operator::encode_entries::PieceIds;
use rankmill_common::operator::merge_ids::Counts;
use rankmill_common::operator::{
    CountIds, CountedIds, EncodedEntries, IndexIds, ListIds, MergeIds, MergedIds,
};
use rankmill_common::table::{IdRange, IdShard, IdTable, IdType};
use rankmill_common::{Digest, Error, ObjectRef, Result};

use crate::stages::Stages;

/// Ids of one shard of an id table.
const SHARD_IDS: u64 = 1 << 22;

/// The ids of rows, of columns, or of vertices.
pub(super) struct Side {
    /// Whose ids they are, for people.
    pub(super) name: &'static str,
    pub(super) ends: Ends,
    pub(super) id_type: IdType,
    /// Where they lie, if they are coded as distances.
    pub(super) range: Option<IdRange>,
    /// Entries after which a block of rows should end.
    pub(super) block_entries: Option<u64>,
    pub(super) keep: Counts,
}

/// Ids that are indices below `count`.
pub(super) fn indices(name: &str, id_type: IdType, count: u64) -> Result<IdTable> {
    if !id_type.holds_indices(count) {
        let last = count.saturating_sub(1);
        return Err(Error::invalid_input(format!(
            "the last {name} would have the id {last}, which the type of that column, {id_type:?}, \
             does not hold; give it a wider type, or declare fewer by --shape, or --vertices of a \
             graph"
        )));
    }
    Ok(IdTable::Range { id_type, count })
}

/// How often the ids of each side occur, for the sides whose ids are coded as distances.
pub(super) async fn count(
    stages: &Stages,
    sides: &[&Side],
    pieces: &[EncodedEntries],
) -> Result<Vec<Vec<ObjectRef>>> {
    let by_side: Vec<Vec<CountIds>> = sides
        .iter()
        .map(|side| counting_operators(side, pieces))
        .collect();
    let tasks: Vec<usize> = by_side.iter().map(Vec::len).collect();
    let operators: Vec<_> = by_side.into_iter().flatten().collect();
    if operators.is_empty() {
        return Ok(vec![Vec::new(); sides.len()]);
    }
    let counted = stages.run("count ids", operators).await?;
    let mut counted = counted.into_iter().map(|CountedIds { object }| object);
    let of_side = |tasks| counted.by_ref().take(tasks).collect();
    Ok(tasks.into_iter().map(of_side).collect())
}

/// None where ids are not coded as distances.
fn counting_operators(side: &Side, pieces: &[EncodedEntries]) -> Vec<CountIds> {
    let Some(IdRange { span, .. }) = side.range else {
        return Vec::new();
    };
    let operator = |entries| CountIds {
        entries,
        ends: side.ends,
        span,
    };
    let groups = groups(pieces, CountIds::entries_of_task(span));
    groups.into_iter().map(operator).collect()
}

/// Pieces of up to `most` entries together.
fn groups(pieces: &[EncodedEntries], most: u64) -> Vec<Vec<ObjectRef>> {
    let (mut groups, mut entries): (Vec<Vec<ObjectRef>>, u64) = (Vec::new(), 0);
    for piece in pieces {
        if groups.is_empty() || entries + piece.count > most {
            groups.push(Vec::new());
            entries = 0;
        }
        entries += piece.count;
        if let Some(group) = groups.last_mut() {
            group.push(piece.entries.clone());
        }
    }
    groups
}

/// The shards of a side's id table: one stage, whichever way ids are coded.
pub(super) async fn list(
    stages: &Stages,
    digest: Digest,
    side: &Side,
    pieces: &[EncodedEntries],
    counts: &[ObjectRef],
) -> Result<Vec<MergedIds>> {
    let name = format!("merge {} ids", side.name);
    match side.range {
        Some(range) => {
            let operators = list_operators(side, range, counts);
            stages.run_for_matrix(digest, &name, operators).await
        }
        None => {
            let operators = merge_operators(side, pieces);
            stages.run_for_matrix(digest, &name, operators).await
        }
    }
}

fn list_operators(side: &Side, range: IdRange, counts: &[ObjectRef]) -> Vec<ListIds> {
    let shards = RowRange::cut(range.span, SHARD_IDS);
    shards
        .into_iter()
        .map(|codes| ListIds {
            counts: counts.to_vec(),
            range,
            id_type: side.id_type,
            codes,
            block_entries: side.block_entries,
            keep: side.keep,
        })
        .collect()
}

fn merge_operators(side: &Side, pieces: &[EncodedEntries]) -> Vec<MergeIds> {
    let ends = |piece: &EncodedEntries| -> [Option<PieceIds>; 2] {
        let (rows, columns) = (piece.row_ids.clone(), piece.column_ids.clone());
        match side.ends {
            Ends::Rows => [rows, None],
            Ends::Columns => [None, columns],
            Ends::Both => [rows, columns],
        }
    };
    let lists: Vec<PieceIds> = pieces.iter().flat_map(ends).flatten().collect();
    let ids: u64 = lists.iter().map(|list| list.count).sum();
    let shards = ids.div_ceil(SHARD_IDS).max(1) as u32;
    (0..shards)
        .map(|shard| MergeIds {
            pieces: lists.clone(),
            shard,
            shards,
            block_entries: side.block_entries,
            counts: side.keep,
        })
        .collect()
}

/// The id table that some shards make.
pub(super) fn dictionary(
    id_type: IdType,
    parts: impl Iterator<Item = (ObjectRef, u64)>,
) -> IdTable {
    let mut start = 0;
    let shards = parts
        .map(|(object, count)| {
            let shard = IdShard {
                start,
                count,
                object,
            };
            start += count;
            shard
        })
        .collect();
    IdTable::Dictionary { id_type, shards }
}

/// The index of every code, for the tables whose ids are coded as distances.
pub(super) async fn index<const N: usize>(
    stages: &Stages,
    tables: [(Option<IdRange>, &IdTable); N],
    order: Option<&VertexOrder>,
) -> Result<[Option<ObjectRef>; N]> {
    let narrow = tables
        .iter()
        .filter_map(|(range, ids)| Some((*range.as_ref()?, *ids)));
    let operators: Vec<_> = narrow
        .map(|(range, ids)| IndexIds {
            ids: ids.clone(),
            range,
            order: order.cloned(),
        })
        .collect();
    if operators.is_empty() {
        return Ok([const { None }; N]);
    }
    let mut indexed = stages.run("index ids", operators).await?.into_iter();
    let mut next = |(range, _): (Option<IdRange>, &IdTable)| match range {
        Some(_) => indexed.next().map(|indexed| Some(indexed.object)),
        None => Some(None),
    };
    let objects: Option<Vec<_>> = tables.into_iter().map(&mut next).collect();
    objects
        .and_then(|objects| objects.try_into().ok())
        .ok_or_else(|| Error::internal("fewer tables of indices than tables of ids"))
}
