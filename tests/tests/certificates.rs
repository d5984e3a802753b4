//! What a result says of itself holds for matrices of which it is hard to say.

use std::f64::consts::PI;

use rankmill_tests::check::residuals;
use rankmill_tests::input::{Entries, column, write_parquet};
use rankmill_tests::program::{Bench, files_below};
use rankmill_tests::result::FactorFiles;

/// Differences below this share of σ₁ are rounding of f32 vectors.
const ROUNDING: f64 = 1e-6;
/// How far factors may be from orthonormal.
const ORTHONORMAL: f64 = 1e-4;

/// A dense matrix, by rows.
struct Dense {
    nrows: usize,
    ncols: usize,
    values: Vec<f64>,
}

impl Dense {
    fn new(nrows: usize, ncols: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let places = (0..nrows).flat_map(|i| (0..ncols).map(move |j| (i, j)));
        // As they are read.
        let values = places.map(|(i, j)| f64::from(entry(i, j) as f32)).collect();
        Self {
            nrows,
            ncols,
            values,
        }
    }

    /// Columns of two cosine transforms, with these singular values between them.
    fn with_singular_values(nrows: usize, ncols: usize, sigma: &[f64]) -> Self {
        Self::new(nrows, ncols, |i, j| {
            let terms = sigma.iter().enumerate();
            terms
                .map(|(c, sigma)| sigma * cosine(nrows, i, c) * cosine(ncols, j, c))
                .sum()
        })
    }

    /// All entries as triplets, and the arguments that name the columns.
    fn write(&self, bench: &Bench) -> String {
        let places = 0..self.values.len() as i64;
        let (rows, cols): (Vec<_>, Vec<_>) = places
            .map(|place| (place / self.ncols as i64, place % self.ncols as i64))
            .unzip();
        let columns = vec![
            ("row", column(rows)),
            ("col", column(cols)),
            ("value", column(self.values.clone())),
        ];
        let path = write_parquet(&bench.path("input.parquet"), columns, 1 << 20);
        format!("{} --row row --col col --value value", path.display())
    }

    /// Its columns as they are, and the arguments that name them.
    fn write_columns(&self, bench: &Bench) -> String {
        let columns = (0..self.ncols).map(|j| {
            let entries = self.values.iter().skip(j).step_by(self.ncols);
            column(entries.copied().collect::<Vec<f64>>())
        });
        let names: Vec<String> = (0..self.ncols).map(|j| format!("c{j}")).collect();
        let columns = names.iter().map(String::as_str).zip(columns).collect();
        let path = write_parquet(&bench.path("input.parquet"), columns, 1000);
        format!("{} --vector {}", path.display(), names.join(","))
    }

    fn entries(&self) -> Entries {
        let place = |place: usize| (place / self.ncols, place % self.ncols);
        let id = |(i, j): (usize, usize)| (i.to_string(), j.to_string());
        let values = self.values.iter().enumerate();
        Entries {
            values: values.map(|(at, value)| (id(place(at)), *value)).collect(),
        }
    }
}

/// Entry `i` of vector `c` of the orthonormal cosine transform of order `n`.
#[allow(clippy::disallowed_methods, reason = "an oracle uses other code")]
fn cosine(n: usize, i: usize, c: usize) -> f64 {
    let scale = if c == 0 { 1.0 } else { 2.0 };
    (scale / n as f64).sqrt() * (PI * (i as f64 + 0.5) * c as f64 / n as f64).cos()
}

/// A number from -½ to ½ of a place.
fn mixed(place: usize) -> f64 {
    let x = (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 40) as f64 / f64::from(1 << 24) - 0.5
}

fn factor(bench: &Bench, input: &str, flags: &str) -> FactorFiles {
    let out = bench.path("out");
    let output = out.display().to_string();
    let mut arguments = vec!["svd", "-o", &output, "--overwrite"];
    arguments.extend(input.split(' '));
    arguments.extend(flags.split(' '));
    bench.succeed(arguments);
    FactorFiles::read(&out)
}

fn check_factors(found: &FactorFiles, what: &str) {
    for (side, factor) in [("left", &found.left), ("right", &found.right)] {
        let error = factor.orthogonality_error();
        assert!(error <= ORTHONORMAL, "{what}: {side} is off by {error:.1e}");
    }
}

/// Reported residuals are no less than the true ones.
fn check_bounds(a: &Dense, found: &FactorFiles, what: &str) {
    let actual = residuals(&a.entries(), found, false);
    for (c, (reported, actual)) in found.residuals.iter().zip(actual).enumerate() {
        assert!(
            *reported >= 0.9 * actual - ROUNDING,
            "{what}: residual {c} is reported as {reported:.1e} and is {actual:.1e}"
        );
    }
}

