//! Uploads a local file, in parts where it is large.

use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::io::AsyncReadExt;

/// Bytes of one part of a large upload.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at a time.
const PARTS_AT_ONCE: usize = 4;

/// Why an upload failed.
pub(crate) enum Failure {
    /// The local file cannot be read.
    Disk(std::io::Error),
    /// The store.
    Store(object_store::Error),
    /// The store no longer knows the upload, or calls it finished: its end was reported once and
    /// the report was lost, or somebody swept it. Uploading again settles either.
    Forgotten,
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

pub(crate) async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    file: &FilePath,
) -> Result<(), Failure> {
    let mut reader = tokio::fs::File::open(file).await.map_err(Failure::Disk)?;
    let size = reader.metadata().await.map_err(Failure::Disk)?.len();
    if size <= PART_BYTES as u64 {
        let mut bytes = Vec::with_capacity(size as usize);
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(Failure::Disk)?;
        store.put(path, Bytes::from(bytes).into()).await?;
        return Ok(());
    }
    let upload = store.put_multipart(path).await?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    if let Err(failure) = send(&mut reader, &mut writer).await {
        // Parts that cannot be taken back now are swept by the bucket's lifecycle rule.
        let _ = writer.abort().await;
        return Err(forgotten(failure));
    }
    match writer.finish().await {
        Ok(_) => Ok(()),
        Err(error) => Err(forgotten(error.into())),
    }
}

async fn send(reader: &mut tokio::fs::File, writer: &mut WriteMultipart) -> Result<(), Failure> {
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let read = reader.read(&mut buffer).await.map_err(Failure::Disk)?;
        if read == 0 {
            return Ok(());
        }
        writer.wait_for_capacity(PARTS_AT_ONCE).await?;
        writer.write(&buffer[..read]);
    }
}

fn forgotten(failure: Failure) -> Failure {
    match failure {
        Failure::Store(
            object_store::Error::NotFound { .. } | object_store::Error::AlreadyExists { .. },
        ) => Failure::Forgotten,
        failure => failure,
    }
}
