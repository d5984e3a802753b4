//! Where requests arrive: faults happen here, before or behind the protocol.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::dto::StreamingBlob;
use s3s::service::S3Service;
use s3s::{Body, HttpRequest, HttpResponse};
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Fault, Faults, Request};

/// Largest request or answer.
const LARGEST: usize = 256 << 20;
const LATENCY: Duration = Duration::from_millis(40);
/// How much later a late write lands: after the client has looked for it in vain.
const LATE: Duration = Duration::from_millis(15);
/// By when what was written has been sent.
const FLUSH: Duration = Duration::from_millis(10);
/// Longer than any client waits.
const SILENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(super) struct Front {
    service: S3Service,
    faults: Arc<Faults>,
}

impl Front {
    pub(super) fn new(service: S3Service, faults: Arc<Faults>) -> Self {
        Self { service, faults }
    }

    pub(super) async fn accept(self, listener: TcpListener) {
        // Without descriptors there is nothing to accept until some are closed.
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve(stream));
        }
    }

    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = hyper::service::service_fn(move |request| {
            let front = self.clone();
            async move { front.answer(request).await }
        });
        // An error is a fault of ours or a client that has gone.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    /// An error closes the connection.
    async fn answer(&self, request: hyper::Request<Incoming>) -> Result<HttpResponse, io::Error> {
        match self.faults.next(kind_of(&request)) {
            None => self.pass(whole(request).await?).await,
            Some(Fault::InternalError) => refuse(500, "InternalError", request).await,
            Some(Fault::SlowDown) => refuse(503, "SlowDown", request).await,
            Some(Fault::TooManyRequests) => refuse(429, "TooManyRequests", request).await,
            Some(Fault::Conflict) => refuse(409, "ConditionalRequestConflict", request).await,
            Some(Fault::LandsAndFails) => {
                self.pass(whole(request).await?).await?;
                Ok(error(500, "InternalError"))
            }
            Some(Fault::LandsInSilence) => {
                self.pass(whole(request).await?).await?;
                Err(gone())
            }
            Some(Fault::LandsAndHangs) => {
                self.pass(whole(request).await?).await?;
                tokio::time::sleep(SILENCE).await;
                Err(gone())
            }
            Some(Fault::LandsLate) => {
                let (front, request) = (self.clone(), whole(request).await?);
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    // Nobody waits for the answer.
                    let _ = front.pass(request).await;
                });
                Err(gone())
            }
            Some(Fault::Reset) => Err(gone()),
            Some(Fault::Truncated) => cut(self.pass(whole(request).await?).await?).await,
            Some(Fault::Latency) => {
                tokio::time::sleep(LATENCY).await;
                self.pass(whole(request).await?).await
            }
        }
    }

    async fn pass(&self, request: HttpRequest) -> Result<HttpResponse, io::Error> {
        self.service.call(request).await.map_err(|_| gone())
    }
}

fn kind_of<B>(request: &hyper::Request<B>) -> Request {
    match *request.method() {
        Method::GET => Request::Read,
        Method::HEAD => Request::Head,
        _ if request.headers().contains_key(IF_NONE_MATCH) => Request::Create,
        _ => Request::Write,
    }
}

/// Closes the connection.
fn gone() -> io::Error {
    io::Error::other("the connection goes")
}

/// The request with its body read to the end.
async fn whole(request: hyper::Request<Incoming>) -> Result<HttpRequest, io::Error> {
    let (head, body) = request.into_parts();
    let bytes = Body::from(body)
        .store_all_limited(LARGEST)
        .await
        .map_err(|_| gone())?;
    Ok(hyper::Request::from_parts(head, Body::from(bytes)))
}

/// Answers with an error once the request has been read.
async fn refuse(
    status: u16,
    code: &str,
    request: hyper::Request<Incoming>,
) -> Result<HttpResponse, io::Error> {
    whole(request).await?;
    Ok(error(status, code))
}

fn error(status: u16, code: &str) -> HttpResponse {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>a fault on purpose</Message></Error>"
    );
    let mut response = hyper::Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// The response with the second half of its body missing.
async fn cut(response: HttpResponse) -> Result<HttpResponse, io::Error> {
    let (mut head, mut body) = response.into_parts();
    let bytes = body.store_all_limited(LARGEST).await.map_err(|_| gone())?;
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    // An error that follows at once takes the half with it, unsent: a lost connection again.
    let first = futures::stream::iter([io::Result::Ok(half)]);
    let rest = futures::stream::once(async {
        tokio::time::sleep(FLUSH).await;
        io::Result::<Bytes>::Err(gone())
    });
    let body = Body::from(StreamingBlob::wrap(first.chain(rest)));
    Ok(hyper::Response::from_parts(head, body))
}
