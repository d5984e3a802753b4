use clap::Parser;
use rankmill_common::ErrorKind;
use rankmill_common::input::{Duplicates, OnBadRow};
use rankmill_common::job::svd::Method;

use super::*;
use rankmill_common::job::Overwrite;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    svd: SvdArgs,
}

fn args(line: &str) -> SvdArgs {
    let words = std::iter::once("svd").chain(line.split_whitespace());
    Command::try_parse_from(words).expect("arguments").svd
}

fn spec(line: &str) -> SvdSpec {
    let JobSpec::Svd(spec) = args(line).into_spec().expect("a specification") else {
        panic!("no svd");
    };
    spec
}

fn usage(line: &str) -> String {
    match args(line).into_spec() {
        Err(Failure::Usage(message)) => message,
        other => panic!("expected a usage error, got {other:?}"),
    }
}

fn invalid(line: &str) -> String {
    match args(line).into_spec() {
        Err(Failure::Failed(error)) if error.kind == ErrorKind::InvalidInput => error.message,
        other => panic!("expected invalid input, got {other:?}"),
    }
}

#[test]
fn defaults_are_spelled_out() {
    let spec = spec("/in.parquet --row user --col item --value rating -k 64 -o /out");
    assert_eq!(spec.input.paths, ["file:///in.parquet"]);
    assert_eq!(spec.output.url, "file:///out");
    assert_eq!(spec.output.overwrite, Overwrite::Refuse);
    assert_eq!(spec.rank, Rank::Fixed { k: 64 });
    assert_eq!((spec.block_width, spec.max_reads, spec.seed), (None, 32, 0));
    assert_eq!(spec.tol, 1e-3);
    assert_eq!(spec.method, Method::Auto);
    assert_eq!(spec.centering, Centering::None);
    assert_eq!(spec.convergence, Convergence::Report);
    let Layout::Sparse(layout) = spec.input.layout else {
        panic!("expected triplets");
    };
    assert_eq!(layout.value.as_deref(), Some("rating"));
    assert_eq!(layout.ids, Ids::Dictionary);
    assert_eq!(layout.duplicates, Duplicates::Sum);
}

#[test]
fn every_flag_arrives() {
    let spec = spec(
        "s3://b/a s3://b/c*.parquet --row r --col c --ids dense --shape 10x20 --duplicates last \
         --transform log1p,l2-rows --transform bm25 --center --on-bad-row skip --n-components 3 \
         --oversample 5 --tol 1e-5 --max-reads 9 --method subspace --seed 7 --strict --overwrite \
         -o gs://o/p",
    );
    assert_eq!(spec.input.paths, ["s3://b/a", "s3://b/c*.parquet"]);
    assert_eq!(spec.input.on_bad_row, OnBadRow::Skip);
    assert_eq!(spec.output.overwrite, Overwrite::Replace);
    assert_eq!(spec.rank, Rank::Fixed { k: 3 });
    assert_eq!(
        (spec.block_width, spec.max_reads, spec.seed),
        (Some(8), 9, 7)
    );
    assert_eq!(spec.method, Method::Subspace);
    assert_eq!(spec.centering, Centering::Columns);
    assert_eq!(spec.convergence, Convergence::Require);
    let Layout::Sparse(layout) = spec.input.layout else {
        panic!("expected triplets");
    };
    let shape = Some((10, 20));
    assert_eq!(layout.ids, Ids::Dense { shape });
    assert_eq!(layout.duplicates, Duplicates::Last);
    let expected = [Transform::Log1p, Transform::L2Rows, Transform::BM25];
    assert_eq!(layout.transforms, expected);
}

#[test]
fn a_relative_path_counts_from_here() {
    let spec = spec("in/*.parquet --row r --col c -k 2 -o out");
    let here = std::env::current_dir().expect("a directory");
    let url = format!("file://{}/in/*.parquet", here.display());
    assert_eq!(spec.input.paths, [url]);
}

#[test]
fn dense_input_has_vectors() {
    let spec = spec("/in --id doc --vector x,y,z -k 2 -o /out");
    let vector = ["x", "y", "z"].map(str::to_owned).to_vec();
    let id = Some("doc".to_owned());
    assert_eq!(spec.input.layout, Layout::Dense(DenseLayout { id, vector }));
}

