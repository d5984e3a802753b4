//! How far estimates of power iteration may be from the exact scores, rounding included.
//!
//! The residual that is kept, r̂, belongs to an estimate that was never rounded and to sums without
//! error. What rounding adds in a step is bounded by the sizes of what it rounds, and an error δ of
//! the residual stays as it is from then on: the error of the scores is at most
//! (‖r̂‖₁ + ‖δ‖₁)/(γ(1−d)).
//!
//! Sums of m terms are off by γ_m = m·u/(1−m·u) of the sum of their sizes at most (Higham 2002,
//! §4.2), in any order.

use rankmill_common::matrix::Precision;
use rankmill_kernels::graph::INCREMENT_ROUNDOFF;

/// Unit roundoff of f64 and of f32.
const ROUNDOFF: f64 = f64::EPSILON / 2.0;
const SINGLE_ROUNDOFF: f64 = f32::EPSILON as f64 / 2.0;
/// Roundings between an estimate and the score that is written.
const LAST_ROUNDINGS: f64 = 4.0;

/// How far apart two distributions are at most.
pub(super) const FARTHEST: f64 = 2.0;

/// How far scores whose sizes sum to `norm` are from any distribution at most: as [`FARTHEST`], but
/// for rounding and for scores below zero, which rounding of increments may leave.
pub(super) fn farthest(norm: f64) -> f64 {
    1.0 + norm * (1.0 + 2.0 * LAST_ROUNDINGS * ROUNDOFF)
}

/// What rounding does to a step on some graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    damping: f64,
    /// Relative errors of what is summed in f64, along rows and along columns.
    rows: f64,
    columns: f64,
    /// Whether the latter go back into residuals.
    returns: bool,
    /// Relative error of what is kept.
    kept: f64,
}

/// Operations that a term of a step goes through at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// On its way into a residual.
    pub(super) row: usize,
    /// On its way into a sum over vertices.
    pub(super) column: usize,
    /// Whether sums over vertices go back into residuals: what dangling vertices send.
    pub(super) returns: bool,
}

/// What the steps of a column have added up to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errors {
    /// Bound of ‖δ‖₁.
    residual: f64,
    /// Bound of ‖e‖₁ of the last increments.
    moved: f64,
    /// Bound of ‖p‖₁: the sum of all increments' sizes.
    estimate: f64,
}

impl Errors {
    /// Of a column that begins with increments of so much mass.
    pub(super) fn new(mass: f64) -> Self {
        Self {
            residual: 0.0,
            moved: mass,
            estimate: mass,
        }
    }
}

impl Rounding {
    /// Of steps with such terms.
    pub(super) fn new(damping: f64, kept: Precision, terms: Terms) -> Self {
        let relative = |terms: usize| terms as f64 * ROUNDOFF / (1.0 - terms as f64 * ROUNDOFF);
        Self {
            damping,
            rows: relative(terms.row),
            columns: relative(terms.column),
            returns: terms.returns,
            kept: match kept {
                Precision::Single => SINGLE_ROUNDOFF,
                Precision::Double => ROUNDOFF,
            },
        }
    }

    /// Adds a step that found the residual ‖r‖₁ and moved ω·r + (ω−1)·e.
    pub(super) fn add_step(&self, errors: &mut Errors, residual: f64, gamma: f64, omega: f64) {
        let residual = residual * (1.0 + self.columns);
        let next = (omega * residual + (omega - 1.0) * errors.moved) * (1.0 + INCREMENT_ROUNDOFF);
        errors.residual += self.rows * (errors.moved + residual);
        if self.returns {
            errors.residual += self.columns * self.damping * errors.moved;
        }
        errors.residual += self.kept * (residual + next);
        // An estimate is no larger than what it is near to, and how far it may be from that.
        let near = gamma + (residual + errors.residual) / (1.0 - self.damping) + next;
        errors.estimate = (errors.estimate + next).min(near);
        errors.residual += self.kept * (1.0 + self.damping) * errors.estimate;
        errors.moved = next;
    }

    /// Bound of ‖(p + r − e)/γ − x‖₁ after a step with ω = 1 that found the residual ‖r‖₁ and moved e:
    /// with what is left of it, r is in the scores, and d of it remains.
    pub(super) fn bound(&self, errors: &Errors, residual: f64, gamma: f64) -> f64 {
        if gamma <= 0.0 {
            return f64::INFINITY;
        }
        let residual = self.damping * residual * (1.0 + self.columns);
        let distance = (residual + errors.residual) / (gamma * (1.0 - self.damping));
        // Scores are divided by strengths as they were summed.
        distance + (self.rows + LAST_ROUNDINGS * ROUNDOFF) * errors.estimate / gamma
    }

    /// Whether rounding alone exceeds the tolerance, and a smaller residual would not tell.
    pub(super) fn is_hopeless(&self, errors: &Errors, residual: f64, gamma: f64, tol: f64) -> bool {
        self.bound(errors, 0.0, gamma) > tol && residual <= errors.residual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        row: 200,
        column: 5000,
        returns: true,
    };

    #[test]
    fn errors_grow_with_what_is_rounded() {
        let bound = |kept, steps: i32| {
            let rounding = Rounding::new(0.85, kept, TERMS);
            let mut errors = Errors::new(1.0);
            for step in 0..steps {
                rounding.add_step(&mut errors, 0.5f64.powi(step), 1.0, 1.0);
            }
            rounding.bound(&errors, 0.0, 1.0)
        };
        assert!(bound(Precision::Double, 50) < 1e-10);
        assert!(bound(Precision::Double, 50) > bound(Precision::Double, 5));
        let single = bound(Precision::Single, 50);
        assert!((1e-5..1e-4).contains(&single), "{single}");
    }

    #[test]
    fn it_is_hopeless_once_rounding_is_what_is_left() {
        let rounding = Rounding::new(0.85, Precision::Double, TERMS);
        let mut errors = Errors::new(1.0);
        rounding.add_step(&mut errors, 1.0, 1.0, 1.0);
        let hopeless = |residual, tol| rounding.is_hopeless(&errors, residual, 1.0, tol);
        assert!(hopeless(1e-14, 1e-12) && !hopeless(1e-3, 1e-12) && !hopeless(1e-14, 1e-9));
    }

    #[test]
    fn scores_that_sum_to_one_are_within_two() {
        assert!((FARTHEST..FARTHEST + 1e-14).contains(&farthest(1.0)));
        assert!(farthest(f64::NAN).is_nan() && f64::INFINITY.min(farthest(f64::NAN)).is_infinite());
    }

    #[test]
    fn an_estimate_of_nothing_proves_nothing() {
        let rounding = Rounding::new(0.85, Precision::Double, TERMS);
        assert_eq!(rounding.bound(&Errors::new(0.0), 0.0, 0.0), f64::INFINITY);
    }
}
