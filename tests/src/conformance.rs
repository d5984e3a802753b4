//! What every backend has to do: one suite, through rankmill's own client.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use rankmill_common::{ErrorKind, Result};
use rankmill_store::{Created, Store};

/// Enough for a multipart upload with a short last part.
const LARGE: usize = (2 << 23) + 12_345;

/// Reads, ranges, overwrites, listings, deletes, creates and uploads.
///
/// # Errors
///
/// Those of the store: the caller decides whether it may have any.
///
/// # Panics
///
/// If an answer is wrong.
pub async fn conforms(store: &Store) -> Result<()> {
    objects_come_back(store).await?;
    creates_are_certain(store).await?;
    listings_are_complete(store).await?;
    large_files_come_back(store).await?;
    deletes_may_be_repeated(store).await?;
    folders_go_with_what_is_below(store).await
}

async fn objects_come_back(store: &Store) -> Result<()> {
    store.put("a/b", Bytes::from_static(b"other")).await?;
    store.put("a/b", Bytes::from_static(b"one")).await?;
    assert_eq!(store.get("a/b").await?, "one");
    assert_eq!(store.head("a/b").await?.size, 3);
    let parts = store.get_ranges("a/b", &[0..1, 1..3]).await?;
    assert_eq!(parts, ["o", "ne"]);
    store.put("a/empty", Bytes::new()).await?;
    assert_eq!(store.get("a/empty").await?, "");
    let before = store.head("a/b").await?.version;
    store.put("a/b", Bytes::from_static(b"two!")).await?;
    assert_ne!(store.head("a/b").await?.version, before, "pinning needs it");
    Ok(())
}

async fn creates_are_certain(store: &Store) -> Result<()> {
    let mine = Bytes::from_static(b"nonce 1");
    let other = Bytes::from_static(b"nonce 2");
    assert_eq!(store.create("a/slot", mine.clone()).await?, Created::Mine);
    assert_eq!(store.create("a/slot", mine.clone()).await?, Created::Mine);
    let lost = store.create("a/slot", other).await?;
    assert_eq!(lost, Created::Other(mine.clone()));
    assert_eq!(store.get("a/slot").await?, mine);
    Ok(())
}

async fn listings_are_complete(store: &Store) -> Result<()> {
    for index in 0..45 {
        let key = format!("list/{index:02}/x y");
        store.put(&key, Bytes::from_static(b"x")).await?;
    }
    store.put("listing", Bytes::from_static(b"x")).await?;
    let listed = store.list("list").await?;
    let expected: Vec<_> = (0..45)
        .map(|index| format!("list/{index:02}/x y"))
        .collect();
    let keys: Vec<_> = listed.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, expected);
    assert_eq!(store.list("nothing").await?, []);
    Ok(())
}

async fn large_files_come_back(store: &Store) -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large");
    let bytes = large_file(&path);
    store.upload_file("large/one", &path).await?;
    store.upload_file("large/one", &path).await?;
    assert_eq!(store.head("large/one").await?.size, LARGE as u64);
    let middle = 8_000_000..9_000_000;
    let ends = [0..10, LARGE as u64 - 10..LARGE as u64];
    let ranges = [ends[0].clone(), middle, ends[1].clone()];
    for (range, part) in ranges
        .iter()
        .zip(store.get_ranges("large/one", &ranges).await?)
    {
        assert_eq!(part, bytes[range.start as usize..range.end as usize]);
    }
    assert!(
        store.get("large/one").await? == bytes,
        "it came back changed"
    );
    Ok(())
}

fn large_file(path: &Path) -> Vec<u8> {
    let bytes: Vec<u8> = (0..LARGE).map(|i| ((i * i) >> 7) as u8).collect();
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(&bytes).expect("written");
    bytes
}

async fn folders_go_with_what_is_below(store: &Store) -> Result<()> {
    for key in ["gone/a", "gone/b/c", "gone/b/d", "gone-not/a"] {
        store.put(key, Bytes::from_static(b"1")).await?;
    }
    if let Some(folder) = store.local_path("gone/b") {
        std::fs::write(folder.join("half#1"), "1").expect("written");
    }
    store.delete_below("gone").await?;
    assert!(store.list("gone").await?.is_empty());
    assert!(
        store
            .local_path("gone")
            .is_none_or(|folder| !folder.exists())
    );
    for elsewhere in ["", "/", ".", "..", "../gone-not", "gone/../gone-not"] {
        let refused = store.delete_below(elsewhere).await;
        assert!(refused.is_err(), "{elsewhere:?}");
    }
    assert_eq!(store.list("gone-not").await?.len(), 1);
    store.delete_below("gone").await?;
    store.delete_below("gone-not").await
}

async fn deletes_may_be_repeated(store: &Store) -> Result<()> {
    for key in ["a/b", "a/b", "large/one"] {
        store.delete(key).await?;
    }
    for missing in [store.get("a/b").await.err(), store.head("a/b").await.err()] {
        assert_eq!(missing.map(|e| e.kind), Some(ErrorKind::NotFound));
    }
    let first = std::slice::from_ref(&(0..1)).to_vec();
    let ranges = store.get_ranges("a/b", &first).await;
    assert_eq!(ranges.map_err(|e| e.kind), Err(ErrorKind::NotFound));
    Ok(())
}

/// How a race ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Race {
    /// Rounds in which everybody knew the winner.
    pub settled: usize,
    /// Writers that got an error: they know that they do not know.
    pub uncertain: usize,
}

/// Eight writers, `rounds` times: exactly one wins each round, and all others are shown its bytes,
/// which are what the object holds.
///
/// # Panics
///
/// If two are told that they won, or if somebody is shown bytes that did not win.
pub async fn race(store: &Store, rounds: usize) -> Race {
    let mut race = Race::default();
    for round in 0..rounds {
        let key = format!("race/{round}");
        let writers = (0..8_u8).map(|writer| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let bytes = Bytes::from(vec![writer; 64]);
                (writer, store.create(&key, bytes).await)
            })
        });
        let mut winners = Vec::new();
        let mut shown = Vec::new();
        for outcome in futures::future::join_all(writers).await {
            match outcome.expect("no panic") {
                (writer, Ok(Created::Mine)) => winners.push(writer),
                (_, Ok(Created::Other(bytes))) => shown.push(bytes),
                (_, Err(error)) => {
                    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
                    race.uncertain += 1;
                }
            }
        }
        assert!(winners.len() <= 1, "round {round}: {winners:?} all won");
        let stored = store.get(&key).await.expect("a slot that can be read");
        for winner in &winners {
            assert_eq!(stored, vec![*winner; 64], "round {round}");
        }
        for bytes in shown {
            assert_eq!(stored, bytes, "round {round}");
        }
        race.settled += winners.len();
    }
    race
}
