//! A look at the next step of block Lanczos, which is not taken (docs/decisions/0023-the-step-ahead.md).

use rankmill_common::Result;
use rankmill_common::operator::{SmallFactorization, SmallFactors, TakenStep, Wanted};

use super::convergence::{Verdict, Watch};
use super::tall;
use crate::stages::Stages;

/// The last two steps, where one more after them is to be foreseen.
#[derive(Default)]
pub(super) struct Outlook {
    now: Option<TakenStep>,
    earlier: Option<TakenStep>,
}

impl Outlook {
    /// Takes one more step.
    pub(super) fn turn(&mut self, step: Option<TakenStep>) {
        self.earlier = std::mem::replace(&mut self.now, step);
    }

    /// What the next step would find; none where that hangs on what only its read of A would tell.
    pub(super) async fn ahead(&self, stages: &Stages) -> Result<Option<SmallFactors>> {
        foresee(stages, self.now.as_ref(), Wanted::Pairs).await
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
        let hindsight = foresee(stages, self.earlier.as_ref(), Wanted::Values).await?;
        let short = hindsight.and_then(|then| watch.fell_short(verdict, &then.values));
        Ok(short.is_some_and(|short| watch.foresees_the_end(verdict, &ahead.values, short)))
    }
}

async fn foresee(
    stages: &Stages,
    step: Option<&TakenStep>,
    wanted: Wanted,
) -> Result<Option<SmallFactors>> {
    let Some(step) = step.cloned() else {
        return Ok(None);
    };
    let outlook = SmallFactorization::RitzOutlook { step, wanted };
    let found = tall::factorize(stages, "Ritz values ahead", outlook).await?;
    Ok((found.rank > 0).then_some(found))
}
