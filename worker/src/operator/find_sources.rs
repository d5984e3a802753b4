//! `find_sources`: the sources of personalized PageRank, as vertices of the graph.
//!
//! Names of sources are kept in the users' own type and in ascending order, whatever the order in
//! which they came, so that the result does not depend on it.

mod table;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, UInt32Array};
use arrow::array::{Float64Array, PrimitiveArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use rankmill_common::job::ppr::{OnMissingSource, Seeds};
use rankmill_common::operator::find_sources::{FindSources, FoundSources};
use rankmill_common::table::{IdShard, IdTable, IdType};
use rankmill_common::{Error, Result};
use rankmill_kernels::Compensated;

use crate::context::TaskContext;
use crate::ids::column::IdColumn;
use crate::ids::sorted::{SortedIds, Visitor, visit};
use crate::ids::{stored_type, with_integer_type};
use crate::storage::input::type_name;
use crate::storage::ipc::{IpcFile, write_batch};
use crate::storage::order::Order;

/// Missing sources that an error names.
const NAMED: usize = 10;

pub(crate) fn run(context: &TaskContext, operator: &FindSources) -> Result<FoundSources> {
    let id_type = id_type(&operator.ids)?;
    let order = Order::open(context, operator.order.as_ref(), operator.ids.count())?;
    let find = Find {
        context,
        operator,
        id_type,
        order,
    };
    match &operator.seeds {
        Seeds::All => Err(Error::internal("a search for all vertices")),
        Seeds::Ids { ids } => find.vertices(&parse(ids, id_type)?),
        Seeds::Sources { paths, column } => {
            let mut ids = None;
            table::read(context, paths, |reader| {
                let name = table::only_column(reader, column.as_deref())?;
                table::append_ids(reader, &name, &mut ids)
            })?;
            let ids: IdColumn = ids.ok_or_else(|| Error::invalid_input("no source is given"))?;
            find.vertices(&ids.encode()?.ids)
        }
        Seeds::Table {
            paths,
            source,
            vertex,
            weight,
        } => {
            let seeds = table::SeedRows::read(context, paths, source, vertex, weight.as_deref())?;
            find.seeds(seeds)
        }
    }
}

fn id_type(ids: &IdTable) -> Result<IdType> {
    match ids {
        IdTable::Dictionary { id_type, .. } | IdTable::Range { id_type, .. } => Ok(*id_type),
        IdTable::Names { .. } => Err(Error::internal("vertices are no columns")),
    }
}

/// Ids as people write them, distinct and ascending.
fn parse(ids: &[String], id_type: IdType) -> Result<ArrayRef> {
    let texts: ArrayRef = match id_type {
        IdType::Utf8 => Arc::new(arrow::array::StringViewArray::from_iter_values(ids)),
        IdType::Binary | IdType::FixedSizeBinary(_) => {
            return Err(Error::invalid_input(
                "the graph's ids are bytes, which cannot be written on a command line: name a \
                 Parquet file of sources",
            ));
        }
        IdType::Int8
        | IdType::Int16
        | IdType::Int32
        | IdType::Int64
        | IdType::UInt8
        | IdType::UInt16
        | IdType::UInt32
        | IdType::UInt64 => {
            let texts = StringArray::from_iter_values(ids.iter().map(|id| id.trim()));
            let numbers = cast(&texts, &stored_type(id_type)).map_err(|e| internal(&e))?;
            if let Some(wrong) = (0..ids.len()).find(|&row| numbers.is_null(row)) {
                return Err(Error::invalid_input(format!(
                    "source {:?} is no id of this graph: its ids are of type {}",
                    ids[wrong],
                    type_name(numbers.data_type())
                )));
            }
            numbers
        }
    };
    let mut column = IdColumn::new(id_type);
    column.push(&texts)?;
    Ok(column.encode()?.ids)
}

struct Find<'a> {
    context: &'a TaskContext,
    operator: &'a FindSources,
    id_type: IdType,
    order: Order,
}

