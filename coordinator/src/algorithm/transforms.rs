//! Transforms of a matrix: local ones while its blocks are built, those that need other rows after.

use rankmill_common::input::Transform;
use rankmill_common::operator::build_block::{Names, Statistics};
use rankmill_common::operator::{BuiltBlock, TransformBlock};
use rankmill_common::{Digest, Result};

use crate::stages::Stages;

/// The local transforms up front, then each global one with the local ones behind it.
pub(super) fn split(all: &[Transform]) -> (Vec<Transform>, Vec<(Transform, Vec<Transform>)>) {
    let mut local = Vec::new();
    let mut global: Vec<(Transform, Vec<Transform>)> = Vec::new();
    for transform in all {
        match (transform.is_local(), global.last_mut()) {
            (true, None) => local.push(*transform),
            (true, Some((_, then))) => then.push(*transform),
            (false, _) => global.push((*transform, Vec::new())),
        }
    }
    (local, global)
}

/// Whether a later transform needs column statistics.
pub(super) fn collect_if(needed: bool) -> Statistics {
    match needed {
        true => Statistics::Collect,
        false => Statistics::Skip,
    }
}

/// Applies the global transforms, each with the local ones behind it; only what the last one makes
/// outlives the job.
pub(super) async fn transform(
    stages: &Stages,
    mut built: Vec<BuiltBlock>,
    transforms: Vec<(Transform, Vec<Transform>)>,
    (nrows, ncols, names): (u64, u64, &Names),
    digest: Digest,
) -> Result<Vec<BuiltBlock>> {
    let count = transforms.len();
    for (index, (transform, then)) in transforms.into_iter().enumerate() {
        let column_statistics: Vec<_> = built
            .iter()
            .filter_map(|block| block.statistics.clone())
            .collect();
        let sum = built.iter().map(|block| block.sum).sum();
        let operators = built.iter().map(|block| TransformBlock {
            block: block.block.clone(),
            ncols,
            nrows,
            sum,
            column_statistics: column_statistics.clone(),
            transform,
            then: then.clone(),
            statistics: collect_if(index + 1 < count),
            names: names.clone(),
        });
        let name = format!("apply {}", transform.name());
        let operators = operators.collect();
        let next = match index + 1 == count {
            true => stages.run_for_matrix(digest, &name, operators).await?,
            false => stages.run(&name, operators).await?,
        };
        stages.release(built.iter().map(|block| &block.block.object));
        stages.release(&column_statistics);
        built = next;
    }
    Ok(built)
}
