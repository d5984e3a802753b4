//! When an iteration may stop. Pure.
//!
//! The change of a Ritz value from one step to the next is the error of the step *before*. With
//! convergence at a rate ρ per step, the error that is left is change · ρ/(1−ρ). The changes tell ρ of
//! the step before. So do the residuals of this one, for the error of a Ritz value goes with the
//! square of its vector's residual (the Kato–Temple bound): ρ is the lesser of the two, since
//! convergence only gets faster as a Krylov space grows.
//!
//! Where it is known what the next step would find, all of this is known a step earlier: the change to
//! that is the error of this step, its ratio to the last change is ρ, and what is left is the error of
//! the next step, whose vectors are then the answer.

use rankmill_common::job::svd::Rank;

/// Ritz values below this share of the largest are compared with it instead of with themselves:
/// products in f32 leave an error of about 1e-7 of the largest.
const SMALLEST_SHARE: f64 = 1e-4;
/// Ritz values below this share of the largest drown in the rounding of f32 products: they are
/// never called converged (`--method gram` works in f64).
const RESOLVED_SHARE: f64 = 1e-5;
/// What rounding in f32 leaves of a squared residual, relative to ‖A‖² before it was centred, times ten
/// for a Ritz value that is to be better than a tenth of the tolerance. Measured on matrices of N(μ, 1)
/// with μ from 10⁴ to 10⁶: σ is off by three to four squared residuals.
const CANCELLATION: f64 = 4e-15;
/// Residuals may be this many times those that the iteration saw.
const SLACK: f64 = 2.0;
/// Residuals below this share of σ₁ are rounding.
const ROUNDING: f64 = 1e-6;
/// The error that is left must be this many times smaller than the tolerance.
const SAFETY: f64 = 5.0;
/// A change may be this many times the one that was foreseen.
const MOST_SHORT: f64 = 1.25;
/// The last change may be this many times the tolerance: it is the error of the step before.
const CHANGE: f64 = 10.0;

/// Watches the leading Ritz values of AᵀA from step to step.
#[derive(Debug)]
pub(super) struct Watch {
    rank: Rank,
    tol: f64,
    frobenius2: f64,
    /// What implicit centring takes from ‖A‖²: products round relative to it.
    cancelled2: f64,
    previous: Vec<f64>,
    /// The Ritz values of the step before that.
    before: Vec<f64>,
    last_change: Option<f64>,
    last_residual: Option<f64>,
    /// Steps in a row that must look as if they were the last.
    patience: u32,
    calm: u32,
}

/// What a step brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    /// How many components the answer has by now.
    pub(super) rank: usize,
    /// Whether these are as many as were asked for.
    pub(super) enough: bool,
    /// Largest relative change of a leading Ritz value.
    pub(super) change: f64,
    /// Whether what centring cancels leaves them as exact as was asked for.
    pub(super) clear: bool,
    /// Whether this step could be the last but one, so that a look at the next one pays. Narrow blocks
    /// have to be calm for several steps.
    pub(super) near: bool,
    /// Whether to stop.
    pub(super) converged: bool,
}

impl Watch {
    pub(super) fn new(rank: Rank, tol: f64, frobenius2: f64) -> Self {
        Self {
            rank,
            tol,
            frobenius2,
            cancelled2: 0.0,
            previous: Vec::new(),
            before: Vec::new(),
            last_change: None,
            last_residual: None,
            patience: 1,
            calm: 0,
        }
    }

    /// The same for products from which rounding leaves what was `cancelled2` of ‖A‖².
    pub(super) fn after_cancelling(self, cancelled2: f64) -> Self {
        Self { cancelled2, ..self }
    }

    /// The same for blocks of `width` columns. A step with a narrow block adds little: values change
    /// little before others appear. As many steps in a row must be calm as add half the rank.
    pub(super) fn for_blocks_of(self, width: u32) -> Self {
        let half = self.rank.limit() / 2;
        Self {
            patience: half.div_ceil(width.max(1)).max(1),
            ..self
        }
    }

