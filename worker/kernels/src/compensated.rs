//! Sums that keep what rounding takes, so that their error does not grow with their length.
//!
//! A sum is held as two numbers, its value as f64 holds it and what that lacks (Dekker 1971; Knuth,
//! TAOCP 2, §4.2.2). An addition of terms of one sign errs by about 2u² of the sum: after 2³² of
//! them the value is still off by little more than its own last rounding, u.

/// A sum in two numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    /// Adds a term.
    #[inline]
    pub fn add(&mut self, term: f64) {
        add(&mut self.sum, &mut self.lost, term);
    }

    /// The sum, rounded once.
    pub fn value(self) -> f64 {
        self.sum
    }
}

impl FromIterator<f64> for Compensated {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        for term in terms {
            sum.add(term);
        }
        sum
    }
}

/// Adds a term to a sum, of which `sum` is the value and `lost` what that lacks.
#[inline(always)]
pub(crate) fn add(sum: &mut f64, lost: &mut f64, term: f64) {
    // Knuth's TwoSum: `rounded` + `rest` are exactly the old value + the term.
    let rounded = *sum + term;
    let part = rounded - *sum;
    let rest = (*sum - (rounded - part)) + (term - part);
    // What is lost stays below half a unit of the value, whatever is added to it.
    let carried = *lost + rest;
    *sum = rounded + carried;
    *lost = carried - (*sum - rounded);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_count_however_large_the_first_one() {
        // Each is less than half a unit in the last place of the first: alone it is rounded away.
        let (large, small, count) = (f64::from(1u32 << 30), 0.49 / f64::from(1u32 << 22), 250_000);
        let terms = || std::iter::once(large).chain(std::iter::repeat_n(small, count));
        let exact = large + small * count as f64;
        assert_eq!(terms().collect::<Compensated>().value(), exact);
        let plain: f64 = terms().sum();
        assert_eq!(plain, large, "the plain sum would do");
    }

    #[test]
    fn the_value_is_the_exact_sum_rounded() {
        // Odd multiples of 2⁻³⁰ add up exactly as integers.
        let numbers = (0..100_000u64).map(|k| (k * k * 265_443_576) % (1 << 40) + 1);
        let exact: u64 = numbers.clone().sum();
        let unit = 1.0 / f64::from(1u32 << 30);
        let sum: Compensated = numbers.map(|k| k as f64 * unit).collect();
        assert_eq!(sum.value(), exact as f64 * unit);
    }
}
