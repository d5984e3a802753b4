//! `combine`.

use rankmill_common::ErrorKind;
use rankmill_common::matrix::{Precision, RowRange, SmallMatrix, TallMatrix};
use rankmill_common::operator::combine::{Coefficients, Combine, Products, Source, Term};
use rankmill_kernels::gaussian_row;

use crate::operator::combine;
use crate::operator::support::*;

const ROWS: RowRange = RowRange {
    start: 13,
    count: 60,
};

fn stored(matrix: TallMatrix, coefficients: Coefficients, scale: f64) -> Term {
    Term {
        matrix: Source::Stored { matrix },
        coefficients,
        scale,
    }
}

fn rows_of(matrix: SmallMatrix, first_row: u32) -> Coefficients {
    Coefficients::Rows {
        parts: vec![matrix],
        first_row,
    }
}

fn plain(ncols: u32, terms: Vec<Term>) -> Combine {
    Combine {
        rows: ROWS,
        ncols,
        terms,
        arithmetic: Precision::Double,
        precision: Precision::Single,
        products: Products::None,
        weights: None,
    }
}

fn cut(rows: &Rows) -> Rows {
    rows[ROWS.start as usize..ROWS.end() as usize].to_vec()
}

/// Σ scale · X S for the rows of the task.
fn sum(terms: &[(&Rows, Rows, f64)], ncols: usize) -> Rows {
    let mut sum = vec![vec![0.0; ncols]; ROWS.count as usize];
    for (x, s, scale) in terms {
        let product = times(&cut(x), s);
        for (sum, product) in sum.iter_mut().flatten().zip(product.iter().flatten()) {
            *sum += scale * product;
        }
    }
    sum
}

#[test]
fn terms_of_every_kind_add_up() {
    let bench = Bench::new();
    let (x, wide) = (numbers(100, 3, 1), numbers(100, 4, 2));
    let s = numbers(9, 5, 3);
    let mut gaussian = vec![vec![0.0_f32; 3]; 100];
    for (row, out) in gaussian.iter_mut().enumerate() {
        gaussian_row(7, 2, row as u64, out);
    }
    let gaussian: Rows = gaussian
        .iter()
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    let parameters = plain(
        3,
        vec![
            stored(
                bench.tall(&x, Precision::Single, 40),
                Coefficients::Identity,
                1.0,
            ),
            stored(
                bench.tall(&wide, Precision::Double, 33),
                rows_of(bench.small(&s), 2),
                -2.5,
            ),
            Term {
                matrix: Source::Gaussian {
                    seed: 7,
                    stream: 2,
                    ncols: 3,
                },
                coefficients: rows_of(bench.small(&s), 6),
                scale: 1.0,
            },
        ],
    );
    let rows = |range: std::ops::Range<usize>| -> Rows {
        s[range].iter().map(|row| row[..3].to_vec()).collect()
    };
    let expected = sum(
        &[
            (&x, identity(3), 1.0),
            (&wide, rows(2..6), -2.5),
            (&gaussian, rows(6..9), 1.0),
        ],
        3,
    );
    let combined = combine::run(&bench.context, &parameters).unwrap();
    let out = bench.read_shard(&combined.shard, 3, Precision::Single);
    assert_eq!(combined.shard.rows, ROWS);
    assert_close(&out, &expected, 1e-7);
    let lost: Vec<f64> = (0..3)
        .map(|j| {
            expected
                .iter()
                .zip(&out)
                .map(|(e, o)| (e[j] - o[j]).powi(2))
                .sum()
        })
        .collect();
    assert_close(&bench.read_small(&combined.rounding), &vec![lost], 1e-6);
}

