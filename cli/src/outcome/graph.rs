//! The answer to a job on a graph.

use rankmill_common::ByteSize;
use rankmill_common::job::{PageRankSpec, PprSpec};
use rankmill_common::manifest::{IndexSummary, MatrixSummary, PersonalSummary, ScoresSummary};

use super::taken;
use crate::text::{counted, grouped};

/// What a person wants to know first about PageRank.
pub(super) fn scores_summary(
    graph: &MatrixSummary,
    quality: &ScoresSummary,
    place: &str,
    elapsed: Option<f64>,
) -> String {
    let converged = if quality.converged {
        "converged"
    } else {
        "NOT converged"
    };
    format!(
        "{}\n\
         scores     {}, {converged}; error at most {:.1e}, sum {:.12}\n\
         result     {place}{}\n",
        head(graph),
        counted(u64::from(quality.iterations), "iteration"),
        quality.residual,
        quality.sum,
        taken(elapsed),
    )
}

/// What a person wants to know first about personalized PageRank.
pub(super) fn personal_summary(
    graph: &MatrixSummary,
    quality: &PersonalSummary,
    place: &str,
    elapsed: Option<f64>,
) -> String {
    let skipped = match quality.skipped_sources {
        0 => String::new(),
        skipped => format!(", {} not in the graph", grouped(skipped)),
    };
    let unconverged = match quality.unconverged {
        0 => String::new(),
        count => format!(", {} NOT converged", grouped(count)),
    };
    format!(
        "{}\n\
         sources    {}{skipped}, by {}{unconverged}\n\
         quality    error at most {:.1e}; {} of {} sets of targets proven\n\
         result     {place}{}\n",
        head(graph),
        counted(quality.sources, "source"),
        quality.method,
        quality.max_residual,
        grouped(quality.proven),
        grouped(quality.sources),
        taken(elapsed),
    )
}

/// What a person wants to know first about an index.
pub(super) fn index_summary(
    graph: &MatrixSummary,
    (quality, bytes): (&IndexSummary, u64),
    place: &str,
    elapsed: Option<f64>,
) -> String {
    format!(
        "{}\n\
         index      {} entries, {:.1} a vertex, in {}; {:.2} % of the walks' visits left out\n\
         result     {place}{}\n",
        head(graph),
        grouped(quality.entries),
        quality.entries as f64 / graph.nrows.max(1) as f64,
        ByteSize(bytes),
        100.0 * quality.missing,
        taken(elapsed),
    )
}

/// Why PageRank is not as good as it was asked to be.
pub(super) fn scores_not_converged(spec: &PageRankSpec, quality: &ScoresSummary) -> String {
    let stopped = quality.iterations < spec.max_iterations;
    format!(
        "not converged after {}; the error is at most {:.1e} ({})",
        counted(u64::from(quality.iterations), "iteration"),
        quality.residual,
        advice(stopped)
    )
}

/// Why personalized PageRank is not as good as it was asked to be.
pub(super) fn personal_not_converged(spec: &PprSpec, quality: &PersonalSummary) -> String {
    // Push does not count iterations.
    let stopped = (1..spec.max_iterations).contains(&quality.iterations);
    format!(
        "{} of {} sources not converged; the largest error is at most {:.1e} ({})",
        grouped(quality.unconverged),
        grouped(quality.sources),
        quality.max_residual,
        advice(stopped)
    )
}

/// What helps, where an iteration has stopped before its limit or not.
fn advice(stopped: bool) -> &'static str {
    match stopped {
        true => "rounding keeps it from being less: a looser --tol helps",
        false => "more --max-iterations or a looser --tol helps",
    }
}

fn head(graph: &MatrixSummary) -> String {
    let skipped = match graph.skipped_rows {
        0 => String::new(),
        skipped => format!(", {} left out", counted(skipped, "bad input row")),
    };
    format!(
        "graph      {}, {}{skipped}",
        vertices(graph.nrows),
        counted(graph.nnz, "edge")
    )
}

fn vertices(count: u64) -> String {
    match count {
        1 => "1 vertex".to_owned(),
        count => format!("{} vertices", grouped(count)),
    }
}
