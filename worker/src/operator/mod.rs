//! The operators, one file each: pure functions from named inputs to named outputs.
//!
//! An operator reads its inputs, computes on the current pool, writes below its attempt's prefix
//! and reports descriptors. It decides nothing and knows no algorithm.

mod build_block;
mod build_dense_block;
mod chebyshev;
mod column_residuals;
mod column_sums;
mod combine;
mod count_ids;
mod encode_entries;
mod entry_names;
mod find_sources;
mod gram;
mod index_ids;
mod inspect;
mod list_ids;
mod merge_ids;
mod merge_scores;
mod normal_multiply;
mod order_vertices;
mod page_rank_step;
mod part_rows;
mod partition_entries;
mod personal;
mod power_bound;
mod power_iteration;
mod power_scores;
mod published_matrix;
mod push_part;
mod push_scores;
mod read_index;
mod small_factorization;
mod small_matrix;
mod tall_matrix;
mod transform_block;
mod walk;
mod walk_part;
mod write_factors;
mod write_scores;
mod write_spectrum;

pub(crate) use inspect::run as inspect;
use rankmill_common::Result;
use rankmill_common::operator::{Operator, Report};

use crate::context::TaskContext;

/// Runs one task.
pub(crate) fn run(context: &TaskContext, operator: &Operator) -> Result<Report> {
    Ok(match operator {
        Operator::Inspect(parameters) => inspect::run(context, parameters)?.into(),
        Operator::EncodeEntries(parameters) => encode_entries::run(context, parameters)?.into(),
        Operator::MergeIds(parameters) => merge_ids::run(context, parameters)?.into(),
        Operator::CountIds(parameters) => count_ids::run(context, parameters)?.into(),
        Operator::ListIds(parameters) => list_ids::run(context, parameters)?.into(),
        Operator::IndexIds(parameters) => index_ids::run(context, parameters)?.into(),
        Operator::OrderVertices(parameters) => order_vertices::run(context, parameters)?.into(),
        Operator::PartitionEntries(parameters) => {
            partition_entries::run(context, parameters)?.into()
        }
        Operator::BuildBlock(parameters) => build_block::run(context, parameters)?.into(),
        Operator::BuildDenseBlock(parameters) => {
            build_dense_block::run(context, parameters)?.into()
        }
        Operator::TransformBlock(parameters) => transform_block::run(context, parameters)?.into(),
        Operator::FindMatrix(parameters) => published_matrix::find(context, parameters)?.into(),
        Operator::PublishMatrix(parameters) => {
            published_matrix::publish(context, parameters)?.into()
        }
        Operator::ColumnSums(parameters) => column_sums::run(context, parameters)?.into(),
        Operator::NormalMultiply(parameters) => normal_multiply::run(context, parameters)?.into(),
        Operator::Gram(parameters) => gram::run(context, parameters)?.into(),
        Operator::Combine(parameters) => combine::run(context, parameters)?.into(),
        Operator::SmallFactorization(parameters) => {
            small_factorization::run(context, parameters)?.into()
        }
        Operator::ColumnResiduals(parameters) => column_residuals::run(context, parameters)?.into(),
        Operator::WriteFactors(parameters) => write_factors::run(context, parameters)?.into(),
        Operator::WriteSpectrum(parameters) => write_spectrum::run(context, parameters)?.into(),
        Operator::PageRankStep(parameters) => page_rank_step::run(context, parameters)?.into(),
        Operator::WriteScores(parameters) => write_scores::run(context, parameters)?.into(),
        Operator::FindSources(parameters) => find_sources::run(context, parameters)?.into(),
        Operator::PowerScores(parameters) => power_scores::run(context, parameters)?.into(),
        Operator::PushScores(parameters) => push_scores::run(context, parameters)?.into(),
        Operator::PushPart(parameters) => push_part::run(context, parameters)?.into(),
        Operator::MergeScores(parameters) => merge_scores::run(context, parameters)?.into(),
        Operator::Walk(parameters) => walk::run(context, parameters)?.into(),
        Operator::WalkPart(parameters) => walk_part::run(context, parameters)?.into(),
        Operator::GatherWalks(parameters) => walk_part::gather(context, parameters)?.into(),
        Operator::FindIndex(parameters) => read_index::find(context, parameters)?.into(),
        Operator::ReadIndex(parameters) => read_index::read(context, parameters)?.into(),
    })
}

#[cfg(test)]
mod support;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod ingest_tests;
