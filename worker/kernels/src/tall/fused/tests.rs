use super::*;
use crate::tall::Entries;

/// More than a wave, and a last tile that is not full.
const NROWS: usize = WAVE * CHUNK_ROWS + CHUNK_ROWS + 77;

fn numbers(len: usize, salt: usize) -> Vec<f64> {
    let number = |i: usize| ((i * 7919 + salt * 104_729) % 1009) as f64 / 1009.0 - 0.4;
    // Numbers that f32 holds.
    (0..len).map(|i| f64::from(number(i) as f32)).collect()
}

fn narrowed(wide: &[f64]) -> Vec<f32> {
    wide.iter().map(|&x| x as f32).collect()
}

fn view<'a>(ncols: usize, pieces: &[Entries<'a>]) -> RowsView<'a> {
    let mut view = RowsView::new(ncols);
    for piece in pieces {
        view.push(*piece);
    }
    view
}

struct Case {
    x: Vec<f64>,
    y: Vec<f64>,
    s: Small,
}

const L: usize = 5;
const Q: usize = 3;

impl Case {
    fn new() -> Self {
        Self {
            x: numbers(NROWS * L, 1),
            y: numbers(NROWS * Q, 2),
            s: Small::from_vec(L, Q, numbers(L * Q, 3)),
        }
    }

    /// Row `i`, column `j` of 2 Y − 0.5 X S.
    fn exact(&self, i: usize, j: usize) -> f64 {
        let product: f64 = (0..L).map(|k| self.x[i * L + k] * self.s[(k, j)]).sum();
        2.0 * self.y[i * Q + j] - 0.5 * product
    }

    fn run<T: Stored + Default>(
        &self,
        arithmetic: Arithmetic,
        inner: Inner,
        weights: Option<&[f64]>,
    ) -> (Vec<T>, FusedSums) {
        let narrow = narrowed(&self.x[..900 * L]);
        let x = view(
            L,
            &[
                Entries::Single(&narrow),
                Entries::Double(&self.x[900 * L..]),
            ],
        );
        let y = view(Q, &[Entries::Double(&self.y)]);
        let terms = vec![
            FusedTerm {
                x: y,
                s: None,
                scale: 2.0,
            },
            FusedTerm {
                x,
                s: Some(self.s.clone()),
                scale: -0.5,
            },
        ];
        let plan = Fused {
            terms,
            ncols: Q,
            arithmetic,
            inner,
            weights,
        };
        let mut out = vec![T::default(); NROWS * Q];
        let sums = fused(&plan, &mut out);
        (out, sums)
    }
}

#[test]
fn sums_pieces_of_either_precision() {
    let case = Case::new();
    for (arithmetic, tolerance) in [(Arithmetic::Double, 1e-14), (Arithmetic::Single, 1e-6)] {
        let (out, sums) = case.run::<f64>(arithmetic, Inner::None, None);
        assert!(sums.product.is_none());
        for i in 0..NROWS {
            for j in 0..Q {
                let error = (out[i * Q + j] - case.exact(i, j)).abs();
                assert!(error < tolerance, "({i}, {j}) is off by {error}");
            }
        }
    }
}

#[test]
fn rounding_is_weighed_per_row() {
    let case = Case::new();
    let weights: Vec<f64> = numbers(NROWS, 5).iter().map(|w| w.abs()).collect();
    let (exact, _) = case.run::<f64>(Arithmetic::Double, Inner::None, None);
    let (out, sums) = case.run::<f32>(Arithmetic::Double, Inner::None, Some(&weights));
    for (j, lost) in sums.rounding.into_iter().enumerate() {
        let lose = |i: usize| weights[i] * (exact[i * Q + j] - f64::from(out[i * Q + j])).powi(2);
        let expected: f64 = (0..NROWS).map(lose).sum();
        assert!(expected > 0.0 && (lost - expected).abs() <= 1e-12 * expected);
    }
}

#[test]
fn inner_products_are_of_what_is_stored() {
    let case = Case::new();
    let narrow = narrowed(&case.x);
    for (arithmetic, tolerance) in [(Arithmetic::Double, 1e-9), (Arithmetic::Single, 1e-2)] {
        let basis = vec![
            view(L, &[Entries::Single(&narrow)]),
            view(Q, &[Entries::Double(&case.y)]),
        ];
        let inner = Inner::With(basis, arithmetic);
        let (out, sums) = case.run::<f32>(Arithmetic::Double, inner, None);
        let product = sums.product.unwrap();
        for j in 0..Q {
            for p in 0..L + Q {
                let entry = |i: usize| {
                    if p < L {
                        case.x[i * L + p]
                    } else {
                        case.y[i * Q + p - L]
                    }
                };
                let exact: f64 = (0..NROWS)
                    .map(|i| entry(i) * f64::from(out[i * Q + j]))
                    .sum();
                let error = (product[(p, j)] - exact).abs();
                assert!(error < tolerance, "({p}, {j}) is off by {error}");
            }
        }
    }
}

#[test]
fn a_gram_matrix_is_symmetric_and_exact() {
    let case = Case::new();
    let (out, sums) = case.run::<f32>(Arithmetic::Single, Inner::Gram, None);
    let gram = sums.product.unwrap();
    for j in 0..Q {
        for k in 0..Q {
            let entry = |i: usize, j: usize| f64::from(out[i * Q + j]);
            let exact: f64 = (0..NROWS).map(|i| entry(i, j) * entry(i, k)).sum();
            assert_eq!(gram[(j, k)], gram[(k, j)]);
            assert!((gram[(j, k)] - exact).abs() < 1e-9);
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let case = Case::new();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let basis = vec![view(L, &[Entries::Double(&case.x)])];
            let inner = Inner::With(basis, Arithmetic::Single);
            let (out, sums) = case.run::<f32>(Arithmetic::Single, inner, None);
            (out, sums.rounding, sums.product)
        })
    };
    let alone = run(1);
    assert_eq!(alone, run(2));
    assert_eq!(alone, run(5));
}

#[test]
fn nothing_is_combined_of_nothing() {
    let plan = Fused {
        terms: Vec::new(),
        ncols: 0,
        arithmetic: Arithmetic::Single,
        inner: Inner::Gram,
        weights: None,
    };
    let sums = fused::<f32>(&plan, &mut []);
    assert_eq!(sums.product, Some(Small::zeros(0, 0)));
}
