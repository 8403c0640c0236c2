//! One client connection: TLS if the listener has it, then HTTP/1.1 until either side ends it. Probes
//! that connect and close, and clients that vanish, are everyday events and not errors.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::life::Life;
use super::linger::{Leftover, Linger};
use super::patience::{Patience, Phase};
use crate::body::expects_continue;
use crate::routes::{ClientAddr, Scheme};
use crate::settings::Limits;

/// A request head, and what is buffered of a body: room for a kilobyte path fully escaped and a few
/// hundred session cookies. Longer heads, and those of more than 100 lines, are answered 431.
const BUFFER_BYTES_MAX: usize = 32 * 1024;

/// How connections of a gateway speak HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    router: Router,
    builder: http1::Builder,
    limits: Arc<Limits>,
}

impl Http {
    /// `router` answers every request; `limits` bound the time and the bytes of one connection.
    pub fn new(router: Router, limits: Arc<Limits>) -> Self {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // While idle; a head that has begun is timed by `Patience`.
            .header_read_timeout(limits.idle_timeout_s)
            .max_buf_size(BUFFER_BYTES_MAX);
        Self { router, builder, limits }
    }
}

/// The homeserver's raw public key as a TLS identity (RFC 7250). No ALPN: clients speak HTTP/1.1.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    handshake_timeout: Duration,
}

impl Tls {
    /// `keypair` is the homeserver's; clients check its public key.
    pub fn new(keypair: &pkarr::Keypair, handshake_timeout: Duration) -> Self {
        let config: ServerConfig = keypair.to_rpk_rustls_server_config();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), handshake_timeout }
    }
}

/// Serves a connection to its end. Never fails: what goes wrong is the client's, and is logged at debug.
pub async fn serve(stream: TcpStream, client: SocketAddr, http: Http, tls: Option<Tls>, life: &Life) {
    let Some(tls) = tls else { return speak(stream, client, Scheme("http"), http, life).await };
    match tokio::time::timeout(tls.handshake_timeout, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, client, Scheme("https"), http, life).await,
        Ok(Err(error)) => tracing::debug!(%client, %error, "no TLS handshake"),
        Err(_elapsed) => tracing::debug!(%client, "TLS handshake took too long"),
    }
}

/// A client may be sending its next request at the moment the gateway stops. So an open connection goes on
/// until it has been told by `Connection: close` (RFC 9112 §9.6), or has rested until `Life::idle`.
async fn speak<S>(stream: S, client: SocketAddr, scheme: Scheme, http: Http, life: &Life)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (phase, leftover) = (Phase::default(), Leftover::default());
    let service = ConnectionService {
        router: http.router.clone(),
        client,
        scheme,
        phase: phase.clone(),
        leftover: leftover.clone(),
        stop: life.stop.clone(),
    };
    let stream = Linger::new(stream, leftover);
    let stream = Patience::new(stream, phase, http.limits.head_timeout_s, http.limits.write_timeout_s);
    let connection = http.builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = life.idle.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "connection ended early");
    }
}

/// The router, and everything about a request that only its connection knows.
#[derive(Clone)]
struct ConnectionService {
    router: Router,
    client: SocketAddr,
    scheme: Scheme,
    phase: Phase,
    leftover: Leftover,
    stop: CancellationToken,
}

impl Service<http::Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let mut request = request.map(|body| Body::new(self.leftover.watch(body)));
        request.extensions_mut().insert(ClientAddr(self.client.ip()));
        request.extensions_mut().insert(self.scheme);
        let held_back = expects_continue(request.headers());
        let busy = self.phase.busy();
        let (answer, stop) = (self.router.call(request), self.stop.clone());
        Box::pin(async move {
            let mut response = answer.await?;
            drop(busy);
            // A refused client that waited with its body must know whether to send it: it need not.
            let refused = response.status().is_client_error() || response.status().is_server_error();
            if stop.is_cancelled() || (held_back && refused) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
