//! Makes the client of a store from a profile's settings or from the environment.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::PaginatedListStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use rankmill_common::{Error, ErrorKind, Result};
use secrecy::ExposeSecret;

use crate::environment::{self, Endpoint};
use crate::error::translate;
use crate::location::{Location, Scheme};
use crate::profile::{Access, Field};
use crate::setting::Http;

/// Memory stores live as long as the process, so that several parties can share one by its name.
static MEMORY: LazyLock<Mutex<BTreeMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);

/// A client as a store and, where it has that side, as a lister of pages.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) pages: Option<Arc<dyn PaginatedListStore>>,
}

impl Client {
    fn remote<C: ObjectStore + PaginatedListStore>(client: C) -> Self {
        let client = Arc::new(client);
        Self {
            store: Arc::clone(&client) as Arc<dyn ObjectStore>,
            pages: Some(client),
        }
    }

    fn other(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, pages: None }
    }
}

/// The client for `location`. A profile that names credentials takes nothing from the
/// environment, so that one's key never meets another's token; one that names none takes what it
/// does not say from there.
pub(crate) fn client(location: &Location, access: &Access) -> Result<Client> {
    match location.scheme() {
        Scheme::File => local(location),
        Scheme::Memory => Ok(Client::other(memory(location.bucket()))),
        Scheme::S3 => s3(location, access),
        Scheme::Gcs => gcs(location, access),
        Scheme::Azure => azure(location, access),
    }
}

fn s3(location: &Location, access: &Access) -> Result<Client> {
    install_tls();
    let variables = environment::variables();
    let http = http(access, &variables, "AWS_ALLOW_HTTP");
    let mut builder = AmazonS3Builder::new();
    if !access.has_credentials() {
        for (key, value) in environment::s3(&variables, endpoint(access), http)? {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(location.bucket())
        // Objects are deleted one by one, which every compatible store understands.
        .with_disable_bulk_delete(true)
        .with_client_options(client_options(http))
        .with_retry(retry());
    for (key, value) in access.values() {
        let value = value.expose_secret();
        builder = match key {
            Field::Endpoint => builder.with_endpoint(value),
            Field::Region => builder.with_region(value),
            Field::AccessKeyId => builder.with_access_key_id(value),
            Field::SecretAccessKey => builder.with_secret_access_key(value),
            Field::SessionToken => builder.with_token(value),
            Field::ServiceAccountPath
            | Field::ServiceAccountKey
            | Field::AccountName
            | Field::AccountKey => builder,
        };
    }
    if access.is_anonymous() {
        builder = builder.with_skip_signature(true);
    }
    let client = builder.build().map_err(|e| failed(location, &e))?;
    Ok(Client::remote(client))
}

fn gcs(location: &Location, access: &Access) -> Result<Client> {
    install_tls();
    let variables = environment::variables();
    let http = http(access, &variables, "GOOGLE_ALLOW_HTTP");
    let mut builder = GoogleCloudStorageBuilder::new();
    if !access.has_credentials() {
        if let Some(path) = environment::one(&variables, "SERVICE_ACCOUNT") {
            builder = builder.with_service_account_path(path);
        }
        for (key, value) in environment::gcs(&variables, endpoint(access), http)? {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(location.bucket())
        .with_client_options(client_options(http))
        .with_retry(retry());
    for (key, value) in access.values() {
        let value = value.expose_secret();
        builder = match key {
            Field::Endpoint => builder.with_base_url(value),
            Field::ServiceAccountPath => builder.with_service_account_path(value),
            Field::ServiceAccountKey => builder.with_service_account_key(value),
            Field::Region
            | Field::AccessKeyId
            | Field::SecretAccessKey
            | Field::SessionToken
            | Field::AccountName
            | Field::AccountKey => builder,
        };
    }
    if access.is_anonymous() {
        builder = builder.with_skip_signature(true);
    }
    let client = builder.build().map_err(|e| failed(location, &e))?;
    Ok(Client::remote(client))
}

fn azure(location: &Location, access: &Access) -> Result<Client> {
    install_tls();
    let variables = environment::variables();
    let http = http(access, &variables, "AZURE_ALLOW_HTTP");
    let mut builder = MicrosoftAzureBuilder::new();
    if !access.has_credentials() {
        for (key, value) in environment::azure(&variables, endpoint(access), http)? {
            builder = builder.with_config(key, value);
        }
        if let Some(url) = environment::one(&variables, "IDENTITY_ENDPOINT") {
            builder = builder.with_msi_endpoint(url);
        }
    }
    builder = builder
        .with_container_name(location.bucket())
        .with_client_options(client_options(http))
        .with_retry(retry());
    for (key, value) in access.values() {
        let value = value.expose_secret();
        builder = match key {
            Field::Endpoint => builder.with_endpoint(value.to_owned()),
            Field::AccountName => builder.with_account(value),
            Field::AccountKey => builder.with_access_key(value),
            Field::Region
            | Field::AccessKeyId
            | Field::SecretAccessKey
            | Field::SessionToken
            | Field::ServiceAccountPath
            | Field::ServiceAccountKey => builder,
        };
    }
    if access.is_anonymous() {
        builder = builder.with_skip_signature(true);
    }
    let client = builder.build().map_err(|e| failed(location, &e))?;
    Ok(Client::remote(client))
}

/// A client that cannot be made is a matter of settings.
fn failed(location: &Location, error: &object_store::Error) -> Error {
    let error = translate(&location.url(), error);
    Error::new(ErrorKind::InvalidInput, error.message)
}

fn local(location: &Location) -> Result<Client> {
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
    Ok(Client::other(Arc::new(store)))
}

fn memory(name: &str) -> Arc<dyn ObjectStore> {
    let mut stores = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(stores.entry(name.to_owned()).or_default()) as Arc<dyn ObjectStore>
}

fn http(access: &Access, variables: &[(String, String)], variable: &str) -> Http {
    if access.allows_http() || environment::allows_http(variables, variable) {
        Http::Allowed
    } else {
        Http::Refused
    }
}

fn endpoint(access: &Access) -> Endpoint {
    if access.values().any(|(key, _)| key == Field::Endpoint) {
        Endpoint::Known
    } else {
        Endpoint::Wanted
    }
}

fn client_options(http: Http) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(Duration::from_secs(30))
        .with_connect_timeout(Duration::from_secs(5))
        .with_allow_http(http == Http::Allowed)
}

/// Shorter than the library's three minutes: the protocol has its own retries above this.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    }
}

fn install_tls() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
