//! Makes the client of a store.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use rankmill_common::{Error, ErrorKind, Result};

use crate::error::translate;
use crate::location::{Location, Scheme};

/// Bytes of one part of a large upload.
const PART_BYTES: usize = 8 << 20;

/// Memory stores live as long as the process, so that several parties can share one by its name.
static MEMORY: LazyLock<Mutex<BTreeMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);

pub(crate) fn client(location: &Location) -> Result<Arc<dyn ObjectStore>> {
    let failed = |e: object_store::Error| translate(&location.url(), &e);
    match location.scheme() {
        Scheme::File => local(location),
        Scheme::Memory => Ok(memory(location.bucket())),
        Scheme::S3 => {
            install_tls();
            let builder = AmazonS3Builder::from_env()
                .with_bucket_name(location.bucket())
                .with_client_options(client_options())
                .with_retry(retry());
            Ok(Arc::new(builder.build().map_err(failed)?))
        }
        Scheme::Gcs => {
            install_tls();
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(location.bucket())
                .with_client_options(client_options())
                .with_retry(retry());
            Ok(Arc::new(builder.build().map_err(failed)?))
        }
        Scheme::Azure => {
            install_tls();
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(location.bucket())
                .with_client_options(client_options())
                .with_retry(retry());
            Ok(Arc::new(builder.build().map_err(failed)?))
        }
    }
}

fn local(location: &Location) -> Result<Arc<dyn ObjectStore>> {
    let root = location.local_path("").unwrap_or_default();
    let failed = |e: std::io::Error| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("cannot make the directory {}: {e}", root.display()),
        )
    };
    std::fs::create_dir_all(&root).map_err(failed)?;
    let store = LocalFileSystem::new_with_prefix(&root)
        .map_err(|e| translate(&root.display().to_string(), &e))?
        .with_fsync(true);
    Ok(Arc::new(store))
}

fn memory(name: &str) -> Arc<dyn ObjectStore> {
    let mut stores = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(stores.entry(name.to_owned()).or_default()) as Arc<dyn ObjectStore>
}

fn client_options() -> ClientOptions {
    let http_allowed = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true");
    ClientOptions::new()
        .with_timeout(Duration::from_secs(60))
        .with_connect_timeout(Duration::from_secs(5))
        .with_allow_http(http_allowed)
}

/// Shorter than the library's three minutes: the protocol has its own retries above this.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 5,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    }
}

fn install_tls() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) async fn upload(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    file: &FilePath,
) -> object_store::Result<()> {
    use tokio::io::AsyncReadExt;

    let io = |source: std::io::Error| object_store::Error::Generic {
        store: "local file",
        source: Box::new(source),
    };
    let mut reader = tokio::fs::File::open(file).await.map_err(io)?;
    let size = reader.metadata().await.map_err(io)?.len();
    if size <= PART_BYTES as u64 {
        let mut bytes = Vec::with_capacity(size as usize);
        reader.read_to_end(&mut bytes).await.map_err(io)?;
        store.put(path, Bytes::from(bytes).into()).await?;
        return Ok(());
    }
    let mut writer =
        WriteMultipart::new_with_chunk_size(store.put_multipart(path).await?, PART_BYTES);
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let read = reader.read(&mut buffer).await.map_err(io)?;
        if read == 0 {
            break;
        }
        writer.wait_for_capacity(4).await?;
        writer.write(&buffer[..read]);
    }
    writer.finish().await?;
    Ok(())
}
