//! Who is at the other end of a connection: the peer, or the client that a trusted proxy names in a PROXY header
//! (HAProxy's PROXY protocol, versions 1 and 2).

use std::net::SocketAddr;

use ipnet::IpNet;
use tcp_client_addr::{IdentityMode, ProxyProtocol};
use tokio::net::TcpStream;

/// The proxies of a listener; `None` if clients connect to it themselves. A header must be whole within one second and
/// have 4,096 bytes at most.
pub fn proxies(networks: &[IpNet]) -> Option<ProxyProtocol> {
    // An empty list is the only one that is refused.
    ProxyProtocol::new(networks.iter().copied()).ok()
}

/// The connection at its first byte after the header, and its client. `None`, and a line in the log at debug, if it
/// came around the proxies or its header names no client: its peer is never taken for the client instead.
pub async fn identify(
    stream: TcpStream,
    peer: SocketAddr,
    proxies: Option<ProxyProtocol>,
) -> Option<(TcpStream, SocketAddr)> {
    let Some(proxies) = proxies else { return Some((stream, peer)) };
    match IdentityMode::ProxyProtocol(proxies).identify(stream).await {
        Ok((stream, identity)) => Some((stream, identity.normalized_client())),
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection without a client's address is closed");
            None
        }
    }
}
