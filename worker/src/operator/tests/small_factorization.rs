//! `small_factorization`: what its answers promise, checked by multiplying out.

use rankmill_common::ErrorKind;
use rankmill_common::job::svd::Rank;
use rankmill_common::operator::{SmallFactorization, SmallFactors, TakenStep, Wanted};

use crate::operator::small_factorization;
use crate::operator::support::*;

struct Answer {
    factors: SmallFactors,
    matrices: Vec<Rows>,
}

fn factorize(bench: &Bench, parameters: &SmallFactorization, attempt: &str) -> Answer {
    let factors = small_factorization::run(&bench.attempt(attempt), parameters).unwrap();
    let matrices = factors
        .matrices
        .iter()
        .map(|m| bench.read_small(m))
        .collect();
    Answer { factors, matrices }
}

/// W (rows × 4) = Q diag(values) Rᵀ with Q and R made of plane rotations.
fn with_singular_values(rows: usize, values: &[f64], salt: usize) -> Rows {
    let mut w = vec![vec![0.0; values.len()]; rows];
    for (i, &value) in values.iter().enumerate() {
        w[i][i] = value;
    }
    let rotate = |w: &mut Rows| {
        for step in 0..rows {
            let (i, j) = (step % rows, (step * 3 + 1 + salt) % rows);
            if i != j {
                let (sine, cosine) = (0.6, 0.8);
                for column in 0..w[0].len() {
                    let (a, b) = (w[i][column], w[j][column]);
                    w[i][column] = cosine * a - sine * b;
                    w[j][column] = sine * a + cosine * b;
                }
            }
        }
    };
    rotate(&mut w);
    let mut turned = transposed(&w);
    let count = turned.len();
    for step in 0..count {
        let (i, j) = (step, (step + 1) % count);
        if i != j {
            let rows = (turned[i].clone(), turned[j].clone());
            #[allow(clippy::needless_range_loop, reason = "it indexes columns of rows")]
            for column in 0..rows.0.len() {
                turned[i][column] = 0.8 * rows.0[column] - 0.6 * rows.1[column];
                turned[j][column] = 0.6 * rows.0[column] + 0.8 * rows.1[column];
            }
        }
    }
    transposed(&turned)
}

fn gram(w: &Rows) -> Rows {
    times(&transposed(w), w)
}

fn assert_values(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_close(&vec![found.to_vec()], &vec![expected.to_vec()], tolerance);
}

fn top(matrix: &Rows, ncols: usize) -> Rows {
    matrix.iter().map(|row| row[..ncols].to_vec()).collect()
}

#[test]
fn diagonals_and_products_are_plain() {
    let bench = Bench::new();
    let (a, b) = (numbers(3, 4, 1), numbers(3, 4, 2));
    let values = vec![3.0, -1.0];
    let answer = factorize(&bench, &SmallFactorization::Diagonal { values }, "diagonal");
    assert_eq!(answer.matrices, [diagonal(&[3.0, -1.0])]);

    let right = transposed(&b);
    let multiply = SmallFactorization::Multiply {
        left: bench.small(&a),
        right: bench.small(&right),
    };
    let answer = factorize(&bench, &multiply, "multiply");
    assert_close(&answer.matrices[0], &times(&a, &right), 1e-15);

    let multiply = SmallFactorization::Multiply {
        left: bench.small(&a),
        right: bench.small(&b),
    };
    let error = small_factorization::run(&bench.context, &multiply).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
}

fn orthonormalize(bench: &Bench, w: &Rows, floor: f64, attempt: &str) -> Answer {
    let half = w.len() / 2;
    let parts = [w[..half].to_vec(), w[half..].to_vec()];
    let gram = parts.iter().map(|part| bench.small(&gram(part))).collect();
    factorize(
        bench,
        &SmallFactorization::Orthonormalize { gram, floor },
        attempt,
    )
}

