//! A connection a node accepted, and who is at its other end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::{Certificates, Subject};

/// The subject of the certificate a request came with; among the extensions of every request.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<Subject>>);

impl Caller {
    /// `None` on a plaintext connection.
    pub fn subject(&self) -> Option<&Subject> {
        self.0.as_deref()
    }
}

/// An accepted connection, for tonic's server.
pub enum Connection {
    /// Loopback without certificates.
    Plain(TcpStream),
    Secured {
        stream: Box<TlsStream<TcpStream>>,
        caller: Caller,
    },
}

impl Connection {
    /// The handshake of an accepted connection. It takes as long as the other end likes: bound it.
    pub async fn secured(stream: TcpStream, certificates: &Certificates) -> io::Result<Self> {
        let stream = TlsAcceptor::from(certificates.server()).accept(stream).await?;
        // The verifier has read it once already.
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let subject = shown.map(Subject::of_certificate).transpose().map_err(io::Error::other)?;
        let subject = subject.ok_or_else(|| io::Error::other("the caller showed no certificate"))?;
        Ok(Self::Secured { stream: Box::new(stream), caller: Caller(Some(Arc::new(subject))) })
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        match self {
            Self::Plain(_) => Caller(None),
            Self::Secured { caller, .. } => caller.clone(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Secured { stream, .. } => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Secured { stream, .. } => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, data),
            Self::Secured { stream, .. } => Pin::new(stream).poll_write_vectored(cx, data),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secured { stream, .. } => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secured { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secured { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
