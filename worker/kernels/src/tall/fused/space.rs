//! Where a tile and its products lie while they are made.

use super::{Arithmetic, Fused, Inner};
use crate::tall::TILE_ROWS;
use crate::tall::rows::RowsView;
use std::sync::{Mutex, PoisonError};

/// Work space of one chunk.
pub(super) struct Space {
    pub(super) exact: Vec<f64>,
    pub(super) rough: Vec<f32>,
    pub(super) wide: Vec<f64>,
    pub(super) wide_out: Vec<f64>,
    pub(super) narrow: Vec<f32>,
    pub(super) narrow_out: Vec<f32>,
    pub(super) product: Vec<f32>,
}

impl Space {
    fn new(plan: &Fused) -> Self {
        let q = plan.ncols;
        let (basis, inner) = match &plan.inner {
            // What no products are taken of needs no copy either.
            Inner::None => (0, None),
            Inner::Gram => (0, Some(Arithmetic::Double)),
            Inner::With(basis, arithmetic) => (widest(basis.iter()), Some(*arithmetic)),
        };
        let terms = widest(plan.terms.iter().filter(|t| t.s.is_some()).map(|t| &t.x));
        let room = |has: Option<Arithmetic>, wanted, width| {
            if has == Some(wanted) {
                TILE_ROWS * width
            } else {
                0
            }
        };
        let (single, double) = (Arithmetic::Single, Arithmetic::Double);
        let outer = (terms > 0).then_some(plan.arithmetic);
        let inner_product = if inner == Some(single) { basis * q } else { 0 };
        Self {
            exact: vec![0.0; TILE_ROWS * q],
            rough: vec![0.0; room(outer, single, q)],
            wide: vec![0.0; room(outer, double, terms).max(room(inner, double, basis))],
            wide_out: vec![0.0; room(inner, double, q)],
            narrow: vec![0.0; room(outer, single, terms).max(room(inner, single, basis))],
            narrow_out: vec![0.0; room(inner, single, q)],
            product: vec![0.0; inner_product],
        }
    }
}

/// Work spaces that are used again: one per chunk would be new pages for every few rows.
#[derive(Default)]
pub(super) struct Spaces(Mutex<Vec<Space>>);

impl Spaces {
    /// Does `work` with a space that nobody uses.
    pub(super) fn lend<R>(&self, plan: &Fused, work: impl FnOnce(&mut Space) -> R) -> R {
        let spaces = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = spaces().pop();
        let mut space = idle.unwrap_or_else(|| Space::new(plan));
        let done = work(&mut space);
        spaces().push(space);
        done
    }
}

fn widest<'a, 'b: 'a>(views: impl Iterator<Item = &'a RowsView<'b>>) -> usize {
    views.map(RowsView::ncols).max().unwrap_or(0)
}
