//! Real files. Their README gives the shapes; without the files the tests say that they skip.

use super::*;

/// A file of the shared test data, if it is there.
fn file(name: &str) -> Option<String> {
    let root = std::env::var_os("RANKMILL_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.is_file() {
        return Some(path.display().to_string());
    }
    eprintln!(
        "SKIPPED: {} is not there; set RANKMILL_TEST_DATA",
        path.display()
    );
    None
}

fn shape(name: &str, row: &str, col: &str, value: Option<&str>) -> Option<(u64, u64, u64, f64)> {
    let path = file(name)?;
    let mut input = triplets(&path, false);
    let layout = sparse(&mut input);
    (layout.row, layout.col) = (row.to_owned(), col.to_owned());
    layout.value = value.map(ToOwned::to_owned);
    let workshop = Workshop::new();
    let cut = Cut {
        piece_rows: 100_000,
        block_entries: 300_000,
        shards: 3,
        ..COARSE
    };
    let ingested = workshop.ingest(&input, cut).expect("ingest");
    let nnz = ingested.blocks.iter().map(|block| block.block.nnz).sum();
    let frobenius2: f64 = ingested.blocks.iter().map(|block| block.frobenius2).sum();
    Some((
        ingested.row_ids.count(),
        ingested.column_ids.count(),
        nnz,
        frobenius2.sqrt(),
    ))
}

#[test]
fn gowalla_has_its_published_shape() {
    if let Some(found) = shape("interactions/gowalla_train.parquet", "user", "item", None) {
        assert_eq!((found.0, found.1, found.2), (29_858, 40_981, 810_128));
    }
}

#[test]
fn newsgroups_have_their_published_shape() {
    let found = shape(
        "termdoc/20news-bydate.parquet",
        "doc",
        "term",
        Some("count"),
    );
    if let Some(found) = found {
        assert_eq!((found.0, found.1, found.2), (18_846, 30_043, 2_138_855));
    }
}

#[test]
fn samson_has_its_published_norm() {
    if let Some(found) = shape("dense/samson.parquet", "row", "col", Some("value")) {
        assert_eq!((found.0, found.1, found.2), (9_025, 156, 1_406_754));
        assert!((found.3 - 289.900_873_611_904_73).abs() < 1e-9);
    }
}
