//! `Input` ↔ [`InputSpec`].

use rankmill_common::input::{
    DenseLayout, Duplicates, EdgeDirection, GraphLayout, Ids, InputSpec, Layout, OnBadRow,
    SparseLayout, Transform,
};
use rankmill_common::{Error, Result};

use super::required;
use crate::pb;

impl TryFrom<pb::Input> for InputSpec {
    type Error = Error;

    fn try_from(input: pb::Input) -> Result<Self> {
        let layout = match required(input.layout, "input.layout")? {
            pb::input::Layout::Sparse(layout) => Layout::Sparse(layout.try_into()?),
            pb::input::Layout::Dense(layout) => Layout::Dense(DenseLayout {
                id: layout.id,
                vector: layout.vector,
            }),
            pb::input::Layout::Graph(layout) => Layout::Graph(layout.into()),
        };
        Ok(Self {
            paths: input.paths,
            layout,
            on_bad_row: if input.skip_bad_rows {
                OnBadRow::Skip
            } else {
                OnBadRow::Error
            },
        })
    }
}

impl From<InputSpec> for pb::Input {
    fn from(input: InputSpec) -> Self {
        let layout = match input.layout {
            Layout::Sparse(layout) => pb::input::Layout::Sparse(layout.into()),
            Layout::Dense(layout) => pb::input::Layout::Dense(pb::DenseLayout {
                id: layout.id,
                vector: layout.vector,
            }),
            Layout::Graph(layout) => pb::input::Layout::Graph(layout.into()),
        };
        Self {
            paths: input.paths,
            layout: Some(layout),
            skip_bad_rows: input.on_bad_row == OnBadRow::Skip,
        }
    }
}

impl TryFrom<pb::SparseLayout> for SparseLayout {
    type Error = Error;

    fn try_from(layout: pb::SparseLayout) -> Result<Self> {
        let duplicates = duplicates(layout.duplicates());
        let ids = ids(layout.dense_ids);
        Ok(Self {
            row: layout.row,
            col: layout.col,
            value: layout.value,
            ids,
            duplicates,
            transforms: layout
                .transforms
                .iter()
                .map(Transform::try_from)
                .collect::<Result<_>>()?,
        })
    }
}

impl From<SparseLayout> for pb::SparseLayout {
    fn from(layout: SparseLayout) -> Self {
        let dense_ids = wire_ids(&layout.ids);
        Self {
            row: layout.row,
            col: layout.col,
            value: layout.value,
            dense_ids,
            duplicates: wire_duplicates(layout.duplicates).into(),
            transforms: layout.transforms.iter().map(wire_transform).collect(),
        }
    }
}

impl From<pb::GraphLayout> for GraphLayout {
    fn from(layout: pb::GraphLayout) -> Self {
        let duplicates = duplicates(layout.duplicates());
        Self {
            src: layout.src,
            dst: layout.dst,
            weight: layout.weight,
            ids: ids(layout.dense_ids),
            duplicates,
            edges: if layout.undirected {
                EdgeDirection::Undirected
            } else {
                EdgeDirection::Directed
            },
        }
    }
}

impl From<GraphLayout> for pb::GraphLayout {
    fn from(layout: GraphLayout) -> Self {
        Self {
            src: layout.src,
            dst: layout.dst,
            weight: layout.weight,
            dense_ids: wire_ids(&layout.ids),
            duplicates: wire_duplicates(layout.duplicates).into(),
            undirected: layout.edges == EdgeDirection::Undirected,
        }
    }
}

fn ids(dense: Option<pb::DenseIds>) -> Ids {
    match dense {
        None => Ids::Dictionary,
        Some(dense) => Ids::Dense {
            shape: dense.shape.map(|shape| (shape.nrows, shape.ncols)),
        },
    }
}

fn wire_ids(ids: &Ids) -> Option<pb::DenseIds> {
    match ids {
        Ids::Dictionary => None,
        Ids::Dense { shape } => Some(pb::DenseIds {
            shape: shape.map(|(nrows, ncols)| pb::Shape { nrows, ncols }),
        }),
    }
}

impl TryFrom<&pb::Transform> for Transform {
    type Error = Error;

    fn try_from(wire: &pb::Transform) -> Result<Self> {
        let transform: Self = wire.name.parse().map_err(Error::invalid_input)?;
        match transform {
            Self::Bm25 { k1, b } => Ok(Self::Bm25 {
                k1: wire.k1.unwrap_or(k1),
                b: wire.b.unwrap_or(b),
            }),
            Self::Binary
            | Self::Log1p
            | Self::Tfidf
            | Self::L1Rows
            | Self::L2Rows
            | Self::L1Cols
            | Self::L2Cols
            | Self::Degree => Ok(transform),
        }
    }
}

fn wire_transform(transform: &Transform) -> pb::Transform {
    let (k1, b) = match transform {
        Transform::Bm25 { k1, b } => (Some(*k1), Some(*b)),
        Transform::Binary
        | Transform::Log1p
        | Transform::Tfidf
        | Transform::L1Rows
        | Transform::L2Rows
        | Transform::L1Cols
        | Transform::L2Cols
        | Transform::Degree => (None, None),
    };
    pb::Transform {
        name: transform.name().to_owned(),
        k1,
        b,
    }
}

fn duplicates(wire: pb::Duplicates) -> Duplicates {
    match wire {
        pb::Duplicates::Unspecified | pb::Duplicates::Sum => Duplicates::Sum,
        pb::Duplicates::Max => Duplicates::Max,
        pb::Duplicates::Last => Duplicates::Last,
        pb::Duplicates::Error => Duplicates::Error,
    }
}

fn wire_duplicates(duplicates: Duplicates) -> pb::Duplicates {
    match duplicates {
        Duplicates::Sum => pb::Duplicates::Sum,
        Duplicates::Max => pb::Duplicates::Max,
        Duplicates::Last => pb::Duplicates::Last,
        Duplicates::Error => pb::Duplicates::Error,
    }
}
