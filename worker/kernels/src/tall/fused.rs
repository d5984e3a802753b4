//! Out = Σ Xᵢ Sᵢ, what rounding it lost, and inner products with it, in one pass over the rows.
//!
//! Rows go by in tiles that stay in cache: a tile of Out is summed, rounded, written, and
//! multiplied with the same rows of a basis before the next one is touched. So every X is read
//! once from memory, where it lies, and nothing of its height is allocated but Out.
//!
//! Sums over tiles are always in f64. Products within a tile (at most [`TILE_ROWS`] terms) may be
//! taken in f32, which doubles their speed: their error is that of the rounding of the stored
//! factors, not larger with the number of rows.

use super::combine::add_product;
use super::gram::add_gram;
use super::rows::{RowsView, narrow};
use super::{TILE_ROWS, tiles, widen};
use crate::simd::vectorized;
use crate::small::{Small, mirror_upper};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

mod space;
use space::{Space, Spaces};

/// Rows of one task. Part of the definition of every sum over rows: changing it changes results in
/// their last bits.
const CHUNK_ROWS: usize = 2 * TILE_ROWS;

/// Chunks whose partial sums are in memory at once.
const WAVE: usize = 16;

/// The precision of products within a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// f32.
    Single,
    /// f64.
    Double,
}

/// scale · X · S; S = I where it is absent.
#[derive(Clone, Debug)]
pub struct FusedTerm<'a> {
    /// X.
    pub x: RowsView<'a>,
    /// S.
    pub s: Option<Small>,
    /// The factor.
    pub scale: f64,
}

/// Inner products with Out.
#[derive(Clone, Debug)]
pub enum Inner<'a> {
    /// None.
    None,
    /// OutᵀOut, in f64.
    Gram,
    /// [X₀ X₁ …]ᵀ Out, stacked.
    With(Vec<RowsView<'a>>, Arithmetic),
}

/// A combination to make: n×`ncols`.
#[derive(Clone, Debug)]
pub struct Fused<'a> {
    /// Summands, added in this order.
    pub terms: Vec<FusedTerm<'a>>,
    /// Columns of Out.
    pub ncols: usize,
    /// Precision of X · S.
    pub arithmetic: Arithmetic,
    /// Inner products to take.
    pub inner: Inner<'a>,
    /// One weight per row for what rounding loses; `None` means ones.
    pub weights: Option<&'a [f64]>,
}

/// What was summed over the rows.
#[derive(Clone, Debug)]
pub struct FusedSums {
    /// Per column j, Σᵢ wᵢ (exactᵢⱼ − Outᵢⱼ)².
    pub rounding: Vec<f64>,
    /// The inner products that were asked for.
    pub product: Option<Small>,
}

/// How entries of Out are stored.
pub trait Stored: Copy + Send + Sync {
    /// The nearest stored number.
    fn round(exact: f64) -> Self;
    /// That number.
    fn wide(self) -> f64;
    /// `entries` in f64.
    fn copy_wide(entries: &[Self], wide: &mut [f64]);
    /// `entries` in f32: themselves, or copied to `space`.
    fn narrow<'a>(entries: &'a [Self], space: &'a mut [f32]) -> &'a [f32];
}

impl Stored for f32 {
    #[inline(always)]
    fn round(exact: f64) -> Self {
        exact as Self
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn copy_wide(entries: &[Self], wide: &mut [f64]) {
        widen(entries, wide);
    }

    fn narrow<'a>(entries: &'a [Self], _: &'a mut [f32]) -> &'a [f32] {
        entries
    }
}

impl Stored for f64 {
    #[inline(always)]
    fn round(exact: f64) -> Self {
        exact
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    fn copy_wide(entries: &[Self], wide: &mut [f64]) {
        wide.copy_from_slice(entries);
    }

    fn narrow<'a>(entries: &'a [Self], space: &'a mut [f32]) -> &'a [f32] {
        let space = &mut space[..entries.len()];
        narrow(entries, space);
        space
    }
}

/// Makes the combination into `out`, row-major.
///
/// # Panics
/// If shapes disagree.
pub fn fused<T: Stored>(plan: &Fused, out: &mut [T]) -> FusedSums {
    plan.check(out.len());
    let q = plan.ncols;
    let factors: Vec<Factor> = plan.terms.iter().map(|term| plan.factor(term)).collect();
    let mut total = Sums::new(plan);
    let spaces = Spaces::default();
    if q > 0 {
        for (wave, out) in out.chunks_mut(WAVE * CHUNK_ROWS * q).enumerate() {
            let first = wave * WAVE * CHUNK_ROWS;
            let chunks = out.par_chunks_mut(CHUNK_ROWS * q).enumerate();
            let parts: Vec<Sums> = chunks
                .map(|(chunk, out)| {
                    let first = first + chunk * CHUNK_ROWS;
                    spaces.lend(plan, |space| plan.chunk(first, &factors, out, space))
                })
                .collect();
            for part in &parts {
                total.add(part);
            }
        }
    }
    plan.finish(total)
}

/// scale · S in the precision that it is multiplied in.
enum Factor {
    Identity,
    Single(Vec<f32>),
    Double(Small),
}

/// Sums of one chunk, or of all.
struct Sums {
    rounding: Vec<f64>,
    product: Vec<f64>,
}

impl Sums {
    fn new(plan: &Fused) -> Self {
        Self {
            rounding: vec![0.0; plan.ncols],
            product: vec![0.0; plan.inner_rows() * plan.ncols],
        }
    }

