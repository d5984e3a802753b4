//! The same bytes for any number of threads and workers.

use rankmill_tests::cluster::Cluster;
use rankmill_tests::program::Bench;
use rankmill_tests::reference::{self, Reference};
use rankmill_tests::result::digests;

fn reference(name: &str) -> Reference {
    let found = reference::all()
        .into_iter()
        .find(|reference| reference.name == name);
    found.expect("a reference")
}

/// The job of these tests: many pieces of every kind, through Lanczos.
fn arguments(name: &str, out: &str) -> Vec<String> {
    let mut arguments = reference(name).arguments();
    let options = ["-k", "24", "--method", "lanczos", "--center", "-o", out];
    arguments.extend(options.map(str::to_owned));
    arguments
}

#[test]
fn threads_do_not_change_a_byte() {
    for name in ["examples/wordnet", "dense-power-0.5"] {
        let results: Vec<_> = ["1", "2", "3"]
            .iter()
            .map(|threads| {
                let bench = Bench::new();
                let out = bench.path("out");
                let mut arguments = arguments(name, &out.display().to_string());
                arguments.extend(["--threads".to_owned(), (*threads).to_owned()]);
                bench.succeed(&arguments);
                digests(&out)
            })
            .collect();
        assert_eq!(results[0], results[1], "{name}");
        assert_eq!(results[0], results[2], "{name}");
    }
}

#[test]
fn matrices_in_memory_do_not_change_a_byte() {
    let bench = Bench::new();
    let run = |out: &str, flags: &[&str]| {
        let out = bench.path(out);
        let mut arguments = arguments("examples/wordnet", &out.display().to_string());
        arguments.extend(flags.iter().map(|&flag| flag.to_owned()));
        bench.succeed(&arguments);
        digests(&out)
    };
    assert_eq!(run("memory", &[]), run("files", &["--write-through"]));
}

#[test]
fn workers_do_not_change_a_byte() {
    let name = "examples/wordnet";
    let bench = Bench::new();
    let alone = bench.path("alone");
    bench.succeed(arguments(name, &alone.display().to_string()));
    let expected = digests(&alone);
    for workers in [1, 2, 5] {
        let bench = Bench::new();
        let cluster = Cluster::start(&bench, workers);
        let out = bench.path("out");
        let mut arguments = arguments(name, &out.display().to_string());
        arguments.extend(["--coordinator".to_owned(), cluster.url()]);
        bench.succeed(&arguments);
        assert_eq!(digests(&out), expected, "{workers} workers");
    }
}

#[test]
fn a_second_job_on_the_same_input_reuses_its_blocks() {
    let bench = Bench::new();
    let (first, second) = (bench.path("first"), bench.path("second"));
    bench.succeed(arguments("dense-power-0.5", &first.display().to_string()));
    bench.succeed(arguments("dense-power-0.5", &second.display().to_string()));
    let text = std::fs::read_to_string(second.join("_manifest.json")).expect("a manifest");
    assert!(
        text.contains("find blocks") && !text.contains("build blocks"),
        "{text}"
    );
    assert_eq!(digests(&first), digests(&second));
}
