//! The simulated network as tonic's transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};
use turmoil::net::{TcpListener, TcpStream};

/// Where every coordinator listens.
pub(crate) const PORT: u16 = 7070;

/// As the command line dials: how long until a silent connection counts as dead.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// One accepted connection.
pub(crate) struct Connection(TcpStream);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Connections to this host.
pub(crate) async fn listen() -> io::Result<impl Stream<Item = io::Result<Connection>>> {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], PORT))).await?;
    Ok(futures::stream::unfold(listener, |listener| async {
        let accepted = listener
            .accept()
            .await
            .map(|(stream, _)| Connection(stream));
        Some((accepted, listener))
    }))
}

/// A channel to the coordinator on `host`, made when it is first used.
pub(crate) fn dial(host: &'static str) -> Channel {
    let connector = tower::service_fn(move |_| async move {
        TcpStream::connect((host, PORT)).await.map(TokioIo::new)
    });
    Endpoint::from_static("http://coordinator")
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector)
}
