//! The entry of largest magnitude in each column: what a sign rule needs.

use crate::panel::Panel;
use crate::reduce::{chunk_count, chunk_rows};
use rayon::prelude::*;

/// The entry of largest magnitude of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    /// Its absolute value.
    pub magnitude: f32,
    /// The lowest row where it occurs.
    pub row: usize,
    /// Whether it is below zero there.
    pub negative: bool,
}

/// The largest |entry| of each column of `a`; ties go to the lowest row. NaN entries are passed
/// over. A column of zeros, or of no rows, has magnitude 0 at row 0.
pub fn column_extremes(a: &Panel) -> Vec<Extreme> {
    const NONE: Extreme = Extreme {
        magnitude: 0.0,
        row: 0,
        negative: false,
    };
    let chunks: Vec<Vec<Extreme>> = (0..chunk_count(a.nrows()))
        .into_par_iter()
        .map(|chunk| {
            let mut extremes = vec![NONE; a.ncols()];
            for row in chunk_rows(chunk, a.nrows()) {
                for (extreme, &entry) in extremes.iter_mut().zip(a.row(row)) {
                    if entry.abs() > extreme.magnitude {
                        *extreme = Extreme {
                            magnitude: entry.abs(),
                            row,
                            negative: entry < 0.0,
                        };
                    }
                }
            }
            extremes
        })
        .collect();
    let mut total = vec![NONE; a.ncols()];
    for chunk in &chunks {
        for (total, extreme) in total.iter_mut().zip(chunk) {
            if extreme.magnitude > total.magnitude {
                *total = *extreme;
            }
        }
    }
    total
}