    /// Takes the Ritz values of a step, descending, and their residual norms.
    pub(super) fn step(&mut self, values: &[f64], residuals: &[f64]) -> Verdict {
        let (rank, enough) = components(self.rank, values, self.frobenius2);
        let largest = values.first().copied().unwrap_or(0.0);
        let change = change(&self.previous, values, rank);
        let residual = residual(values, residuals, rank);
        let resolved = rank
            .checked_sub(1)
            .and_then(|last| values.get(last))
            .is_some_and(|&smallest| smallest >= RESOLVED_SHARE * largest);
        let clear = values
            .iter()
            .take(rank)
            .filter(|value| **value >= RESOLVED_SHARE * largest)
            .all(|value| value * self.tol >= CANCELLATION * self.cancelled2);
        let close = enough && resolved && clear && residual <= self.tol.sqrt();
        let calm = close && self.leaves_little(change, self.rate(change, residual));
        self.calm = if calm { self.calm + 1 } else { 0 };
        let converged = self.calm >= self.patience;
        self.before = std::mem::replace(&mut self.previous, values.to_vec());
        self.last_change = change.is_finite().then_some(change);
        self.last_residual = Some(residual);
        Verdict {
            rank,
            enough,
            change,
            clear,
            near: close && self.patience == 1,
            converged,
        }
    }

    /// ρ by the last two changes and the last two residuals. Methods without residuals go by changes.
    fn rate(&self, change: f64, residual: f64) -> f64 {
        let by_change = self.last_change.map_or(1.0, |last| change / last);
        let by_residual = self
            .last_residual
            .filter(|last| *last > 0.0)
            .map_or(1.0, |last| (residual / last).powi(2));
        by_change.min(by_residual)
    }

    /// Whether so small a change at a rate of ρ leaves an error that the tolerance allows.
    fn leaves_little(&self, change: f64, rate: f64) -> bool {
        let left = change * still_to_come(rate);
        change <= CHANGE * self.tol && (left <= self.tol / SAFETY || change <= self.tol * self.tol)
    }

    /// Whether the next step, which would find `ahead`, would be the last. What it changes, times
    /// `short`, is the error of the step that was taken.
    pub(super) fn foresees_the_end(&self, verdict: &Verdict, ahead: &[f64], short: f64) -> bool {
        let change = short * change(&self.previous, ahead, verdict.rank);
        let ends = |since| self.leaves_little(change, change / since);
        verdict.near && self.last_change.is_some_and(ends)
    }

    /// How far the step before fell short in what it foresaw, which was `hindsight`: how many times
    /// that the values have changed, one at least. None where it fell too short for the next to be
    /// believed.
    pub(super) fn fell_short(&self, verdict: &Verdict, hindsight: &[f64]) -> Option<f64> {
        let foreseen = change(&self.before, hindsight, verdict.rank);
        let short = self.last_change? / foreseen;
        (foreseen.is_finite() && short <= MOST_SHORT).then_some(short.max(1.0))
    }

    /// Whether as many of the leading `rank` values as there were start columns are equal to the
    /// tolerance, with smaller ones behind them. A Krylov space of `starts` random columns holds that
    /// many vectors of an eigenvalue and no more: others may be missing.
    pub(super) fn may_miss_copies(&self, values: &[f64], rank: usize, starts: usize) -> bool {
        let resolved = RESOLVED_SHARE * values.first().copied().unwrap_or(0.0);
        let asked = values.get(..rank).unwrap_or(values);
        asked.windows(starts.saturating_add(1)).any(|run| {
            // One more than the copies: the first value behind them, among those asked for.
            let (first, last, next) = match run {
                [first, .., last, next] => (first, last, next),
                [first, next] => (first, first, next),
                [] | [_] => return false,
            };
            let close = self.tol * first;
            *first > resolved && first - last <= close && first - next > close
        })
    }

    /// Forgets the steps so far: the space has changed.
    pub(super) fn forget(&mut self) {
        self.previous.clear();
        self.before.clear();
        self.last_change = None;
        self.last_residual = None;
        self.calm = 0;
    }
}

/// Largest relative change of a leading value from `old` to `new`; infinite where the old ones are
/// not known.
fn change(old: &[f64], new: &[f64], rank: usize) -> f64 {
    let known = old.len() >= rank;
    let size = sizes(new);
    new.iter()
        .zip(old)
        .take(rank)
        .map(|(new, old)| (new - old).abs() / size(*new))
        .fold(if known { 0.0 } else { f64::INFINITY }, f64::max)
}

/// Largest residual of a leading vector, relative to its value.
fn residual(values: &[f64], residuals: &[f64], rank: usize) -> f64 {
    let size = sizes(values);
    values
        .iter()
        .zip(residuals)
        .take(rank)
        .map(|(value, residual)| residual / size(*value))
        .fold(0.0, f64::max)
}