#[test]
fn the_rank_goes_by_its_known_names() {
    for flag in ["-k", "--rank", "--n-components", "--n_components"] {
        let spec = spec(&format!("/in --vector v {flag} 5 -o /out"));
        assert_eq!(spec.rank, Rank::Fixed { k: 5 });
    }
    let all = spec("/in --vector v --energy 0.9 -o /out").rank;
    assert_eq!(all.limit(), defaults::ENERGY_LIMIT);
    let some = spec("/in --vector v --energy 0.9 -k 20 -o /out").rank;
    assert_eq!(some.limit(), 20);
}

#[test]
fn half_a_question_is_a_usage_error() {
    for (line, part) in [
        ("/in -k 2 -o /out", "which columns"),
        ("/in --row r --vector v -k 2 -o /out", "choose --row"),
        (
            "/in --id i --transform bm25 -k 2 -o /out",
            "--transform is for sparse",
        ),
        ("/in --row r -k 2 -o /out", "--col is missing"),
        ("/in --col c -k 2 -o /out", "--row is missing"),
        ("/in --id i -k 2 -o /out", "--vector is missing"),
        ("/in --row r --col c -o /out", "how many components"),
        ("/in --row r --col c -k 2", "-o OUT is missing"),
        ("--row r --col c -k 2 -o /out", "no INPUT"),
        (
            "/in --row r --col c -k 2 -o /out --shape 3x4",
            "needs --ids dense",
        ),
        (
            "/in --row r --col c -k 2 -o /out --transform magic",
            "there are binary",
        ),
    ] {
        let message = usage(line);
        assert!(message.contains(part), "{line}: {message}");
    }
}

#[test]
fn a_bad_parameter_is_invalid_input() {
    for (line, part) in [
        ("/in --row r --col c -k 0 -o /out", "-k"),
        ("/in --row r --col r -k 2 -o /out", "different columns"),
        ("/in --row r --col c -k 2 --tol 2 -o /out", "--tol"),
        (
            "/in --row r --col c -k 2 --max-reads 1 -o /out",
            "--max-reads",
        ),
        (
            "/in --row r --col c -k 40 --block-width 5 --max-reads 8 -o /out",
            "finds at most 35 components",
        ),
        (
            "/in --row r --col c -k 40 --block-width 30 --method subspace -o /out",
            "at least -k (40)",
        ),
        (
            "/in --row r --col c -k 2 --block-width 0 -o /out",
            "--block-width",
        ),
        ("/in --row r --col c --energy 1.5 -o /out", "--energy"),
        ("/in --row r --col c -k 2 -o /in/out", "inside the input"),
        ("/out/in --row r --col c -k 2 -o /out", "inside the output"),
        ("ftp://x --row r --col c -k 2 -o /out", "schemes"),
    ] {
        let message = invalid(line);
        assert!(message.contains(part), "{line}: {message}");
    }
}

#[test]
fn words_outside_the_list_are_refused_by_name() {
    let refused = Command::try_parse_from(["svd", "/in", "--method", "magic"]);
    let text = refused.err().expect("refused").to_string();
    assert!(text.contains("unknown variant `magic`"), "{text}");
    assert!("3by4".parse::<crate::job::svd_args::Shape>().is_err());
    assert!("0x4".parse::<crate::job::svd_args::Shape>().is_err());
}

#[test]
fn blocks_are_as_narrow_as_the_matrix_is_large_and_sparse() {
    let block = |line: &str, entries: u64| {
        let block = spec(line).krylov_block(entries);
        (block.width, block.steps)
    };
    let sparse = "/in.parquet --row r --col c -o /out -k 64";
    let dense = "/in.parquet --id i --vector v -o /out -k 64";
    assert_eq!(block(sparse, 1 << 20), (48, 8));
    assert_eq!(block(sparse, 1 << 22), (32, 10));
    assert_eq!(block(dense, 1 << 30), (48, 8));
    assert_eq!(block(&format!("{sparse} --block-width 40"), 1), (40, 10));
    assert_eq!(
        block(&format!("{sparse} --block-width 80"), 1 << 30),
        (80, 6)
    );
    let within = |reads: u32, entries| block(&format!("{sparse} --max-reads {reads}"), entries);
    assert_eq!(within(10, 1 << 30), (96, 6));
    assert_eq!(within(11, 1 << 30), (32, 10));
    assert_eq!(within(8, 1 << 20), (96, 6));
    assert_eq!(within(9, 1 << 20), (48, 8));
}