#[test]
fn a_block_becomes_orthonormal() {
    let bench = Bench::new();
    let values = [5.0, 2.0, 1.0, 1e-3];
    let w = with_singular_values(9, &values, 0);
    let answer = orthonormalize(&bench, &w, 1e-9, "full");
    let q = times(&w, &answer.matrices[0]);
    assert_close(&gram(&q), &identity(4), 1e-8);
    assert_close(&times(&q, &answer.matrices[1]), &w, 1e-12);
    assert_values(&answer.factors.values, &values, 1e-9);
    assert_eq!(answer.factors.rank, 4);
}

#[test]
fn short_directions_are_dropped_and_of_nothing_nothing_is_left() {
    let bench = Bench::new();
    let w = with_singular_values(9, &[5.0, 2.0, 1.0, 1e-3], 0);
    let answer = orthonormalize(&bench, &w, 1e-2, "dropped");
    assert_eq!(answer.factors.rank, 3);
    let q = times(&w, &answer.matrices[0]);
    assert_close(&gram(&q), &identity(3), 1e-8);
    assert_close(&times(&q, &answer.matrices[1]), &w, 1e-3);

    let nothing = orthonormalize(&bench, &vec![vec![0.0; 3]; 4], 1e-9, "nothing");
    assert_eq!(nothing.factors.rank, 0);
    assert!(nothing.factors.matrices.is_empty());
    assert_eq!(nothing.factors.values, [0.0; 3]);
}

#[test]
fn an_overflowed_product_asks_for_smaller_values() {
    let bench = Bench::new();
    let gram = vec![bench.small(&vec![vec![f64::INFINITY]])];
    let parameters = SmallFactorization::Orthonormalize { gram, floor: 0.0 };
    let error = small_factorization::run(&bench.context, &parameters).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("scale"), "{error}");
}

/// Two steps of block Lanczos in plain loops, on B = AᵀA of order 6 with blocks of 2.
#[test]
fn ritz_steps_grow_the_projection_and_know_their_residuals() {
    let bench = Bench::new();
    let b = gram(&with_singular_values(8, &[9.0, 5.0, 2.0, 1.0, 0.5, 0.1], 1));
    let mut basis: Rows = (0..6)
        .map(|i| vec![f64::from(u8::from(i == 0)), f64::from(u8::from(i == 1))])
        .collect();
    let mut projected = None;
    for step in 0..3 {
        let newest: Rows = basis.iter().map(|row| row[2 * step..].to_vec()).collect();
        let image = times(&b, &newest);
        let coefficients = times(&transposed(&basis), &image);
        let inside = times(&basis, &coefficients);
        let remainder: Rows = (0..6)
            .map(|i| (0..2).map(|j| image[i][j] - inside[i][j]).collect())
            .collect();
        let parameters = SmallFactorization::RitzStep {
            projected: projected.take(),
            coefficients: vec![bench.small(&coefficients)],
            remainder_gram: vec![bench.small(&gram(&remainder))],
            noise: 1e-7,
            room: 6,
            report: 3,
        };
        let answer = factorize(&bench, &parameters, &format!("step-{step}"));
        let t = times(&transposed(&basis), &times(&b, &basis));
        assert_close(&answer.matrices[0], &t, 1e-12);
        let s = &answer.matrices[1];
        let order = t.len();
        assert_close(&gram(s), &identity(order), 1e-12);
        let reported = order.min(3);
        assert_eq!(answer.factors.values.len(), reported);
        let ritz = times(&basis, s);
        let moved = times(&b, &ritz);
        for i in 0..reported {
            let value = answer.factors.values[i];
            let residual: f64 = (0..6)
                .map(|row| (moved[row][i] - value * ritz[row][i]).powi(2))
                .sum();
            let found = answer.factors.residuals[i];
            assert!((found - residual.sqrt()).abs() < 1e-6, "{found} {residual}");
        }
        if step < 2 {
            let next = times(&remainder, &answer.matrices[2]);
            assert_close(&gram(&next), &identity(2), 1e-6);
            for (row, next) in basis.iter_mut().zip(next) {
                row.extend(next);
            }
            projected = Some(answer.factors.matrices[0].clone());
        } else {
            assert_eq!((answer.factors.rank, answer.matrices.len()), (0, 2));
            assert_values(&answer.factors.values, &[81.0, 25.0, 4.0], 1e-9);
        }
    }
}

