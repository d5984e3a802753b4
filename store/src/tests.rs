//! Places. What every backend has to do is in the crate of tests, where an S3 server is at hand.

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
    assert!(
        error.message.contains("file, s3, gs, az, memory"),
        "{error}"
    );
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
