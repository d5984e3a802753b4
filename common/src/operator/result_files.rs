//! Which operators write straight into the result of a job.
//!
//! Everything else that a task writes lies below its attempt's own prefix. These files have to be
//! withdrawn when the job fails, whether or not the task was committed.

use super::merge_scores::Purpose;
use super::{MergeScores, Operator, PowerScores, PushScores};

impl Operator {
    /// Paths below the job's output that a task of this operator writes.
    pub fn result_files(&self) -> Vec<&str> {
        match self {
            Self::WriteFactors(write) => vec![&write.path],
            Self::WriteSpectrum(write) => vec![&write.path],
            Self::WriteScores(write) => vec![&write.path],
            Self::Walk(walk) => vec![&walk.path],
            Self::GatherWalks(gather) => vec![&gather.path],
            Self::PowerScores(PowerScores { personal, .. })
            | Self::PushScores(PushScores { personal, .. })
            | Self::MergeScores(MergeScores {
                purpose: Purpose::Write { .. },
                personal,
                ..
            }) => {
                vec![&personal.scores_path, &personal.sources_path]
            }
            Self::Inspect(_)
            | Self::EncodeEntries(_)
            | Self::MergeIds(_)
            | Self::CountIds(_)
            | Self::ListIds(_)
            | Self::IndexIds(_)
            | Self::OrderVertices(_)
            | Self::PartitionEntries(_)
            | Self::BuildBlock(_)
            | Self::BuildDenseBlock(_)
            | Self::TransformBlock(_)
            | Self::FindMatrix(_)
            | Self::PublishMatrix(_)
            | Self::ColumnSums(_)
            | Self::NormalMultiply(_)
            | Self::Gram(_)
            | Self::Combine(_)
            | Self::SmallFactorization(_)
            | Self::ColumnResiduals(_)
            | Self::PageRankStep(_)
            | Self::FindSources(_)
            | Self::PushPart(_)
            | Self::WalkPart(_)
            | Self::MergeScores(_)
            | Self::FindIndex(_)
            | Self::ReadIndex(_) => Vec::new(),
        }
    }
}