impl Find<'_> {
    /// Sources that are vertices themselves.
    fn vertices(&self, ids: &ArrayRef) -> Result<FoundSources> {
        let given = ids;
        let ids = self.in_graph_type(given)?;
        let found = self.indices(&ids, (given, "sources"))?;
        let kept: Vec<u32> = (0..)
            .zip(&found)
            .filter(|(_, f)| f.is_some())
            .map(|(i, _)| i)
            .collect();
        let names = take(&ids, &UInt32Array::from(kept), None).map_err(|e| internal(&e))?;
        let skipped = (found.len() - names.len()) as u64;
        let lists = found
            .into_iter()
            .flatten()
            .map(|index| vec![(index, 1.0)])
            .collect();
        self.write(&names, self.id_type, lists, skipped)
    }

    /// Sources that are weighted sets of vertices.
    fn seeds(&self, seeds: table::SeedRows) -> Result<FoundSources> {
        let vertices = self.in_graph_type(&seeds.vertices.ids)?;
        let indices = self.indices(&vertices, (&seeds.vertices.ids, "seeds"))?;
        let mut lists: Vec<Vec<(u32, f64)>> = vec![Vec::new(); seeds.sources.ids.len()];
        for (row, &source) in seeds.sources.codes.iter().enumerate() {
            if let Some(index) = indices[seeds.vertices.codes[row] as usize] {
                lists[source as usize].push((index, seeds.weight(row)));
            }
        }
        for list in &mut lists {
            *list = shares(std::mem::take(list));
        }
        let kept: Vec<u32> = (0..)
            .zip(&lists)
            .filter(|(_, l)| !l.is_empty())
            .map(|(i, _)| i)
            .collect();
        let names = take(&seeds.sources.ids, &UInt32Array::from(kept), None);
        let all = lists.len();
        lists.retain(|list| !list.is_empty());
        let skipped = (all - lists.len()) as u64;
        self.write(
            &names.map_err(|e| internal(&e))?,
            seeds.source_type,
            lists,
            skipped,
        )
    }

    /// Ids in the type of the graph's ids; those that it cannot hold become null.
    fn in_graph_type(&self, ids: &ArrayRef) -> Result<ArrayRef> {
        let wanted = stored_type(self.id_type);
        let found = ids.data_type();
        if *found == wanted {
            return Ok(Arc::clone(ids));
        }
        if found.is_integer() && wanted.is_integer() {
            return cast(ids, &wanted).map_err(|e| internal(&e));
        }
        Err(Error::invalid_input(format!(
            "sources have ids of type {}, the graph of type {}: cast one of them",
            as_read(found),
            as_read(&wanted)
        )))
    }

    /// Index of every id; an error for missing ones unless they may be skipped. It calls them by what
    /// they are and as they were `given`.
    fn indices(
        &self,
        ids: &ArrayRef,
        (given, what): (&ArrayRef, &str),
    ) -> Result<Vec<Option<u32>>> {
        let places = self.places(ids)?;
        let missing: Vec<usize> = (0..ids.len())
            .filter(|&row| places[row].is_none())
            .collect();
        if !missing.is_empty() && self.operator.on_missing == OnMissingSource::Error {
            let named = missing.iter().take(NAMED);
            let names = named
                .map(|&row| array_value_to_string(given, row))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| internal(&e))?;
            let more = if missing.len() > NAMED { ", …" } else { "" };
            return Err(Error::invalid_input(format!(
                "{} of {} {what} are not in the graph: {}{more}; leave them out with \
                 --on-missing-source skip",
                missing.len(),
                ids.len(),
                names.join(", ")
            )));
        }
        if missing.len() == ids.len() {
            return Err(Error::invalid_input(format!(
                "none of the {what} is in the graph"
            )));
        }
        let index = |place: Option<u32>| place.map(|place| self.order.index(place));
        Ok(places.into_iter().map(index).collect())
    }

    /// Place of every id among the graph's.
    fn places(&self, ids: &ArrayRef) -> Result<Vec<Option<u32>>> {
        let shards = match &self.operator.ids {
            IdTable::Dictionary { shards, .. } => shards,
            IdTable::Range { count, .. } => return places_in_range(ids, *count),
            IdTable::Names { .. } => return Err(Error::internal("vertices are no columns")),
        };
        // Integers that the graph's type cannot hold became nulls, whose values mean nothing.
        let mut places = vec![None; ids.len()];
        for shard in shards {
            let file = IpcFile::open(self.context, &shard.object)?;
            let mut start = shard.start;
            for batch in file.batches() {
                let known = batch?.column_by_name("id").cloned();
                let known = known.ok_or_else(|| Error::internal("an id table without ids"))?;
                let count = known.len() as u64;
                let look_up = LookUp {
                    start,
                    places: &mut places,
                };
                visit(&[Arc::clone(ids), known], look_up)?;
                start += count;
            }
        }
        for (row, place) in places.iter_mut().enumerate() {
            if ids.is_null(row) {
                *place = None;
            }
        }
        Ok(places)
    }

    fn write(
        &self,
        names: &ArrayRef,
        id_type: IdType,
        lists: Vec<Vec<(u32, f64)>>,
        skipped: u64,
    ) -> Result<FoundSources> {
        let count = lists.len() as u64;
        let lengths = lists.iter().map(Vec::len);
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let vertices: ScalarBuffer<u32> = lists.iter().flatten().map(|seed| seed.0).collect();
        let weights: ScalarBuffer<f64> = lists.iter().flatten().map(|seed| seed.1).collect();
        let list = |values: ArrayRef| -> Result<ArrayRef> {
            let item = Arc::new(Field::new("item", values.data_type().clone(), false));
            let list = ListArray::try_new(item, offsets.clone(), values, None);
            Ok(Arc::new(list.map_err(|e| internal(&e))?))
        };
        let vertices = list(Arc::new(PrimitiveArray::new(vertices, None) as UInt32Array))?;
        let weights = list(Arc::new(Float64Array::new(weights, None)))?;
        let columns = [("vertices", vertices), ("weights", weights)];
        let batch = RecordBatch::try_from_iter(columns).map_err(|e| internal(&e))?;
        let schema = Schema::new(vec![Field::new("id", names.data_type().clone(), false)]);
        let named = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(names)]);
        let object = write_batch(
            self.context,
            "names.arrow",
            &named.map_err(|e| internal(&e))?,
        )?;
        let shards = vec![IdShard {
            start: 0,
            count,
            object,
        }];
        Ok(FoundSources {
            object: write_batch(self.context, "sources.arrow", &batch)?,
            names: IdTable::Dictionary { id_type, shards },
            count,
            skipped,
        })
    }
}