#[test]
fn weights_weigh_what_rounding_loses() {
    let bench = Bench::new();
    let x: Rows = numbers(100, 2, 4)
        .iter()
        .map(|row| row.iter().map(|x| x / 3.0).collect())
        .collect();
    let weights: Vec<f64> = numbers(100, 1, 5).iter().map(|row| row[0].abs()).collect();
    let terms = vec![stored(
        bench.tall(&x, Precision::Double, 100),
        Coefficients::Identity,
        1.0,
    )];
    let mut parameters = plain(2, terms);
    parameters.weights = Some(bench.tall(&column(&weights), Precision::Double, 50));
    let combined = combine::run(&bench.context, &parameters).unwrap();
    let lost: Vec<f64> = (0..2)
        .map(|j| {
            let rows = ROWS.start as usize..ROWS.end() as usize;
            rows.map(|i| weights[i] * (x[i][j] - f64::from(x[i][j] as f32)).powi(2))
                .sum()
        })
        .collect();
    assert_close(&bench.read_small(&combined.rounding), &vec![lost], 1e-12);

    parameters.precision = Precision::Double;
    let combined = combine::run(&bench.attempt("double"), &parameters).unwrap();
    assert_eq!(bench.read_small(&combined.rounding), [[0.0, 0.0]]);
    assert_eq!(
        bench.read_shard(&combined.shard, 2, Precision::Double),
        cut(&x)
    );
}

#[test]
fn inner_products_are_those_of_the_rounded_result() {
    let bench = Bench::new();
    let x: Rows = numbers(100, 2, 6)
        .iter()
        .map(|row| row.iter().map(|x| x / 3.0).collect())
        .collect();
    let (first, second) = (numbers(100, 3, 7), numbers(100, 1, 8));
    let terms = vec![stored(
        bench.tall(&x, Precision::Double, 100),
        Coefficients::Identity,
        1.0,
    )];
    let mut parameters = plain(2, terms);
    parameters.products = Products::With {
        basis: vec![
            bench.tall(&first, Precision::Single, 30),
            bench.tall(&second, Precision::Double, 70),
        ],
        precision: Precision::Double,
    };
    let combined = combine::run(&bench.context, &parameters).unwrap();
    let out = bench.read_shard(&combined.shard, 2, Precision::Single);
    let mut expected = times(&transposed(&cut(&first)), &out);
    expected.extend(times(&transposed(&cut(&second)), &out));
    assert_close(
        &bench.read_small(&combined.product.unwrap()),
        &expected,
        1e-14,
    );

    parameters.products = Products::Gram;
    let combined = combine::run(&bench.attempt("gram"), &parameters).unwrap();
    let gram = bench.read_small(&combined.product.unwrap());
    assert_close(&gram, &times(&transposed(&out), &out), 1e-14);
    assert_eq!(gram, transposed(&gram));
}

#[test]
fn extremes_name_the_first_row_of_the_largest_entry() {
    let bench = Bench::new();
    let mut x = vec![vec![0.25, 0.0]; 100];
    x[5][0] = 9.0;
    x[40][0] = -3.0;
    x[60][0] = 3.0;
    x[72][1] = 0.5;
    let terms = |precision| {
        vec![stored(
            bench.tall(&x, precision, 100),
            Coefficients::Identity,
            1.0,
        )]
    };
    for precision in [Precision::Single, Precision::Double] {
        let mut parameters = plain(2, terms(precision));
        parameters.precision = precision;
        parameters.products = Products::Extremes;
        let context = bench.attempt(&format!("extremes-{precision:?}"));
        let combined = combine::run(&context, &parameters).unwrap();
        let extremes = bench.read_small(&combined.extremes.unwrap());
        assert_eq!(extremes, [[-3.0, 0.5], [40.0, 72.0]]);
        assert!(combined.product.is_none());
    }
}

#[test]
fn shapes_that_do_not_fit_are_a_defect_not_a_panic() {
    let bench = Bench::new();
    let x = bench.tall(&numbers(100, 3, 9), Precision::Single, 100);
    let s = bench.small(&numbers(3, 2, 10));
    for coefficients in [Coefficients::Identity, rows_of(s.clone(), 1), rows_of(s, 0)] {
        let parameters = plain(4, vec![stored(x.clone(), coefficients, 1.0)]);
        let error = combine::run(&bench.context, &parameters).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
    }
}