    fn add(&mut self, part: &Self) {
        let pairs = [
            (&mut self.rounding, &part.rounding),
            (&mut self.product, &part.product),
        ];
        for (sum, part) in pairs {
            for (sum, part) in sum.iter_mut().zip(part) {
                *sum += part;
            }
        }
    }
}

impl Fused<'_> {
    fn check(&self, len: usize) {
        let nrows = len / self.ncols.max(1);
        assert_eq!(nrows * self.ncols, len, "whole rows");
        for term in &self.terms {
            assert_eq!(term.x.nrows(), nrows, "same rows as the result");
            let (l, q) = match &term.s {
                Some(s) => (s.nrows(), s.ncols()),
                None => (self.ncols, self.ncols),
            };
            assert_eq!(term.x.ncols(), l, "inner dimensions agree");
            assert_eq!(q, self.ncols, "same columns as the result");
        }
        if let Inner::With(basis, _) = &self.inner {
            let same = basis.iter().all(|x| x.nrows() == nrows || x.ncols() == 0);
            assert!(same, "a basis of the same rows");
        }
        if let Some(weights) = self.weights {
            assert_eq!(weights.len(), nrows, "one weight per row");
        }
    }

    /// Rows of the inner products.
    fn inner_rows(&self) -> usize {
        match &self.inner {
            Inner::None => 0,
            Inner::Gram => self.ncols,
            Inner::With(basis, _) => basis.iter().map(RowsView::ncols).sum(),
        }
    }

    fn factor(&self, term: &FusedTerm) -> Factor {
        match (&term.s, self.arithmetic) {
            (None, _) => Factor::Identity,
            (Some(s), Arithmetic::Double) => Factor::Double(s.scale(term.scale)),
            (Some(s), Arithmetic::Single) => {
                let mut single = vec![0.0; s.as_slice().len()];
                narrow(s.scale(term.scale).as_slice(), &mut single);
                Factor::Single(single)
            }
        }
    }

    /// Rows `first..` of Out.
    fn chunk<T: Stored>(
        &self,
        first: usize,
        factors: &[Factor],
        out: &mut [T],
        space: &mut Space,
    ) -> Sums {
        let q = self.ncols;
        let mut sums = Sums::new(self);
        for tile in tiles(0..out.len() / q) {
            let out = &mut out[tile.start * q..tile.end * q];
            let rows = first + tile.start..first + tile.end;
            self.sum_terms(&rows, factors, space);
            self.store(&rows, &space.exact, out, &mut sums.rounding);
            self.take_products(&rows, out, space, &mut sums.product);
        }
        sums
    }

    /// A tile of the exact sum.
    fn sum_terms(&self, rows: &Range<usize>, factors: &[Factor], space: &mut Space) {
        let q = self.ncols;
        let exact = &mut space.exact[..rows.len() * q];
        exact.fill(0.0);
        let mut any_rough = false;
        for (term, factor) in self.terms.iter().zip(factors) {
            let l = term.x.ncols();
            match factor {
                Factor::Identity => term.x.add_scaled(rows, term.scale, exact),
                Factor::Single(factor) => {
                    let x = term.x.narrow(rows, &mut space.narrow);
                    let rough = &mut space.rough[..rows.len() * q];
                    if !any_rough {
                        rough.fill(0.0);
                        any_rough = true;
                    }
                    add_narrow_product(x, rows.len(), factor, l, rough);
                }
                Factor::Double(factor) => {
                    let x = &mut space.wide[..rows.len() * l];
                    term.x.copy_wide(rows, x);
                    add_product(x, rows.len(), factor, exact);
                }
            }
        }
        if any_rough {
            add_narrow(&space.rough[..rows.len() * q], exact);
        }
    }

