//! The instruction set: what workers can be asked to do.
//!
//! One file per operator, with its parameters, its inputs and the report that comes back. An
//! operator is a pure function from named inputs to named outputs; workers know no algorithm.
//! Large outputs are objects; a report holds descriptors and short vectors only.

pub mod build_block;
pub mod column_residuals;
pub mod column_sums;
pub mod combine;
pub mod count_ids;
pub mod encode_entries;
pub mod find_sources;
pub mod gram;
pub mod index_ids;
pub mod inspect;
pub mod list_ids;
pub mod merge_ids;
pub mod merge_scores;
pub mod normal_multiply;
pub mod order_vertices;
pub mod page_rank_step;
pub mod partition_entries;
pub mod power_scores;
pub mod published_matrix;
pub mod push_part;
pub mod push_scores;
pub mod read_index;
mod result_files;
pub mod small_factorization;
pub mod transform_block;
pub mod walk;
pub mod walk_part;
pub mod work;
pub mod write_factors;
pub mod write_scores;
pub mod write_spectrum;

use serde::{Deserialize, Serialize};

pub use build_block::{BuildBlock, BuildDenseBlock, BuiltBlock};
pub use column_residuals::{ColumnResiduals, ResidualParts};
pub use column_sums::{ColumnSums, ColumnSumsParts};
pub use combine::{Combine, Combined};
pub use count_ids::{CountIds, CountedIds};
pub use encode_entries::{EncodeEntries, EncodedEntries};
pub use find_sources::{FindSources, FoundSources};
pub use gram::{Gram, GramPart};
pub use index_ids::{IndexIds, IndexedIds};
pub use inspect::{Inspect, Inspection};
pub use list_ids::ListIds;
pub use merge_ids::{MergeIds, MergedIds};
pub use merge_scores::{MergeScores, MergedScores};
pub use normal_multiply::{NormalMultiply, NormalProduct};
pub use order_vertices::{OrderVertices, OrderedVertices};
pub use page_rank_step::{PageRankStep, PageRankStepped};
pub use partition_entries::{PartitionEntries, PartitionedEntries};
pub use power_scores::{PersonalScores, PowerScores};
pub use published_matrix::{FindMatrix, FoundMatrix, PublishMatrix};
pub use push_part::{PushPart, PushedPart};
pub use push_scores::PushScores;
pub use read_index::{FindIndex, FoundIndex, IndexShard, ReadIndex};
pub use small_factorization::{SmallFactorization, SmallFactors, TakenStep, Wanted};
pub use transform_block::TransformBlock;
pub use walk::{Walk, Walked};
pub use walk_part::{GatherWalks, WalkPart, WalkedPart};
pub use work::Work;
pub use write_factors::{WriteFactors, WrittenFile};
pub use write_scores::WriteScores;
pub use write_spectrum::{Spectrum, WriteSpectrum};

use crate::{Error, Result};

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident => $output:ident),+ $(,)?) => {
        /// One operator with its parameters and inputs: what a task carries.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "operator", rename_all = "snake_case")]
        pub enum Operator {
            $($(#[$doc])* $name($name),)+
        }

        impl Operator {
            /// The operator's name, as it stands in logs and on the progress bar.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                }
            }

            /// Bytes of memory that the task may hold at once.
            pub fn memory(&self) -> u64 {
                match self {
                    $(Self::$name(operator) => operator.memory(),)+
                }
            }
        }

        $(impl Operation for $name {
            type Output = $output;

            fn into_operator(self) -> Operator {
                Operator::$name(self)
            }
        })+
    };
}

/// An operator whose output type is known.
pub trait Operation: Sized {
    /// What a task of this operator reports.
    type Output: TryFrom<Report, Error = Error>;

    /// The operator as one of the closed set.
    fn into_operator(self) -> Operator;
}