/// Two steps of block Lanczos on B of order 6 with blocks of 2, the second one with room for `room`
/// more directions: basis, remainder, and the second step.
fn two_steps(bench: &Bench, b: &Rows, room: u64) -> (Rows, Rows, Answer) {
    let mut basis: Rows = (0..6)
        .map(|i| vec![f64::from(u8::from(i == 0)), f64::from(u8::from(i == 1))])
        .collect();
    let mut projected = None;
    loop {
        let newest: Rows = basis
            .iter()
            .map(|row| row[row.len() - 2..].to_vec())
            .collect();
        let image = times(b, &newest);
        let coefficients = times(&transposed(&basis), &image);
        let inside = times(&basis, &coefficients);
        let remainder: Rows = (0..6)
            .map(|i| (0..2).map(|j| image[i][j] - inside[i][j]).collect())
            .collect();
        let second = projected.is_some();
        let parameters = SmallFactorization::RitzStep {
            projected: projected.take(),
            coefficients: vec![bench.small(&coefficients)],
            remainder_gram: vec![bench.small(&gram(&remainder))],
            noise: 1e-7,
            room: if second { room } else { 4 },
            report: 3,
        };
        let answer = factorize(bench, &parameters, &format!("step-{second}-{room}"));
        if second {
            return (basis, remainder, answer);
        }
        projected = Some(answer.factors.matrices[0].clone());
        basis = beside(&basis, &times(&remainder, &answer.matrices[2]));
    }
}

fn beside(left: &Rows, right: &Rows) -> Rows {
    let rows = left.iter().zip(right);
    rows.map(|(left, right)| [&left[..], right].concat())
        .collect()
}

#[test]
fn an_outlook_is_the_next_step_but_for_its_own_block() {
    let bench = Bench::new();
    let b = gram(&with_singular_values(8, &[9.0, 5.0, 2.0, 1.0, 0.5, 0.1], 1));
    for room in [2, 1] {
        let (basis, remainder, step) = two_steps(&bench, &b, room);
        let newest = &step.matrices[0];
        let multiple = f64::midpoint(newest[2][2], newest[3][3]);
        let smallest = 2.1 * multiple;
        let taken = TakenStep {
            projected: step.factors.matrices[0].clone(),
            remainder_gram: vec![bench.small(&gram(&remainder))],
            transform: step.factors.matrices[2].clone(),
            smallest,
            report: 3,
        };
        let outlook = |smallest, wanted| SmallFactorization::RitzOutlook {
            step: TakenStep {
                smallest,
                ..taken.clone()
            },
            wanted,
        };
        let pairs = outlook(smallest, Wanted::Pairs);
        let ahead = factorize(&bench, &pairs, &format!("ahead-{room}"));

        let next = times(&remainder, &step.matrices[2]);
        assert_eq!(next[0].len() as u64, room);
        let whole = beside(&basis, &next);
        let mut grown = times(&transposed(&whole), &times(&b, &whole));
        for (i, row) in grown.iter_mut().enumerate().skip(4) {
            for (j, entry) in row.iter_mut().enumerate().skip(4) {
                *entry = if i == j { multiple } else { 0.0 };
            }
        }
        let vectors = times(&beside(&basis, &remainder), &ahead.matrices[0]);
        assert_close(&gram(&vectors), &identity(3), 1e-9);
        let coordinates = times(&transposed(&whole), &vectors);
        let moved = times(&grown, &coordinates);
        for (i, &value) in ahead.factors.values.iter().enumerate() {
            for (row, moved) in coordinates.iter().zip(&moved) {
                let off = (moved[i] - value * row[i]).abs();
                assert!(off < 1e-7, "{value} is no eigenvalue: {off:e}");
            }
        }
        let quotients = times(&transposed(&vectors), &times(&b, &vectors));
        let before = step.factors.values[0];
        assert!(quotients[0][0] > before - 1e-9, "{before} {quotients:?}");

        let values = outlook(smallest, Wanted::Values);
        let values = factorize(&bench, &values, &format!("values-{room}"));
        assert_eq!((values.factors.rank, values.matrices.len()), (3, 0));
        for (value, other) in values.factors.values.iter().zip(&ahead.factors.values) {
            assert!((value - other).abs() < 1e-12 * ahead.factors.values[0]);
        }
        let flat = outlook(1.9 * multiple, Wanted::Pairs);
        let none = factorize(&bench, &flat, &format!("none-{room}"));
        assert_eq!((none.factors.rank, none.matrices.len()), (0, 0));
    }
}