    /// Rounds a tile.
    fn store<T: Stored>(
        &self,
        rows: &Range<usize>,
        exact: &[f64],
        out: &mut [T],
        rounding: &mut [f64],
    ) {
        let q = self.ncols;
        let pairs = exact.chunks_exact(q).zip(out.chunks_exact_mut(q));
        vectorized(
            #[inline(always)]
            || {
                for (row, (exact, out)) in rows.clone().zip(pairs) {
                    let weight = self.weights.map_or(1.0, |weights| weights[row]);
                    for ((sum, &exact), out) in rounding.iter_mut().zip(exact).zip(out) {
                        *out = T::round(exact);
                        let lost = exact - out.wide();
                        *sum = (weight * lost).mul_add(lost, *sum);
                    }
                }
            },
        );
    }

    fn take_products<T: Stored>(
        &self,
        rows: &Range<usize>,
        out: &[T],
        space: &mut Space,
        sum: &mut [f64],
    ) {
        let q = self.ncols;
        match &self.inner {
            Inner::None => {}
            Inner::Gram => {
                let wide = &mut space.wide_out[..out.len()];
                T::copy_wide(out, wide);
                add_gram(wide, rows.len(), q, sum);
            }
            Inner::With(basis, arithmetic) => {
                let mut rest = sum;
                if *arithmetic == Arithmetic::Double {
                    T::copy_wide(out, &mut space.wide_out[..out.len()]);
                }
                for x in basis {
                    let (part, tail) = rest.split_at_mut(x.ncols() * q);
                    rest = tail;
                    match arithmetic {
                        Arithmetic::Double => add_cross(x, rows, q, space, part),
                        Arithmetic::Single => add_narrow_cross(x, rows, q, out, space, part),
                    }
                }
            }
        }
    }

    fn finish(&self, mut total: Sums) -> FusedSums {
        let (p, q) = (self.inner_rows(), self.ncols);
        let product = match &self.inner {
            Inner::None => None,
            Inner::Gram => {
                mirror_upper(&mut total.product, q);
                Some(Small::from_vec(p, q, total.product))
            }
            Inner::With(..) => Some(Small::from_vec(p, q, total.product)),
        };
        FusedSums {
            rounding: total.rounding,
            product,
        }
    }
}

/// sum += Xᵀ Out over a tile, in f64; Out lies in `space.wide_out`.
fn add_cross(x: &RowsView, rows: &Range<usize>, q: usize, space: &mut Space, sum: &mut [f64]) {
    let p = x.ncols();
    if p == 0 {
        return;
    }
    let wide = &mut space.wide[..rows.len() * p];
    x.copy_wide(rows, wide);
    matmul(
        MatMut::from_row_major_slice_mut(sum, p, q),
        Accum::Add,
        MatRef::from_row_major_slice(wide, rows.len(), p).transpose(),
        MatRef::from_row_major_slice(&space.wide_out[..rows.len() * q], rows.len(), q),
        1.0,
        Par::Seq,
    );
}

/// [`add_cross`] with products in f32.
fn add_narrow_cross<T: Stored>(
    x: &RowsView,
    rows: &Range<usize>,
    q: usize,
    out: &[T],
    space: &mut Space,
    sum: &mut [f64],
) {
    let p = x.ncols();
    if p == 0 {
        return;
    }
    let x = x.narrow(rows, &mut space.narrow);
    let out = T::narrow(out, &mut space.narrow_out);
    let product = &mut space.product[..p * q];
    matmul(
        MatMut::from_row_major_slice_mut(product, p, q),
        Accum::Replace,
        MatRef::from_row_major_slice(x, rows.len(), p).transpose(),
        MatRef::from_row_major_slice(out, rows.len(), q),
        1.0,
        Par::Seq,
    );
    add_narrow(product, sum);
}

/// product += x · s, all in f32; `x` has `rows` rows of `l`.
fn add_narrow_product(x: &[f32], rows: usize, s: &[f32], l: usize, product: &mut [f32]) {
    let q = product.len() / rows.max(1);
    if l == 0 || q == 0 {
        return;
    }
    let x = MatRef::from_row_major_slice(x, rows, l);
    let s = MatRef::from_row_major_slice(s, l, q);
    let mut product = MatMut::from_row_major_slice_mut(product, rows, q);
    for depth in tiles(0..l) {
        matmul(
            product.as_mut(),
            Accum::Add,
            x.subcols(depth.start, depth.len()),
            s.subrows(depth.start, depth.len()),
            1.0,
            Par::Seq,
        );
    }
}

fn add_narrow(part: &[f32], sum: &mut [f64]) {
    vectorized(
        #[inline(always)]
        || {
            for (sum, &part) in sum.iter_mut().zip(part) {
                *sum += f64::from(part);
            }
        },
    );
}

#[cfg(test)]
mod tests;