/// What each of `values` is compared with.
fn sizes(values: &[f64]) -> impl Fn(f64) -> f64 {
    let least = SMALLEST_SHARE * values.first().copied().unwrap_or(0.0);
    move |value| value.max(least).max(f64::MIN_POSITIVE)
}

/// Σ ρ + ρ² + …, what later steps bring for each unit of the last change; nothing is known where
/// the last step was no better than the one before.
fn still_to_come(rate: f64) -> f64 {
    if rate < 1.0 {
        rate / (1.0 - rate)
    } else {
        f64::INFINITY
    }
}

/// Whether residuals that were measured in f64, relative to σ₁, bear out what an iteration in f32
/// has found: it sees its own rounding no more than what lies below it. σ ‖Aᵀu − σ v‖ is the residual
/// of σ² that [`Watch`] compares with the tolerance.
pub(super) fn bear_out(residuals: &[f64], sigma: &[f64], tol: f64) -> bool {
    let largest = sigma.first().copied().unwrap_or(0.0);
    residuals.iter().zip(sigma).all(|(&residual, sigma)| {
        let share = if largest > 0.0 { sigma / largest } else { 0.0 };
        let square = share * share;
        let met = residual * share <= SLACK * tol.sqrt() * square.max(SMALLEST_SHARE);
        residual <= ROUNDING || square >= RESOLVED_SHARE && met
    })
}

