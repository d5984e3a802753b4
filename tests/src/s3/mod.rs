//! An S3 server that can misbehave on purpose.
//!
//! The protocol (SigV4, XML, real HTTP on the loopback interface) is s3s's; the objects lie in
//! memory under one lock, so that *create if absent* is atomic and the server can serve as an
//! oracle for it. Between the two stand faults: chosen by a seeded counter, or scripted for the
//! next request, and counted, so that a test can show that they happened.
//!
//! Runs in a thread of its own with a runtime of its own: tests may be plain functions, and
//! processes that a test starts can use it.

mod backend;
mod faults;
mod http;
mod protocol;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use backend::Backend;
pub use backend::Honesty;
pub use faults::{Fault, Faults};
use http::Front;
use protocol::Protocol;

/// The one bucket.
pub const BUCKET: &str = "bench";
/// Who may use it.
pub const ACCESS_KEY_ID: &str = "rankmill-test";

/// A server on a free port; ends with this value.
pub struct S3Server {
    endpoint: String,
    secret: String,
    backend: Arc<Backend>,
    faults: Arc<Faults>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl S3Server {
    /// Starts an honest server without faults.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    #[allow(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Self {
        Self::with_secret("correct-horse-battery-staple")
    }

    /// Starts a server that knows its client by `secret`.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub fn with_secret(secret: &str) -> Self {
        let backend = Arc::new(Backend::default());
        let faults = Arc::new(Faults::default());
        let mut service = S3ServiceBuilder::new(Protocol::new(Arc::clone(&backend)));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, secret));
        let front = Front::new(service.build(), Arc::clone(&faults));
        let (stop, stopped) = oneshot::channel();
        let (port, bound) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("an address");
                port.send(address).expect("the test waits for it");
                tokio::select! {
                    () = front.accept(listener) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let address = bound.recv().expect("the server starts");
        Self {
            endpoint: format!("http://{address}"),
            secret: secret.to_owned(),
            backend,
            faults,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it does wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How it treats conditional writes from now on.
    pub fn set_honesty(&self, honesty: Honesty) {
        self.backend.set_honesty(honesty);
    }

    /// Lets `command` find it by the environment.
    pub fn serve_by_environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret);
    }

    /// A file of store profiles with this server in it.
    pub fn profile(&self) -> String {
        format!(
            "[stores.test]\nurl = \"s3://{BUCKET}\"\nendpoint = \"{}\"\nallow-http = true\n\
             region = \"us-east-1\"\naccess-key-id = \"{ACCESS_KEY_ID}\"\n\
             secret-access-key = \"{}\"\n",
            self.endpoint, self.secret
        )
    }

    /// Places a local file, past the protocol and its faults.
    ///
    /// # Panics
    ///
    /// If the file cannot be read.
    pub fn place_file(&self, key: &str, file: &Path) {
        let bytes = std::fs::read(file).expect("a file to place");
        self.backend.place(BUCKET, key, bytes.into());
    }

    /// Every object, past the protocol and its faults.
    pub fn objects(&self) -> BTreeMap<String, bytes::Bytes> {
        self.backend.objects(BUCKET)
    }

    /// Uploads in parts that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.backend.open_uploads()
    }

    /// Copies what lies below `prefix` into a local folder.
    ///
    /// # Panics
    ///
    /// If the folder cannot be written.
    pub fn copy_to(&self, prefix: &str, folder: &Path) {
        let prefix = format!("{prefix}/");
        for (key, bytes) in self.objects() {
            if let Some(name) = key.strip_prefix(&prefix) {
                let path = folder.join(name);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                std::fs::write(path, bytes).expect("written");
            }
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself, with a panic that the test has seen.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