/// Adds up the weights of each vertex and divides them by the sum of all. However many there are, a
/// share is off by the three roundings that bounds count (`rankmill_kernels::graph`).
fn shares(mut weights: Vec<(u32, f64)>) -> Vec<(u32, f64)> {
    // Stable: weights of one vertex are added in the order of the file.
    weights.sort_by_key(|&(vertex, _)| vertex);
    let sum = |rows: &[(u32, f64)]| {
        let weights = rows.iter().map(|&(_, weight)| weight);
        weights.collect::<Compensated>().value()
    };
    let total = sum(&weights);
    let vertices = weights.chunk_by(|a, b| a.0 == b.0);
    vertices
        .map(|rows| (rows[0].0, sum(rows) / total))
        .collect()
}

/// The name of the type that a column had in its file, by the type that its ids are kept in.
fn as_read(stored: &DataType) -> String {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the rest are kept as they are"
    )]
    match stored {
        DataType::LargeUtf8 => type_name(&DataType::Utf8View),
        DataType::LargeBinary => type_name(&DataType::BinaryView),
        other => type_name(other),
    }
}

fn places_in_range(ids: &ArrayRef, count: u64) -> Result<Vec<Option<u32>>> {
    with_integer_type!(ids.data_type(), T => {
        let place = |id: Option<_>| {
            let id = i128::from(id?);
            u32::try_from(id).ok().filter(|&place| u64::from(place) < count)
        };
        Ok(ids.as_primitive::<T>().iter().map(place).collect())
    }, Err(Error::internal("dense ids that are no integers")))
}

/// Finds wanted ids (first array) among some known ones (second array), whose first place is
/// `start`. Both ascend.
struct LookUp<'a> {
    start: u64,
    places: &'a mut [Option<u32>],
}

impl Visitor for LookUp<'_> {
    type Output = ();

    fn visit<S: SortedIds>(self, arrays: &[S]) -> Result<()> {
        let &[wanted, known] = arrays else {
            return Err(Error::internal("two arrays of ids are needed"));
        };
        let mut near = 0;
        for row in 0..wanted.len() {
            let key = wanted.key(row);
            near = known.seek(near, key);
            if near == known.len() {
                break;
            }
            if known.key(near) == key {
                self.places[row] = u32::try_from(self.start + near as u64).ok();
            }
        }
        Ok(())
    }
}

fn internal(error: &arrow::error::ArrowError) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_ids_are_distinct_and_ascending() {
        let texts = ["10", " 9", "10"].map(str::to_owned);
        let ids = parse(&texts, IdType::Int32).expect("integers");
        assert_eq!(
            ids.as_primitive::<arrow::datatypes::Int32Type>().values(),
            &[9, 10]
        );
        let ids = parse(&texts, IdType::Utf8).expect("text");
        assert_eq!(
            ids.as_string::<i64>().iter().flatten().collect::<Vec<_>>(),
            [" 9", "10"]
        );
        let error = parse(&["x7".to_owned()], IdType::Int64).expect_err("no integer");
        assert!(error.message.contains("x7"), "{error}");
    }

    #[test]
    fn shares_of_a_vertex_add_up_to_their_part_of_one() {
        let list = vec![(7, 1.0), (3, 2.0), (7, 1.0)];
        assert_eq!(shares(list), [(3, 0.5), (7, 0.5)]);
    }

    #[test]
    fn shares_are_exact_however_many_small_ones_there_are() {
        // Each of the small ones is lost in the sum if it is added to the large one by itself.
        let (large, small, count) = (f64::from(1u32 << 30), 0.49 / f64::from(1u32 << 22), 100_000);
        let total = large + f64::from(count) * small;
        let alone = (1..=count).map(|vertex| (vertex, small));
        let found = shares([(0, large)].into_iter().chain(alone).collect());
        assert!((found[0].1 - large / total).abs() <= f64::EPSILON);
        let together = (1..=count).map(|_| (0, small));
        let rows = [(0, large), (1, large)].into_iter().chain(together);
        let found = shares(rows.collect());
        assert!((found[0].1 - total / (total + large)).abs() <= f64::EPSILON);
    }

    #[test]
    fn types_are_named_as_their_files_have_them() {
        let name = |id_type| as_read(&stored_type(id_type));
        assert_eq!(name(IdType::Utf8), "string");
        assert_eq!(name(IdType::Binary), "binary");
        assert_eq!(name(IdType::Int64), "int64");
    }

    #[test]
    fn dense_ids_outside_the_graph_are_missing() {
        let ids: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![-1, 0, 4, 5]));
        assert_eq!(
            places_in_range(&ids, 5),
            Ok(vec![None, Some(0), Some(4), None])
        );
    }
}
