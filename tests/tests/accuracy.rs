//! Results against scipy and scikit-learn: values, orthogonality, residuals, number of reads.

use rankmill_tests::check::check;
use rankmill_tests::program::Bench;
use rankmill_tests::reference::{self, Reference};
use rankmill_tests::result::FactorFiles;

/// Most reads of A, the last one for U included.
const MOST_READS: u64 = 8;
/// The same for Lanczos, whose blocks have three quarters of the rank.
const MOST_LANCZOS_READS: u64 = 11;
/// The same where a block has half as many columns as the rank.
const MOST_NARROW_READS: u64 = 17;

/// Components to ask for: what the reference can judge, at most 64.
fn rank(reference: &Reference) -> usize {
    let full = reference.shape.0.min(reference.shape.1);
    reference.singular_values.len().min(full).min(64)
}

/// Factors every reference that `chosen` accepts and is at hand; says loudly what is not.
fn check_all(method: &str, chosen: impl Fn(&Reference) -> bool) {
    let mut checked = 0;
    for reference in reference::all()
        .iter()
        .filter(|reference| chosen(reference))
    {
        if reference.file.is_none() {
            eprintln!(
                "SKIPPED {}: its data is not on this machine",
                reference.name
            );
            continue;
        }
        factor_and_check(reference, method);
        checked += 1;
    }
    assert!(checked > 0, "no reference was checked");
}

fn factor_and_check(reference: &Reference, method: &str) {
    let flags = format!("--method {method}");
    let most_reads = match method {
        "gram" => MOST_READS,
        _ => MOST_LANCZOS_READS,
    };
    factor_within(reference, &flags, most_reads);
}

fn factor_within(reference: &Reference, flags: &str, most_reads: u64) {
    eprintln!("{} {flags}", reference.name);
    let bench = Bench::new();
    let out = bench.path("out");
    let mut arguments = reference.arguments();
    let flags = format!("-k {} --tol 1e-3 {flags} -o", rank(reference));
    arguments.extend(flags.split(' ').map(str::to_owned));
    arguments.push(out.display().to_string());
    bench.succeed(&arguments);
    check(reference, &out);
    let result = FactorFiles::read(&out);
    let reads = result.manifest["convergence"]["reads"]
        .as_u64()
        .expect("reads");
    assert!(reads <= most_reads, "{} took {reads} reads", reference.name);
}

fn generated(reference: &Reference) -> bool {
    reference.name.starts_with("dense-") || reference.name.starts_with("sparse-")
}

#[test]
fn generated_spectra_by_lanczos() {
    check_all("lanczos", generated);
}

#[test]
fn generated_spectra_by_gram() {
    check_all("gram", generated);
}

#[test]
fn the_wordnet_example_by_auto() {
    check_all("auto", |reference| reference.name == "examples/wordnet");
}

#[test]
fn real_matrices_by_auto() {
    let real =
        |reference: &Reference| !generated(reference) && !reference.name.starts_with("examples/");
    let at_hand = |reference: &Reference| real(reference) && reference.file.is_some();
    if !reference::all().iter().any(at_hand) {
        eprintln!("SKIPPED all real matrices: none of their data is on this machine");
        return;
    }
    check_all("auto", real);
}

#[test]
fn centred_matrices_equal_scikit_learn_s_pca() {
    for reference in reference::all().iter().filter(|reference| reference.center) {
        if reference.file.is_none() {
            eprintln!(
                "SKIPPED {}: its data is not on this machine",
                reference.name
            );
            continue;
        }
        for method in ["gram", "lanczos"] {
            let smallest = reference.singular_values[rank(reference) - 1];
            // AᵀA has its limit of columns; products in f32 have theirs of small values.
            let possible = match method {
                "gram" => reference.shape.1 <= 8192,
                _ => smallest >= 0.01 * reference.singular_values[0],
            };
            if possible {
                factor_and_check(reference, method);
            }
        }
    }
}

#[test]
fn blocks_of_half_the_rank_are_as_accurate() {
    for reference in reference::all() {
        let k = rank(&reference);
        let smallest = reference.singular_values[k - 1];
        // Products in f32 have their limit of small values.
        if reference.file.is_none() {
            eprintln!(
                "SKIPPED {}: its data is not on this machine",
                reference.name
            );
        } else if smallest >= 0.01 * reference.singular_values[0] {
            let flags = format!("--method lanczos --block-width {}", k.div_ceil(2));
            factor_within(&reference, &flags, MOST_NARROW_READS);
        }
    }
}
