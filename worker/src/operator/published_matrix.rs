//! `find_matrix` and `publish_matrix`: blocks that outlive their job.
//!
//! A pointer `matrices/<digest>/matrix.json` names all objects of a matrix. It is created if
//! absent; one whose objects are no longer all there is replaced, and so is one that cannot be
//! read. Two jobs that publish the same matrix publish the same bytes elsewhere, so either
//! pointer is right.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use rankmill_common::matrix::BlockedMatrix;
use rankmill_common::operator::Done;
use rankmill_common::operator::published_matrix::{FindMatrix, FoundMatrix, PublishMatrix};
use rankmill_common::table::IdTable;
use rankmill_common::{Digest, Error, ErrorKind, ObjectRef, Result};
use rankmill_store::{Created, Store};

use crate::context::TaskContext;

/// Objects asked for at a time.
const REQUESTS: usize = 32;

pub(crate) fn find(context: &TaskContext, operator: &FindMatrix) -> Result<FoundMatrix> {
    let matrix = context.block_on(async {
        let store = context.objects().state();
        match store.get(&key(&operator.digest)).await {
            Ok(bytes) => complete(store, &bytes, &operator.digest).await,
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    Ok(FoundMatrix { matrix })
}

pub(crate) fn publish(context: &TaskContext, operator: &PublishMatrix) -> Result<Done> {
    let digest = &operator.matrix.digest;
    let json = serde_json::to_vec(&operator.matrix)
        .map_err(|e| Error::internal(format!("cannot describe the matrix: {e}")))?;
    let json = Bytes::from(json);
    context.block_on(async {
        let store = context.objects().state();
        let key = key(digest);
        match store.create(&key, json.clone()).await? {
            Created::Mine => Ok(()),
            Created::Other(other) if complete(store, &other, digest).await?.is_some() => Ok(()),
            Created::Other(_) => store.put(&key, json).await,
        }
    })?;
    Ok(Done {})
}

fn key(digest: &Digest) -> String {
    format!("matrices/{digest}/matrix.json")
}

/// The matrix that a pointer names, if it is the right one and all its objects are there.
async fn complete(store: &Store, json: &[u8], digest: &Digest) -> Result<Option<BlockedMatrix>> {
    // An unreadable pointer is one of another version: as good as none.
    let Ok(matrix) = serde_json::from_slice::<BlockedMatrix>(json) else {
        return Ok(None);
    };
    if matrix.digest != *digest {
        return Ok(None);
    }
    let objects: Vec<ObjectRef> = objects(&matrix).cloned().collect();
    let missing = futures::stream::iter(objects)
        .map(|object| async move { is_there(store, &object).await })
        .buffer_unordered(REQUESTS)
        .try_any(|there| async move { !there })
        .await?;
    Ok((!missing).then_some(matrix))
}

async fn is_there(store: &Store, object: &ObjectRef) -> Result<bool> {
    match store.head(&object.key).await {
        Ok(entry) => Ok(entry.size == object.size),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn objects(matrix: &BlockedMatrix) -> impl Iterator<Item = &ObjectRef> {
    let blocks = matrix.blocks.iter().map(|block| &block.object);
    let ids = [&matrix.row_ids, &matrix.column_ids].into_iter();
    let order = matrix.order.iter().map(|order| &order.object);
    blocks.chain(order).chain(ids.flat_map(|table| {
        let shards = match table {
            IdTable::Dictionary { shards, .. } => &shards[..],
            IdTable::Range { .. } | IdTable::Names { .. } => &[],
        };
        shards.iter().map(|shard| &shard.object)
    }))
}
