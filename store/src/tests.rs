//! One conformance suite, run against every backend that needs no account.

use super::*;

async fn conforms(store: &Store) -> Result<()> {
    store.put("a/b", Bytes::from_static(b"one")).await?;
    assert_eq!(store.get("a/b").await?, "one");
    assert_eq!(store.head("a/b").await?.size, 3);
    let parts = store.get_ranges("a/b", &[0..1, 1..3]).await?;
    assert_eq!(parts, ["o", "ne"]);

    let mine = Bytes::from_static(b"nonce 1");
    let other = Bytes::from_static(b"nonce 2");
    assert_eq!(store.create("a/slot", mine.clone()).await?, Created::Mine);
    assert_eq!(store.create("a/slot", mine.clone()).await?, Created::Mine);
    assert_eq!(store.create("a/slot", other).await?, Created::Other(mine));

    let keys: Vec<_> = store
        .list("a")
        .await?
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(keys, ["a/b", "a/slot"]);
    store.delete("a/b").await?;
    store.delete("a/b").await?;
    let missing = store.get("a/b").await.map_err(|e| e.kind);
    assert_eq!(missing, Err(rankmill_common::ErrorKind::NotFound));
    Ok(())
}

async fn exactly_one_creator_wins(store: &Store) -> Result<()> {
    for round in 0..20 {
        let key = format!("race/{round}");
        let writers = (0..8).map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.create(&key, Bytes::from(vec![writer; 64])).await })
        });
        let mut winners = 0;
        for outcome in futures::future::join_all(writers).await {
            if outcome.expect("no panic")? == Created::Mine {
                winners += 1;
            }
        }
        assert_eq!(winners, 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_directory_conforms() -> Result<()> {
    let folder = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(&folder.path().display().to_string())?;
    conforms(&store).await?;
    exactly_one_creator_wins(&store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() -> Result<()> {
    let store = Store::open("memory://conformance/some/prefix")?;
    conforms(&store).await?;
    exactly_one_creator_wins(&store).await
}

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