#[test]
fn a_sketch_of_a_steep_spectrum_is_orthonormal_and_knows_its_error() {
    let powers = |base: f64, count| (0..count).map(|i| base.powi(i)).collect::<Vec<f64>>();
    for (nrows, ncols, sigma, k) in [
        (300, 60, powers(0.7, 60), 20),
        (24, 150, powers(0.5, 24), 10),
        (200, 80, powers(0.5, 10), 8),
        (200, 80, powers(0.98, 80), 12),
    ] {
        let what = format!("{nrows}×{ncols}, {k} of {}", sigma.len());
        let bench = Bench::new();
        let a = Dense::with_singular_values(nrows, ncols, &sigma);
        let found = factor(&bench, &a.write(&bench), &format!("-k {k} --method sketch"));
        assert_eq!(found.values.len(), k, "{what}");
        check_factors(&found, &what);
        check_bounds(&a, &found, &what);
        let energy = found.explained.iter().sum::<f64>();
        assert!(energy <= 1.0 + 1e-9, "{what}: {energy} of the energy");
        // Weyl: an exact projection is never above.
        for (value, wanted) in found.values.iter().zip(&sigma) {
            assert!(
                *value <= wanted + ROUNDING * sigma[0],
                "{what}: {value} for {wanted}"
            );
        }
    }
}

#[test]
fn a_sketch_of_the_whole_space_is_exact_and_says_so() {
    let bench = Bench::new();
    let sigma: Vec<f64> = (0..20).map(|i| 20.0 - f64::from(i)).collect();
    let a = Dense::with_singular_values(50, 20, &sigma);
    let found = factor(&bench, &a.write(&bench), "-k 10 --method sketch");
    assert!(
        found.residuals.iter().all(|residual| *residual <= 1e-5),
        "{:?}",
        found.residuals
    );
    assert_eq!(found.manifest["convergence"]["converged"], true);
}

#[test]
fn blocks_of_more_than_half_of_the_columns_find_no_more_than_there_is() {
    let sigma: Vec<f64> = (0..60).map(|i| 10.0 - 0.1 * f64::from(i)).collect();
    for (nrows, ncols) in [(120, 60), (60, 100)] {
        let a = Dense::with_singular_values(nrows, ncols, &sigma);
        for width in [20, 29, 31, 36, 44, 52, 59] {
            let what = format!("{nrows}×{ncols}, blocks of {width}");
            let bench = Bench::new();
            let flags = format!("-k 6 --method lanczos --block-width {width}");
            let found = factor(&bench, &a.write(&bench), &flags);
            check_factors(&found, &what);
            check_bounds(&a, &found, &what);
            assert_eq!(found.manifest["convergence"]["converged"], true, "{what}");
            for (value, wanted) in found.values.iter().zip(&sigma) {
                assert!(
                    (value - wanted).abs() <= 1e-4 * wanted,
                    "{what}: {value} for {wanted}"
                );
            }
        }
    }
}

#[test]
fn a_matrix_of_random_numbers_has_no_more_energy_than_it_has() {
    let a = Dense::new(600, 300, |i, j| mixed(300 * i + j));
    for flags in ["-k 200", "-k 5 --block-width 144", "-k 5 --block-width 220"] {
        let bench = Bench::new();
        let found = factor(
            &bench,
            &a.write(&bench),
            &format!("{flags} --method lanczos"),
        );
        check_factors(&found, flags);
        check_bounds(&a, &found, flags);
        assert!(found.explained.iter().sum::<f64>() <= 1.0, "{flags}");
        assert_eq!(found.manifest["convergence"]["converged"], true, "{flags}");
    }
}

#[test]
fn components_that_a_matrix_does_not_have_have_small_residuals() {
    let base = |i: usize, j: usize| (10.0 * mixed(10 * i + j)).round();
    let twice = Dense::new(60, 12, |i, j| base(i, if j < 10 { j } else { j - 9 }));
    let identity = Dense::new(20, 20, |i, j| if i == j { 3.0 } else { 0.0 });
    for (a, flags, wanted) in [
        (&twice, "-k 12 --method gram", 10),
        (&twice, "-k 12 --method gram --center", 10),
        (&identity, "-k 20 --method gram --center", 19),
    ] {
        let what = format!("{}×{} {flags}", a.nrows, a.ncols);
        let bench = Bench::new();
        let found = factor(&bench, &a.write_columns(&bench), flags);
        check_factors(&found, &what);
        let worst = found.residuals.iter().copied().fold(0.0, f64::max);
        assert!(worst <= ROUNDING, "{what}: a residual of {worst:.1e}");
        let convergence = &found.manifest["convergence"];
        assert_eq!(convergence["numerical_rank"], wanted, "{what}");
        assert_eq!(convergence["converged"], true, "{what}");
    }
}

