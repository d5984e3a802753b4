//! Spectra whose values lie so close that a Krylov space is long in telling them apart: what is called
//! converged must be, although an iteration that looks ahead is tempted to stop early
//! (docs/decisions/0023-the-step-ahead.md).

use rankmill_tests::input::write_diagonal;
use rankmill_tests::program::Bench;
use rankmill_tests::result::FactorFiles;

/// Largest relative error of a singular value that is called converged.
const ERROR: f64 = 1e-4;

/// The values of `name`, descending, as f32 holds them.
fn spectrum(name: &str, count: usize) -> Vec<f64> {
    let value = |i: usize| {
        let place = i as f64 / count as f64;
        match name {
            "a gentle slope" => 1.0 - 0.3 * place,
            "nearly flat" => 1.0 - 0.05 * place,
            "a few above a bulk" if i < 12 => 10.0 * 0.8f64.powi(i as i32),
            "a few above a bulk" => 1.0 - 0.1 * place,
            other => panic!("no spectrum {other}"),
        }
    };
    let values = (0..count).map(|i| f64::from(value(i) as f32));
    let mut values: Vec<f64> = values.collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

#[test]
fn values_that_are_called_converged_are_right() {
    for name in ["a gentle slope", "nearly flat", "a few above a bulk"] {
        for (count, k) in [(400, 10), (400, 32), (700, 64)] {
            let bench = Bench::new();
            let expected = spectrum(name, count);
            let input = write_diagonal(&bench.path("input.parquet"), &expected);
            let (input, out) = (input.display().to_string(), bench.path("out"));
            let flags = format!(
                "svd {input} -o {} --row row --col col --value value --method lanczos -k {k} \
                 --max-reads 60",
                out.display()
            );
            bench.succeed(flags.split_whitespace());
            let found = FactorFiles::read(&out);
            let what = format!("{name}, {k} of {count}");
            assert_eq!(found.manifest["convergence"]["converged"], true, "{what}");
            assert_eq!(found.values.len(), k, "{what}");
            for (value, wanted) in found.values.iter().zip(&expected) {
                let error = (value - wanted).abs() / wanted;
                assert!(error <= ERROR, "{what}: {value} is off by {error:e}");
            }
        }
    }
}
