//! Zipf's law with a flat head: popular, but nobody more than `cap`.
//!
//! Ranks are continuous: rank x in [0, n) has density 1 for x < m and (x/m)^-s beyond, where the
//! plateau m is the narrowest that keeps every share below the cap. Everything is a closed form,
//! so a distribution over any number of ranks takes a few words of memory.

/// Steps of the search for the plateau; each halves what is left.
const BISECTIONS: usize = 60;
/// Exponents nearer to one than this are one.
const NEAR_ONE: f64 = 1e-9;

#[derive(Clone, Copy, Debug)]
pub(super) struct CappedZipf {
    n: f64,
    exponent: f64,
    plateau: f64,
    total: f64,
}

impl CappedZipf {
    /// A law over `n` ranks with the given exponent, in which no rank has a larger share than
    /// `cap`. A cap below 1/n gives the uniform law.
    pub(super) fn new(n: u64, exponent: f64, cap: f64) -> Self {
        let n = n.max(1) as f64;
        let with = |plateau: f64| Self {
            n,
            exponent,
            plateau,
            total: mass(n, plateau, exponent),
        };
        let (mut low, mut high) = (1.0, n);
        if with(low).total * cap >= 1.0 {
            return with(low);
        }
        for _ in 0..BISECTIONS {
            let middle = (low + high) / 2.0;
            if with(middle).total * cap >= 1.0 {
                high = middle;
            } else {
                low = middle;
            }
        }
        with(high)
    }

    /// The share of the ranks below `x`.
    #[inline]
    pub(super) fn share_below(&self, x: f64) -> f64 {
        mass(x, self.plateau, self.exponent) / self.total
    }

    /// The rank x with `share_below(x) = share`, as an index below n.
    #[inline]
    pub(super) fn rank_at(&self, share: f64) -> u64 {
        let mass = share * self.total;
        let m = self.plateau;
        let x = if mass <= m {
            mass
        } else if (self.exponent - 1.0).abs() < NEAR_ONE {
            m * libm::exp(mass / m - 1.0)
        } else {
            let power = 1.0 - self.exponent;
            m * libm::pow(1.0 + power * (mass / m - 1.0), 1.0 / power)
        };
        // Rounding may reach n, or pass it where the tail is flat.
        x.clamp(0.0, self.n - 1.0) as u64
    }
}

/// ∫ of the density from 0 to x.
fn mass(x: f64, plateau: f64, exponent: f64) -> f64 {
    if x <= plateau {
        return x;
    }
    let ratio = x / plateau;
    if (exponent - 1.0).abs() < NEAR_ONE {
        return plateau * (1.0 + libm::log(ratio));
    }
    let power = 1.0 - exponent;
    plateau * (1.0 + (libm::pow(ratio, power) - 1.0) / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_shares_are_inverse() {
        for exponent in [0.0, 0.5, 1.0, 1.5] {
            let law = CappedZipf::new(1000, exponent, 0.01);
            for rank in 0..1000 {
                let middle = law.share_below(f64::from(rank) + 0.5);
                assert_eq!(law.rank_at(middle), u64::from(rank as u32), "{exponent}");
            }
            assert!((law.share_below(1000.0) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn nobody_passes_the_cap() {
        let law = CappedZipf::new(100_000, 1.0, 1e-3);
        assert!(law.share_below(1.0) <= 1e-3 + 1e-9);
        assert!(law.share_below(1.0) > 0.99e-3);
        let free = CappedZipf::new(100_000, 1.0, 1.0);
        assert_eq!(free.plateau, 1.0);
        let uniform = CappedZipf::new(10, 1.0, 0.01);
        assert!((uniform.share_below(1.0) - 0.1).abs() < 1e-9);
    }
}