#[test]
fn values_too_small_for_products_in_32_bits_are_refused_or_right() {
    let sigma = [4e-24, 2e-24, 1e-24];
    let a = Dense::with_singular_values(30, 8, &sigma);
    for method in ["lanczos", "subspace", "sketch"] {
        let bench = Bench::new();
        let input = a.write(&bench);
        let out = bench.path("out").display().to_string();
        let mut arguments = vec!["svd", "-k", "2", "--method", method, "-o", &out];
        arguments.extend(input.split(' '));
        let (code, message) = bench.fail(arguments);
        assert_eq!(code, 3, "{message}");
        assert!(message.contains("scale the values up"), "{message}");
    }
    let bench = Bench::new();
    let found = factor(&bench, &a.write(&bench), "-k 2 --method gram");
    for (value, wanted) in found.values.iter().zip(sigma) {
        assert!(
            (value - wanted).abs() <= 1e-4 * wanted,
            "{value} for {wanted}"
        );
    }
}

#[test]
fn indices_that_the_ids_type_does_not_hold_are_refused_before_any_work() {
    let bench = Bench::new();
    let columns = vec![
        ("row", column(vec![0i8, 1, 2])),
        ("col", column(vec![0i8, 5, 127])),
    ];
    let path = write_parquet(&bench.path("input.parquet"), columns, 10)
        .display()
        .to_string();
    let out = bench.path("out").display().to_string();
    let shape = |shape| {
        let words =
            format!("svd {path} --row row --col col --ids dense --shape {shape} -k 2 -o {out}");
        words.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let (code, message) = bench.fail(shape("3x129"));
    assert_eq!(code, 3, "{message}");
    assert!(
        message.contains("the last column would have the id 128"),
        "{message}"
    );
    assert_eq!(
        files_below(&bench.path("out")),
        Vec::<std::path::PathBuf>::new()
    );
    bench.succeed(shape("3x128"));
}

#[test]
fn copies_of_a_value_do_not_enter_a_basis_twice() {
    let spectrum = |copies: usize, count: usize| -> Vec<f64> {
        let rest = (copies..count).map(|i| 4.99 - 3.99 * (i - copies) as f64 / count as f64);
        std::iter::repeat_n(5.0, copies).chain(rest).collect()
    };
    for (nrows, ncols, copies, flags) in [
        (207, 68, 24, "-k 16 --block-width 3"),
        (150, 60, 30, "-k 12 --block-width 2"),
        (120, 100, 50, "-k 40 --block-width 8"),
    ] {
        let what = format!("{nrows}×{ncols}, {copies} copies, {flags}");
        let bench = Bench::new();
        let sigma = spectrum(copies, ncols);
        let a = Dense::with_singular_values(nrows, ncols, &sigma);
        let flags = format!("{flags} --method lanczos --max-reads 60");
        let found = factor(&bench, &a.write(&bench), &flags);
        check_factors(&found, &what);
        check_bounds(&a, &found, &what);
        for (value, wanted) in found.values.iter().zip(&sigma) {
            assert!(*value <= wanted + ROUNDING * sigma[0], "{what}: {value}");
        }
    }
}

#[test]
fn values_that_products_in_32_bits_do_not_resolve_are_not_called_converged() {
    let steep: Vec<f64> = (0..60).map(|i| 0.8_f64.powi(i)).collect();
    let drowned = Dense::with_singular_values(60, 300, &steep);
    let spread = |i: usize, j: usize| mixed(60 * i + j);
    let shifted = Dense::new(2000, 60, |i, j| 2e5 + spread(i, j));
    for (a, flags, converged) in [
        (&drowned, "-k 40 --method lanczos", false),
        (&drowned, "-k 20 --method lanczos", true),
        (&shifted, "-k 4 --center --method lanczos", false),
        (&shifted, "-k 4 --center --method gram", true),
    ] {
        let bench = Bench::new();
        let found = factor(&bench, &a.write(&bench), flags);
        assert_eq!(
            found.manifest["convergence"]["converged"], converged,
            "{}×{} {flags}",
            a.nrows, a.ncols
        );
    }
}

#[test]
fn means_far_above_what_they_leave_take_nothing_from_the_energy() {
    let (nrows, ncols) = (400, 10);
    let a = Dense::new(nrows, ncols, |i, j| {
        let mean = if j == 0 { 1e8 } else { 5e6 };
        let spread = 8.0 * (mixed(ncols * i + j) * (10 - j) as f64).round();
        if j == 0 { mean } else { mean + spread }
    });
    let bench = Bench::new();
    let found = factor(
        &bench,
        &a.write_columns(&bench),
        "-k 10 --center --method gram",
    );
    let energy: f64 = found.explained.iter().sum();
    assert!((energy - 1.0).abs() < 1e-6, "{energy} of the energy");
    let few = Bench::new();
    let flags = "--energy 0.6 --center --method gram";
    let kept = factor(&few, &a.write_columns(&few), flags).values.len();
    let needed = found.explained.iter().scan(0.0, |sum, share| {
        *sum += share;
        Some(*sum)
    });
    let needed = needed.take_while(|sum| *sum < 0.6).count() + 1;
    assert_eq!(kept, needed, "components for 0.6 of the energy");
}