operators! {
    /// Lists and pins the input files and checks their columns.
    Inspect => Inspection,
    /// Reads triplets; replaces ids by codes local to the piece.
    EncodeEntries => EncodedEntries,
    /// Merges the pieces' ids into one shard of the id table.
    MergeIds => MergedIds,
    /// Counts how often each id of a narrow range occurs.
    CountIds => CountedIds,
    /// Makes one shard of the id table of such counts.
    ListIds => MergedIds,
    /// Makes a table of the index of every id of a narrow range.
    IndexIds => IndexedIds,
    /// Numbers a graph's vertices by descending degree.
    OrderVertices => OrderedVertices,
    /// Replaces local codes by indices; sorts entries by block.
    PartitionEntries => PartitionedEntries,
    /// Builds one sparse block.
    BuildBlock => BuiltBlock,
    /// Builds one dense block.
    BuildDenseBlock => BuiltBlock,
    /// Applies a transform that needs column statistics.
    TransformBlock => BuiltBlock,
    /// Looks for blocks that an earlier job made of the same input.
    FindMatrix => FoundMatrix,
    /// Makes blocks known to later jobs.
    PublishMatrix => Done,
    /// Column sums of some blocks.
    ColumnSums => ColumnSumsParts,
    /// Aᵀ(A X) over some blocks.
    NormalMultiply => NormalProduct,
    /// AᵀA over some blocks.
    Gram => GramPart,
    /// Linear combination of tall matrices on one range of rows.
    Combine => Combined,
    /// A factorization of small matrices.
    SmallFactorization => SmallFactors,
    /// Squared norms of A v − σ u over one range of rows.
    ColumnResiduals => ResidualParts,
    /// One Parquet file of a factor.
    WriteFactors => WrittenFile,
    /// The table of singular values.
    WriteSpectrum => Spectrum,
    /// Steps of PageRank over some blocks of a graph.
    PageRankStep => PageRankStepped,
    /// One Parquet file of scores.
    WriteScores => WrittenFile,
    /// Finds the sources of personalized PageRank in the graph.
    FindSources => FoundSources,
    /// Personalized PageRank of some sources by power iteration.
    PowerScores => PersonalScores,
    /// Personalized PageRank of some sources by forward push.
    PushScores => PersonalScores,
    /// A round of forward push on a part of a graph.
    PushPart => PushedPart,
    /// Merges the best vertices of all parts.
    MergeScores => MergedScores,
    /// Fingerprints of some vertices.
    Walk => Walked,
    /// A round of walks on a part of a graph.
    WalkPart => WalkedPart,
    /// Fingerprints of walks on parts of a graph.
    GatherWalks => Walked,
    /// Checks the index of an earlier job.
    FindIndex => FoundIndex,
    /// Makes a file of an index an object.
    ReadIndex => IndexShard,
}

macro_rules! reports {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What a finished task says: descriptors and short vectors.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "report", rename_all = "snake_case")]
        pub enum Report {
            $($(#[$doc])* $name($name),)+
        }

        $(impl From<$name> for Report {
            fn from(report: $name) -> Self {
                Self::$name(report)
            }
        }

        impl TryFrom<Report> for $name {
            type Error = Error;

            #[allow(clippy::wildcard_enum_match_arm, reason = "one variant is wanted")]
            fn try_from(report: Report) -> Result<Self> {
                match report {
                    Report::$name(report) => Ok(report),
                    other => Err(Error::internal(format!(
                        "expected a report of {}, got {other:?}", stringify!($name)
                    ))),
                }
            }
        })+
    };
}

reports! {
    /// Pinned files.
    Inspection,
    /// Encoded triplets.
    EncodedEntries,
    /// A shard of an id table.
    MergedIds,
    /// How often ids occur.
    CountedIds,
    /// Indices of ids.
    IndexedIds,
    /// A numbering of vertices.
    OrderedVertices,
    /// Entries sorted by block.
    PartitionedEntries,
    /// A block.
    BuiltBlock,
    /// Blocks of an earlier job, if any.
    FoundMatrix,
    /// Nothing to say.
    Done,
    /// Column sums.
    ColumnSumsParts,
    /// A part of Aᵀ(A X).
    NormalProduct,
    /// A part of AᵀA.
    GramPart,
    /// A shard and its products.
    Combined,
    /// Small matrices and short vectors.
    SmallFactors,
    /// Partial squared norms.
    ResidualParts,
    /// An output file.
    WrittenFile,
    /// Singular values and how good they are.
    Spectrum,
    /// Scores after some steps.
    PageRankStepped,
    /// Sources and where they start.
    FoundSources,
    /// Scores of some sources.
    PersonalScores,
    /// What a round of push leaves.
    PushedPart,
    /// Merged scores.
    MergedScores,
    /// Fingerprints of some vertices.
    Walked,
    /// What a round of walks leaves.
    WalkedPart,
    /// An index that fits.
    FoundIndex,
    /// Fingerprints as an object.
    IndexShard,
}

/// The report of an operator that has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Memory that every task may use for decoding, buffers and its own bookkeeping.
pub const TASK_OVERHEAD: u64 = 16 << 20;
