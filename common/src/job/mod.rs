//! Job specifications: one file per kind, with its defaults and its validation.

pub mod graph;
pub mod page_rank;
pub mod ppr;
pub mod ppr_index;
pub mod svd;

use serde::{Deserialize, Serialize};

pub use page_rank::PageRankSpec;
pub use ppr::PprSpec;
pub use ppr_index::PprIndexSpec;
pub use svd::SvdSpec;

use crate::input::InputSpec;
use crate::{Digest, JobId, Result};

/// What a person asks for, validated, with every default spelled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum JobSpec {
    /// Truncated singular value decomposition.
    Svd(SvdSpec),
    /// PageRank.
    #[serde(rename = "pagerank")]
    PageRank(PageRankSpec),
    /// Personalized PageRank.
    Ppr(PprSpec),
    /// Fingerprints for personalized PageRank.
    #[serde(rename = "ppr-index")]
    PprIndex(PprIndexSpec),
}

/// Where results go and what may be replaced there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// URL of the directory or prefix.
    pub url: String,
    /// Whether a finished result there may be replaced.
    pub overwrite: Overwrite,
}

/// Whether a finished result may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// A finished result is an error.
    #[default]
    Refuse,
    /// A finished result is replaced when the new one is complete.
    Replace,
}

impl JobSpec {
    /// What the job reads.
    pub fn input(&self) -> &InputSpec {
        match self {
            Self::Svd(spec) => &spec.input,
            Self::PageRank(spec) => &spec.input,
            Self::Ppr(spec) => &spec.input,
            Self::PprIndex(spec) => &spec.input,
        }
    }

    /// Every file, directory or glob that the job reads.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        let (seeds, index): (&[String], _) = match self {
            Self::Svd(_) | Self::PageRank(_) | Self::PprIndex(_) => (&[], None),
            Self::Ppr(spec) => (spec.seed_paths(), spec.index.as_ref()),
        };
        self.input().paths.iter().chain(seeds).chain(index)
    }

    /// What happens when the tolerance is not met.
    pub fn convergence(&self) -> svd::Convergence {
        match self {
            Self::Svd(spec) => spec.convergence,
            Self::PageRank(spec) => spec.convergence,
            Self::Ppr(spec) => spec.convergence,
            // It has no tolerance.
            Self::PprIndex(_) => svd::Convergence::Report,
        }
    }

    /// Where the job writes.
    pub fn output(&self) -> &OutputSpec {
        match self {
            Self::Svd(spec) => &spec.output,
            Self::PageRank(spec) => &spec.output,
            Self::Ppr(spec) => &spec.output,
            Self::PprIndex(spec) => &spec.output,
        }
    }

    /// The kind of job as one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Svd(_) => "svd",
            Self::PageRank(_) => "pagerank",
            Self::Ppr(_) => "ppr",
            Self::PprIndex(_) => "ppr-index",
        }
    }

    /// Checks every parameter against the others.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::InvalidInput`] naming the parameter and its allowed range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Svd(spec) => spec.validate(),
            Self::PageRank(spec) => spec.validate(),
            Self::Ppr(spec) => spec.validate(),
            Self::PprIndex(spec) => spec.validate(),
        }
    }

    /// Digest of everything that determines the result's bytes and place. Whether an old result
    /// may be replaced does not.
    pub fn digest(&self) -> Digest {
        let mut identity = self.clone();
        let output = match &mut identity {
            Self::Svd(spec) => &mut spec.output,
            Self::PageRank(spec) => &mut spec.output,
            Self::Ppr(spec) => &mut spec.output,
            Self::PprIndex(spec) => &mut spec.output,
        };
        output.overwrite = Overwrite::Refuse;
        Digest::of_value(&identity)
    }

    /// The id of the `generation`-th run of this specification. The same request finds the same
    /// job; a new generation starts once the one before it has ended.
    pub fn job_id(&self, generation: u32) -> JobId {
        let digest = self.digest().to_string();
        JobId::new(format!("{}-{}-{generation}", self.kind(), &digest[..12]))
    }
}
