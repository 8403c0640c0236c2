//! Connections to nodes: with this process's certificates if it has any, else in plaintext.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::Service;

use crate::{Certificates, Subject};

/// TLS wants a name; it is neither sent nor checked.
const SERVER_NAME: &str = "node.rowhouse";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Dials nodes. Cheap to clone; each connection uses the certificates of its own time.
#[derive(Clone)]
pub struct Dialer(Option<Arc<Certificates>>);

impl Dialer {
    /// Without certificates: plaintext, for loopback.
    pub fn new(certificates: Option<Arc<Certificates>>) -> Self {
        Self(certificates)
    }

    /// Dials without certificates, for loopback.
    pub fn plaintext() -> Self {
        Self(None)
    }

    /// The certificates in use; `None` in plaintext.
    pub fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.0.as_ref()
    }

    /// Connects to the node of this name; to any node of the cluster where the name is not known.
    pub async fn connect(&self, endpoint: &Endpoint, node: Option<&str>) -> Result<Channel, Error> {
        match self.connector(endpoint, node) {
            None => endpoint.connect().await,
            Some(connector) => endpoint.connect_with_connector(connector).await,
        }
    }

    /// Connects when first used, and again after a break.
    pub fn connect_lazy(&self, endpoint: &Endpoint, node: Option<&str>) -> Channel {
        match self.connector(endpoint, node) {
            None => endpoint.connect_lazy(),
            Some(connector) => endpoint.connect_with_connector_lazy(connector),
        }
    }

    fn connector(&self, endpoint: &Endpoint, node: Option<&str>) -> Option<Connector> {
        let certificates = Arc::clone(self.0.as_ref()?);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(endpoint.get_connect_timeout());
        Some(Connector { tcp, certificates, node: node.map(Arc::from) })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.0.as_ref().map(|certificates| certificates.subject());
        f.debug_tuple("Dialer").field(&subject).finish()
    }
}

#[derive(Clone)]
struct Connector {
    tcp: HttpConnector,
    certificates: Arc<Certificates>,
    node: Option<Arc<str>>,
}

impl Service<http::Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let connecting = self.tcp.call(uri);
        let (certificates, node) = (Arc::clone(&self.certificates), self.node.clone());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            let secured = secure(&certificates, stream, node.as_deref()).await;
            if let Err(error) = &secured
                && certificates.refusals.is_due(&address)
            {
                tracing::warn!(address, %error, "no connection to what should be a node");
            }
            Ok(TokioIo::new(secured?))
        })
    }
}

async fn secure(
    certificates: &Certificates,
    stream: TcpStream,
    node: Option<&str>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    let stream = TlsConnector::from(certificates.client()).connect(name, stream).await?;
    if let Some(node) = node {
        check_name(&stream, node)?;
    }
    Ok(stream)
}

/// Whether the node that answered is the one that was meant. Nothing has been sent to it yet.
fn check_name(stream: &TlsStream<TcpStream>, wanted: &str) -> io::Result<()> {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    match shown.map(Subject::of_certificate).transpose().map_err(io::Error::other)? {
        Some(found) if found.name() == wanted => Ok(()),
        Some(found) => {
            let why = format!("{found} answers at the address of node {wanted}");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
        None => Err(io::Error::other("the node showed no certificate")),
    }
}