/// How many components `rank` asks for, given the squared singular values found so far, and
/// whether these are enough of them.
pub(super) fn components(rank: Rank, squares: &[f64], frobenius2: f64) -> (usize, bool) {
    match rank {
        Rank::Fixed { k } => ((k as usize).min(squares.len()), squares.len() >= k as usize),
        Rank::Energy { fraction, at_most } => {
            let limit = at_most as usize;
            let wanted = fraction * frobenius2;
            let mut captured = 0.0;
            for (index, square) in squares.iter().take(limit).enumerate() {
                captured += square;
                if captured >= wanted {
                    return (index + 1, true);
                }
            }
            (squares.len().min(limit), squares.len() >= limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(tol: f64) -> Watch {
        Watch::new(Rank::Fixed { k: 1 }, tol, 1.0)
    }

    #[test]
    fn one_step_is_never_enough() {
        assert!(!watch(0.5).step(&[1.0], &[0.0]).converged);
    }

    #[test]
    fn stops_when_the_error_left_is_small() {
        let mut watch = watch(1e-3);
        let values = [0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
        let steps: Vec<_> = values
            .iter()
            .map(|v| watch.step(&[*v], &[1e-3]).converged)
            .collect();
        assert_eq!(steps, [false, false, false, true, true, true]);
    }

    #[test]
    fn residuals_that_fall_fast_end_it_a_step_earlier() {
        let stops = |residuals: [f64; 3]| {
            let mut watch = watch(1e-3);
            let steps = [0.99, 0.999, 0.9999].iter().zip(residuals);
            steps
                .map(|(value, residual)| watch.step(&[*value], &[residual]).converged)
                .collect::<Vec<_>>()
        };
        assert_eq!(stops([1e-2, 1e-2, 1e-2]), [false, false, true]);
        assert_eq!(stops([2e-2, 2e-2, 2e-3]), [false, false, true]);
        assert_eq!(stops([2e-2, 2e-3, 2e-4]), [false, true, true]);
    }

    #[test]
    fn what_the_next_step_would_find_ends_it_a_step_earlier() {
        let ends = |steps: &[f64], ahead: f64| {
            let mut watch = watch(1e-3);
            let verdict = steps.iter().map(|v| watch.step(&[*v], &[1e-2])).last();
            let verdict = verdict.expect("steps");
            assert!(!verdict.converged);
            watch.foresees_the_end(&verdict, &[ahead], 1.0)
        };
        let steps = [0.9, 0.99, 0.999];
        assert!(ends(&steps, 0.9999));
        assert!(ends(&steps, 0.9985));
        assert!(!ends(&steps, 1.003), "much is left");
        assert!(!ends(&steps[..1], 0.9), "one step is not enough");
        assert!(!ends(&[0.9, 0.95, 0.97], 0.98));
    }

    #[test]
    fn an_outlook_is_believed_if_the_last_one_came_true() {
        let mut watch = watch(1e-3);
        let verdict = watch.step(&[0.9], &[1e-2]);
        assert_eq!(
            watch.fell_short(&verdict, &[0.99]),
            None,
            "nothing was foreseen"
        );
        let verdict = watch.step(&[0.99], &[1e-2]);
        assert_eq!(watch.fell_short(&verdict, &[0.999]), Some(1.0));
        let short = watch.fell_short(&verdict, &[0.98]).expect("believed");
        assert!((short - 0.09 / 0.99 * 0.98 / 0.08).abs() < 1e-12, "{short}");
        assert_eq!(watch.fell_short(&verdict, &[0.95]), None);
        assert!(watch.foresees_the_end(&verdict, &[0.994], 1.0));
        assert!(!watch.foresees_the_end(&verdict, &[0.994], 1.2));
    }

    #[test]
    fn large_residuals_and_narrow_blocks_are_not_near_the_end() {
        let near = |mut watch: Watch, residual| watch.step(&[1.0], &[residual]).near;
        assert!(near(watch(1e-4), 5e-3));
        assert!(!near(watch(1e-4), 2e-2));
        let wide = Rank::Fixed { k: 1 };
        let mut narrow = Watch::new(wide, 1e-4, 1.0);
        narrow.patience = 2;
        assert!(!near(narrow, 5e-3));
    }

    #[test]
    fn slow_progress_is_not_convergence() {
        let mut watch = watch(1e-3);
        let mut value = 0.5;
        for step in 0..50 {
            // Each step closes a hundredth of what is missing: small changes, large error.
            value += (1.0 - value) * 0.01 * 0.1;
            assert!(!watch.step(&[value], &[1e-3]).converged, "step {step}");
        }
    }

    #[test]
    fn large_residuals_are_not_convergence() {
        let mut watch = watch(1e-3);
        watch.step(&[1.0], &[0.5]);
        assert!(!watch.step(&[1.0], &[0.5]).converged);
    }

    #[test]
    fn values_that_drown_in_rounding_are_not_convergence() {
        let mut watch = Watch::new(Rank::Fixed { k: 2 }, 1e-3, 1.0);
        for _ in 0..5 {
            assert!(!watch.step(&[1.0, 1e-7], &[0.0, 0.0]).converged);
        }
    }

    #[test]
    fn what_centring_cancels_is_not_convergence() {
        let stops = |cancelled2| {
            let mut watch = watch(1e-3).after_cancelling(cancelled2);
            (0..3).any(|_| watch.step(&[1.0], &[0.0]).converged)
        };
        assert!(stops(1e11));
        assert!(!stops(1e12));
    }

    #[test]
    fn residuals_have_to_bear_out_what_was_found() {
        assert!(bear_out(&[1e-2, 1e-3], &[1.0, 0.1], 1e-3));
        assert!(!bear_out(&[0.1, 1e-3], &[1.0, 0.1], 1e-3));
        assert!(!bear_out(&[1e-2, 2e-2], &[1.0, 0.1], 1e-3));
        // Below what products in f32 resolve, only what is zero.
        assert!(!bear_out(&[1e-2, 1e-5], &[1.0, 1e-3], 1e-3));
        assert!(bear_out(&[1e-2, 1e-7], &[1.0, 0.0], 1e-3));
        assert!(bear_out(&[0.0], &[0.0], 1e-3));
    }

    #[test]
    fn as_many_equal_values_as_start_columns_may_not_be_all() {
        let watch = watch(1e-3);
        let misses = |values: &[f64], starts| watch.may_miss_copies(values, values.len(), starts);
        assert!(misses(&[9.0, 9.0, 9.0, 1.0], 3));
        assert!(misses(&[10.0, 9.0, 9.0, 1.0], 2));
        assert!(
            !misses(&[9.0, 9.0, 1.0, 0.5], 3),
            "fewer than could be seen"
        );
        assert!(
            !misses(&[9.0, 9.0, 9.0, 9.0], 3),
            "more of them would change nothing"
        );
        assert!(!misses(&[9.0, 1e-9, 1e-9, 0.0], 2), "of zeros");
        assert!(misses(&[9.0, 1.0], 1));
    }

    #[test]
    fn energy_takes_as_few_components_as_it_needs() {
        let rank = Rank::Energy {
            fraction: 0.9,
            at_most: 3,
        };
        assert_eq!(components(rank, &[5.0, 4.0, 1.0], 10.0), (2, true));
        assert_eq!(components(rank, &[5.0], 10.0), (1, false));
        assert_eq!(components(rank, &[1.0, 1.0, 1.0], 10.0), (3, true));
    }
}
