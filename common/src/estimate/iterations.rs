//! How often power iteration reads a graph.

/// Iterations to the default tolerance on directed graphs, which contract faster than damping
/// alone does.
const TYPICAL_ITERATIONS: u64 = 20;

/// How many iterations a job may take.
pub(super) struct Iterations {
    pub(super) typical: u64,
    /// However slowly walks mix: as many as damping alone needs, or as are allowed.
    pub(super) most: u64,
}

impl Iterations {
    /// To the bound `tol`, which changes of 2 at first that fall by d are to meet: 2dᵏ/(1−d) ≤ tol.
    pub(super) fn new(damping: f64, tol: f64, allowed: u32) -> Self {
        let needed = libm::log(tol * (1.0 - damping) / 2.0) / libm::log(damping);
        let most = (libm::ceil(needed) as u64).clamp(1, u64::from(allowed).max(1));
        Self {
            typical: TYPICAL_ITERATIONS.min(most),
            most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_walks_may_take_as_many_as_damping_alone_needs() {
        // 2·0.5ᵏ/0.5 ≤ 0.01 from k = 9 on.
        let few = Iterations::new(0.5, 1e-2, 1000);
        assert_eq!((few.typical, few.most), (9, 9));
        let most = |damping| Iterations::new(damping, 1e-6, 100_000).most;
        assert!(most(0.999) > 5 * most(0.99));
        let allowed = Iterations::new(0.99, 1e-6, 7);
        assert_eq!((allowed.typical, allowed.most), (7, 7));
    }
}