#[test]
fn a_remainder_has_no_more_directions_than_there_is_room_for() {
    let bench = Bench::new();
    let remainder = with_singular_values(9, &[3.0, 2.0, 1e-5, 1e-5], 7);
    let step = |room| SmallFactorization::RitzStep {
        projected: None,
        coefficients: vec![bench.small(&diagonal(&[9.0, 4.0, 2.0, 1.0]))],
        remainder_gram: vec![bench.small(&gram(&remainder))],
        noise: 1e-7,
        room,
        report: 4,
    };
    assert_eq!(factorize(&bench, &step(4), "four").factors.rank, 4);
    let two = factorize(&bench, &step(2), "two");
    assert_eq!(two.factors.rank, 2);
    assert_close(
        &gram(&times(&remainder, &two.matrices[2])),
        &identity(2),
        1e-8,
    );
    let none = factorize(&bench, &step(0), "none");
    assert_eq!((none.factors.rank, none.matrices.len()), (0, 2));
}

#[test]
fn eigenpairs_of_a_gram_matrix_are_singular_pairs() {
    let bench = Bench::new();
    let values = [7.0, 4.0, 2.0, 1.0, 0.25];
    let a = with_singular_values(12, &values, 2);
    let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
    let total: f64 = squares.iter().sum();
    let pairs = |rank, attempt| {
        let parts = vec![
            bench.small(&gram(&a[..5].to_vec())),
            bench.small(&gram(&a[5..].to_vec())),
        ];
        let parameters = SmallFactorization::GramEigenpairs {
            parts,
            rank,
            frobenius2: total,
            seed: 3,
            product: attempt == "fixed",
        };
        factorize(&bench, &parameters, attempt).factors
    };
    let energy = |fraction, at_most| Rank::Energy { fraction, at_most };
    let fixed = pairs(Rank::Fixed { k: 3 }, "fixed");
    assert_values(&fixed.values, &squares[..4], 1e-12);
    assert_eq!(fixed.rank, 3);
    let v = bench.read_tall(fixed.tall.as_ref().unwrap());
    assert_close(&gram(&v), &identity(3), 1e-6);
    let moved = times(&gram(&a), &v);
    let product = fixed.product.as_ref().unwrap();
    assert_close(&bench.read_tall(product), &moved, 1e-13);
    assert_close(&moved, &times(&v, &diagonal(&squares[..3])), 1e-6);

    let all = pairs(Rank::Fixed { k: 9 }, "all");
    assert_eq!(all.values.len(), 5);
    assert!(all.product.is_none(), "nobody wanted it");
    assert_eq!(pairs(energy(0.9, 4), "energy").tall.unwrap().ncols, 2);
    assert_eq!(pairs(energy(0.999, 2), "capped").tall.unwrap().ncols, 2);
}

