//! Chebyshev acceleration of power iteration (Golub & Varga 1961), a column at a time.
//!
//! Where every edge goes both ways, the eigenvalues of a step are real and within [−d, d]. Then
//! x ← x₋ + ω(F(x) − x₋), in increments e ← ω·r + (ω−1)·e, with ω from the recurrence of Chebyshev polynomials on that interval,
//! leaves d/(1+√(1−d²)) of the error in a step in the long run, whatever the graph. Plain iteration
//! leaves d·|λ₂|, which is less where walks mix fast. So a column starts plain and changes over once
//! its pace shows which kind of graph it is on.
//!
//! Invariant: an answer is F(x) of a plain step, so its bound does not depend on any of this.

/// Plain steps before the pace is looked at.
const LOOK_AFTER: u32 = 4;
/// The share of the change that a step leaves at which Chebyshev's steps are the better ones: what
/// they leave themselves at d = 0.85, and a little for the plain steps at either end.
const SLOW: f64 = 0.6;
/// Stands for the ω before the second step of the recurrence, whose first is plain.
const AFTER_PLAIN: f64 = 2.0;

/// The weights ω of a block's columns.
#[derive(Debug)]
pub(super) struct Chebyshev {
    damping2: f64,
    omega: Vec<f64>,
    columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    pace: Pace,
    steps: u32,
    /// The changes of the last two steps, the older one first.
    changes: [f64; 2],
}

/// Where a column is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// On plain steps, as it started.
    Plain,
    /// Before the first step of a recurrence.
    First,
    /// After a step of the recurrence with this ω.
    After(f64),
}

/// What a column's next step depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// ‖r‖₁ = ‖F(x) − x‖₁ of the step that was made.
    pub(super) change: f64,
    /// Whether the next step gives the answer.
    pub(super) plain_next: bool,
}

impl Chebyshev {
    /// All columns on plain steps.
    pub(super) fn new(damping: f64, width: usize) -> Self {
        let column = Column {
            pace: Pace::Plain,
            steps: 0,
            changes: [f64::INFINITY; 2],
        };
        Self {
            damping2: damping * damping,
            omega: vec![1.0; width],
            columns: vec![column; width],
        }
    }

    /// ω per column of the step that comes; none if all are plain.
    pub(super) fn omega(&self) -> Option<&[f64]> {
        let accelerated = self.omega.iter().any(|&omega| omega != 1.0);
        accelerated.then_some(&self.omega)
    }

    /// Whether the step of a column is plain: the next x is F(x).
    pub(super) fn is_plain(&self, column: usize) -> bool {
        self.omega[column] == 1.0
    }

    /// Chooses a column's next step.
    pub(super) fn next(&mut self, index: usize, outlook: Outlook) {
        let column = &mut self.columns[index];
        column.steps += 1;
        let two_steps = outlook.change / column.changes[0];
        column.changes = [column.changes[1], outlook.change];
        if column.pace == Pace::Plain {
            let slow = column.steps >= LOOK_AFTER && two_steps > SLOW * SLOW;
            if slow {
                // The step that was made was plain.
                column.pace = Pace::After(AFTER_PLAIN);
            }
        }
        (column.pace, self.omega[index]) = match column.pace {
            Pace::Plain => (Pace::Plain, 1.0),
            _ if outlook.plain_next => (Pace::First, 1.0),
            Pace::First => (Pace::After(AFTER_PLAIN), 1.0),
            Pace::After(omega) => {
                let next = 1.0 / (1.0 - self.damping2 * omega / 4.0);
                (Pace::After(next), next)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(change: f64) -> Outlook {
        Outlook {
            change,
            plain_next: false,
        }
    }

    #[test]
    fn fast_columns_stay_plain_and_slow_ones_change_over() {
        let mut chebyshev = Chebyshev::new(0.85, 2);
        for step in 0..40 {
            chebyshev.next(0, outlook(0.5f64.powi(step)));
            chebyshev.next(1, outlook(0.8f64.powi(step)));
        }
        assert!(chebyshev.is_plain(0) && !chebyshev.is_plain(1));
        // ω tends to 2/(1+√(1−d²)).
        let limit = 2.0 / (1.0 + (1.0f64 - 0.85 * 0.85).sqrt());
        assert!((chebyshev.omega().expect("accelerated")[1] - limit).abs() < 1e-9);
    }

    #[test]
    fn a_recurrence_that_is_broken_off_starts_with_a_plain_step() {
        let mut chebyshev = Chebyshev::new(0.85, 1);
        for _ in 0..10 {
            chebyshev.next(0, outlook(1.0));
        }
        assert!(!chebyshev.is_plain(0));
        chebyshev.next(
            0,
            Outlook {
                plain_next: true,
                ..outlook(1.0)
            },
        );
        assert!(chebyshev.is_plain(0), "the step that was asked for");
        chebyshev.next(0, outlook(1.0));
        assert!(chebyshev.is_plain(0), "the first of the recurrence");
        chebyshev.next(0, outlook(1.0));
        let second = 1.0 / (1.0 - 0.85 * 0.85 / 2.0);
        assert_eq!(chebyshev.omega().map(|omega| omega[0]), Some(second));
    }
}
