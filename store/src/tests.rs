//! Places. What every backend has to do is in the crate of tests, where an S3 server is at hand.

mod wire;

use super::*;

#[test]
fn places_know_what_lies_below_them() -> Result<()> {
    let input = Location::parse("s3://bucket/data")?;
    assert!(input.contains(&Location::parse("s3://bucket/data/out")?));
    assert!(!input.contains(&Location::parse("s3://bucket/database")?));
    assert!(!input.contains(&Location::parse("s3://other/data/out")?));
    let local = Location::parse("/data/../data/x/")?;
    assert_eq!(local.url(), "file:///data/x");
    assert_eq!(Location::parse("file:///data/x")?, local);
    Ok(())
}

#[test]
fn strange_urls_are_refused_with_the_schemes_there_are() {
    let error = Location::parse("ftp://host/x").expect_err("no such scheme");
    assert!(error.message.contains("file, s3, gs, az"), "{error}");
    // That one is for tests.
    assert!(!error.message.contains("memory"), "{error}");
    assert!(Location::parse("s3://").is_err());
    assert!(Location::parse("s3://bucket/../x").is_err());
}

#[test]
fn local_paths_come_back_from_their_urls_whatever_is_in_them() -> Result<()> {
    for path in [
        "/a/c%20d.parquet",
        "/a/50%",
        "/a/q%41#1?x",
        "/a/o%2F5",
        "/a/%2e%2e/b",
        "/a/back\\slash%5C",
        "/a/plain #?*[1].parquet",
    ] {
        let location = Location::parse(path)?;
        assert_eq!(Location::parse(&location.url())?, location, "{path}");
        let local = location.local_path("");
        assert_eq!(local.as_deref(), Some(FilePath::new(path)), "{path}");
    }
    let escaped = Location::parse("file:///a/c%20d.parquet")?;
    assert_eq!(escaped, Location::parse("/a/c d.parquet")?);
    Ok(())
}

#[test]
fn buckets_that_would_change_the_request_are_refused_by_name() {
    let refusal = |url: &str| {
        let error = Location::parse(url).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        error.message
    };
    let blank = refusal("s3://b k/3");
    assert!(
        blank.contains("\"b k\" is no valid bucket name: it holds a blank"),
        "{blank}"
    );
    for url in [
        "s3://bkt?x/out",
        "s3://bkt#x/out",
        "s3a://b<k/x",
        "gs://b>k/x",
        "az://b\nk/x",
        "s3://b\u{7f}k",
        "s3://bücket/x",
        "s3://../x",
        "abfss://data@me.dfs.core.windows.net/x",
    ] {
        let message = refusal(url);
        assert!(message.contains("is no valid bucket name"), "{message}");
    }
    assert!(Location::parse("az://$web/x").is_ok());
}

#[test]
fn keys_that_cannot_be_sent_are_refused_with_the_reason() -> Result<()> {
    for (url, reason) in [
        ("s3://bucket/a\nb", "the control character U+000A"),
        ("s3://bucket/a//b", "two slashes in a row"),
        ("s3://bucket//b", "two slashes in a row"),
        ("gs://bucket/a/./b", ". or .."),
    ] {
        let error = Location::parse(url).expect_err("refused");
        assert!(error.message.contains(reason), "{error}");
    }
    let folder = Location::parse("s3://bucket/folder//")?;
    assert_eq!(folder.url(), "s3://bucket/folder");
    let error = folder.object_path("a\tb").expect_err("refused");
    assert!(error.message.contains("U+0009"), "{error}");
    assert!(folder.object_path("../other").is_err());
    Ok(())
}

#[test]
fn places_are_shown_without_a_slash_behind_them() -> Result<()> {
    let place = Location::parse("s3://bucket/x.parquet")?;
    assert_eq!(place.display(""), "s3://bucket/x.parquet");
    assert_eq!(place.display("y"), "s3://bucket/x.parquet/y");
    Ok(())
}

/// Every printable character that a key of one byte a letter can hold, and some of more.
fn letters() -> impl Iterator<Item = char> {
    let one = (' '..='\u{ff}').filter(|c| *c != '/' && !c.is_ascii_control());
    one.chain("ſ€\u{301}\u{fffd}𝔘🦀".chars())
}

#[test]
fn keys_go_to_the_store_and_come_back_as_they_are() -> Result<()> {
    for scheme in ["s3", "gs", "az", "memory"] {
        for letter in letters() {
            let names = [
                format!("x{letter}y"),
                format!("{letter}x"),
                format!("x{letter}"),
                format!("%{letter}1%23"),
            ];
            for name in names {
                let url = format!("{scheme}://bucket/{name}/folder");
                let place = Location::parse(&url)?;
                assert_eq!(place.url(), url);
                let key = format!("{name}/a");
                let path = place.object_path(&key)?;
                assert_eq!(path.as_ref(), format!("{name}/folder/{key}"));
                assert_eq!(place.key_of(&path), key);
                let (folder, last) =
                    Location::parse(&format!("{scheme}://bucket/{name}"))?.split_last();
                assert_eq!(folder.object_path(&last)?.as_ref(), name);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn local_files_are_called_what_their_keys_are() -> Result<()> {
    let root = tempfile::tempdir().expect("a directory");
    let store = Store::open(&root.path().join("50% #?é").display().to_string())?;
    let mut keys = Vec::new();
    // Each is synchronized to the disk: only those that could mean something.
    for letter in letters().filter(|c| *c != '.' && !c.is_ascii_alphanumeric() && !c.is_control()) {
        if ('\u{a1}'..='\u{fe}').contains(&letter) {
            continue;
        }
        let key = format!("folder {letter}/a{letter}b");
        store.put(&key, Bytes::from_static(b"x")).await?;
        let path = store.local_path(&key).expect("a path");
        assert!(path.is_file(), "{path:?}");
        keys.push(key);
    }
    keys.sort();
    let listed: Vec<_> = store.list("").await?.into_iter().map(|e| e.key).collect();
    assert_eq!(listed, keys);
    Ok(())
}