fn product_svd(bench: &Bench, y: &Rows, rank: Rank, attempt: &str) -> Answer {
    let parameters = SmallFactorization::ProductSvd {
        gram: vec![bench.small(&gram(y))],
        rank,
        frobenius2: 100.0,
    };
    factorize(bench, &parameters, attempt)
}

#[test]
fn a_product_gives_its_singular_vectors_and_values() {
    let bench = Bench::new();
    let values = [8.0, 3.0, 1.0, 0.01];
    let y = with_singular_values(10, &values, 3);
    let answer = product_svd(&bench, &y, Rank::Fixed { k: 3 }, "fixed");
    let u = times(&y, &answer.matrices[0]);
    assert_close(&gram(&u), &identity(3), 1e-9);
    assert_close(&answer.matrices[2], &vec![values[..3].to_vec()], 1e-10);
    assert_values(&answer.factors.values, &values, 1e-10);
    let turned = times(&y, &answer.matrices[1]);
    assert_close(&turned, &times(&u, &diagonal(&values[..3])), 1e-9);
    assert_eq!(answer.matrices[3], vec![vec![0.0; 3]; 3]);
    assert_eq!(answer.factors.rank, 3);

    let rank = Rank::Energy {
        fraction: 0.7,
        at_most: 4,
    };
    let answer = product_svd(&bench, &y, rank, "energy");
    assert_eq!(answer.matrices[0][0].len(), 2);
}

#[test]
fn directions_that_are_missing_from_a_product_are_filled() {
    let bench = Bench::new();
    let y = with_singular_values(10, &[8.0, 3.0, 0.0, 0.0], 3);
    let answer = product_svd(&bench, &y, Rank::Fixed { k: 3 }, "deficient");
    assert_eq!(answer.factors.rank, 2);
    assert_eq!(answer.matrices[3], diagonal(&[0.0, 0.0, 1.0]));
    let u = times(&y, &answer.matrices[0]);
    assert_close(&gram(&u), &diagonal(&[1.0, 1.0, 0.0]), 1e-9);
    assert_close(&gram(&answer.matrices[1]), &identity(3), 1e-12);

    let answer = product_svd(&bench, &vec![vec![0.0; 4]; 3], Rank::Fixed { k: 2 }, "zero");
    assert_eq!(answer.factors.rank, 0);
    assert_eq!(answer.matrices[2], [[0.0, 0.0]]);
    assert_eq!(answer.matrices[3], identity(2));
}

#[test]
fn a_sketch_of_everything_is_the_svd() {
    let bench = Bench::new();
    let values = [6.0, 3.0, 1.0];
    let a = with_singular_values(9, &values, 4);
    let y = times(&a, &top(&numbers(3, 3, 11), 3));
    let z = times(&transposed(&a), &y);
    let parameters = SmallFactorization::SketchSvd {
        gram_q: vec![bench.small(&gram(&y))],
        gram_b: vec![bench.small(&gram(&z))],
        rank: Rank::Fixed { k: 2 },
        frobenius2: 46.0,
    };
    let answer = factorize(&bench, &parameters, "sketch");
    let u = times(&y, &answer.matrices[0]);
    let v = times(&z, &answer.matrices[1]);
    assert_close(&gram(&u), &identity(2), 1e-6);
    assert_close(&gram(&v), &identity(2), 1e-6);
    assert_close(&answer.matrices[2], &vec![values[..2].to_vec()], 1e-8);
    assert_values(&answer.factors.values, &values, 1e-8);
    assert_close(&times(&a, &v), &times(&u, &diagonal(&values[..2])), 1e-6);

    let nothing = vec![bench.small(&vec![vec![0.0; 2]; 2])];
    let parameters = SmallFactorization::SketchSvd {
        gram_q: nothing.clone(),
        gram_b: nothing,
        rank: Rank::Fixed { k: 2 },
        frobenius2: 0.0,
    };
    let answer = factorize(&bench, &parameters, "nothing");
    assert_eq!((answer.factors.rank, answer.matrices.len()), (0, 0));
}
