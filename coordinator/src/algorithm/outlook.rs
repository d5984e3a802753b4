//! A look at the next step of block Lanczos, which is not taken (docs/decisions/0023-the-step-ahead.md).

use rankmill_common::Result;
use rankmill_common::matrix::SmallMatrix;
use rankmill_common::operator::{SmallFactorization, SmallFactors};

use super::convergence::{Verdict, Watch};
use super::tall;
use crate::stages::Stages;

/// What the last two steps would ask: what does the next one find?
#[derive(Default)]
pub(super) struct Outlook {
    now: Option<Question>,
    earlier: Option<Question>,
}

/// What does the step after one find? The parameters of [`SmallFactorization::RitzOutlook`].
pub(super) struct Question {
    pub(super) projected: SmallMatrix,
    pub(super) remainder_gram: Vec<SmallMatrix>,
    pub(super) transform: SmallMatrix,
    pub(super) smallest: f64,
    pub(super) report: u32,
}

impl Outlook {
    /// Takes the question of one more step, where there is one.
    pub(super) fn turn(&mut self, question: Option<Question>) {
        self.earlier = std::mem::replace(&mut self.now, question);
    }

    /// What the next step would find; none where that hangs on what only its read of A would tell.
    pub(super) async fn ahead(&self, stages: &Stages) -> Result<Option<SmallFactors>> {
        answer(stages, self.now.as_ref(), true).await
    }

    /// Whether the next step, which would find `ahead`, would be the last, and is believed: the step
    /// that was taken has found what the one before would have foreseen.
    pub(super) async fn ends(
        &self,
        stages: &Stages,
        watch: &Watch,
        verdict: &Verdict,
        ahead: &SmallFactors,
    ) -> Result<bool> {
        if !watch.foresees_the_end(verdict, &ahead.values, 1.0) {
            return Ok(false);
        }
        let hindsight = answer(stages, self.earlier.as_ref(), false).await?;
        let short = hindsight.and_then(|then| watch.fell_short(verdict, &then.values));
        Ok(short.is_some_and(|short| watch.foresees_the_end(verdict, &ahead.values, short)))
    }
}

async fn answer(
    stages: &Stages,
    question: Option<&Question>,
    vectors: bool,
) -> Result<Option<SmallFactors>> {
    let Some(question) = question else {
        return Ok(None);
    };
    let outlook = SmallFactorization::RitzOutlook {
        projected: question.projected.clone(),
        remainder_gram: question.remainder_gram.clone(),
        transform: question.transform.clone(),
        smallest: question.smallest,
        report: question.report,
        vectors,
    };
    let found = tall::factorize(stages, "Ritz values ahead", outlook).await?;
    Ok((found.rank > 0).then_some(found))
}
